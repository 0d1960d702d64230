"""What the workflows run on a pull request."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.commands.common import EXISTING_FOLDER, FILE, OUTPUT_FILE, Cli, printable, quiet, threads_option
from benchmark.files.storing import write_text

__all__ = ["ci"]


@click.group("ci", cls=Cli)
def ci() -> None:
    """The steps of the workflows that check pull requests."""


@ci.command("scope")
@click.argument("changed", type=FILE)
def scope(changed: Path) -> None:
    """Print the id of the one submission that all changed paths belong to; fail if there are others.

    CHANGED holds the paths, each ended by a NUL byte.

    \b
    Example:
      git diff --name-only -z --no-renames main...HEAD > changed && invbench ci scope changed
    """
    from benchmark.submissions.review import find_scope

    paths = changed.read_bytes().decode(errors="replace").split("\0")
    click.echo(find_scope(path for path in paths if path))


@ci.command("review")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--base", type=EXISTING_FOLDER, required=True, help="Folder of the published submissions.")
@click.option(
    "--author", required=True, help="The account that proposes it, compared with those that may; empty: unknown."
)
@click.option("--rerun", type=EXISTING_FOLDER, help="Folder with the record of a rerun on mini@1.")
@click.option("--scope-failed", is_flag=True, help="The change is not of one submission alone: ask a maintainer.")
@click.option("--out", type=OUTPUT_FILE, required=True, help="File to write.")
@threads_option
def review(
    folder: Path, base: Path, author: str, rerun: Path | None, scope_failed: bool, out: Path, threads: int | None
) -> None:
    """Validate the submission in FOLDER, rescore its records and compare them with a rerun; write what was found.

    FOLDER and the rerun are data: nothing of them is imported. What a maintainer has to confirm counts as not passed.

    \b
    Example:
      invbench ci review head/submissions/my-method --base base/submissions --author a-author --out review.json
    """
    from benchmark.submissions.review import Review

    if scope_failed:
        result = Review(submission=None)
    else:
        from benchmark.commands.common import open_device
        from benchmark.engine.checks import review_submission

        quiet()
        result = review_submission(folder, base, rerun, open_device("cpu", threads), author)
    write_text(out, result.model_dump_json(indent=1) + "\n")
    for finding in result.findings:
        where = f"{finding.where}: " if finding.where else ""
        click.echo(printable(f"{finding.severity.capitalize()}: {where}{finding.message}"), err=True)
    if not result.passed:
        raise SystemExit(2)
