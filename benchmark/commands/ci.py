"""What the workflows run on a pull request."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.commands.common import EXISTING_FOLDER, FILE, OUTPUT_FILE, Cli, printable, quiet, threads_option
from benchmark.files.storing import write_text

__all__ = ["ci"]


_repository_option = click.option("--repository", required=True, help="OWNER/NAME on GitHub.")
_head_option = click.option("--head", required=True, help="Full commit that the pull request must have as its head.")


@click.group("ci", cls=Cli)
def ci() -> None:
    """The steps of the workflows that check pull requests."""


@ci.command("scope")
@click.argument("merged", type=EXISTING_FOLDER)
def scope(merged: Path) -> None:
    """Print the id of the one submission that a pull request changes; fail if it changes anything else.

    MERGED is what .github/scripts/merge made of the pull request. Modes, names, collisions with other paths and sizes
    are judged; no content is read.

    \b
    Example:
      .github/scripts/merge URL BASE HEAD merged && invbench ci scope merged
    """
    from benchmark.submissions.changes import find_merged_scope

    click.echo(find_merged_scope(merged))


@ci.command("changed")
@click.argument("number_file", metavar="NUMBER", type=FILE)
@_repository_option
@_head_option
@click.option("--out", type=OUTPUT_FILE, required=True, help="File to write: paths, each ended by NUL.")
def changed(number_file: Path, repository: str, head: str, out: Path) -> None:
    """Ask GitHub which files a pull request changes.

    The file NUMBER may come from anywhere: its pull request must be open, into the default branch, and have the head
    commit given. The token is that of GH_TOKEN.

    \b
    Example:
      invbench ci changed review/number --repository OWNER/NAME --head COMMIT --out changed
    """
    from benchmark.submissions.github import GitHub, read_number

    paths = GitHub(repository).list_changed(read_number(number_file), head)
    write_text(out, "".join(f"{path}\0" for path in paths))


@ci.command("post")
@click.argument("number_file", metavar="NUMBER", type=FILE)
@click.argument("text_file", metavar="TEXT", type=FILE)
@_repository_option
@_head_option
def post(number_file: Path, text_file: Path, repository: str, head: str) -> None:
    """Create the one comment about a submission on its pull request, or update it.

    NUMBER is checked as by `ci changed`; TEXT is what `ci comment` wrote. The token is that of GH_TOKEN.

    \b
    Example:
      invbench ci post review/number comment.md --repository OWNER/NAME --head COMMIT
    """
    from benchmark.submissions.github import GitHub, read_comment, read_number

    GitHub(repository).post(read_number(number_file), head, read_comment(text_file))


@ci.command("review")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--base", type=EXISTING_FOLDER, required=True, help="Folder of the published submissions.")
@click.option(
    "--author", required=True, help="The account that proposes it, compared with those that may; empty: unknown."
)
@click.option("--rerun", type=EXISTING_FOLDER, help="Folder with the record of a rerun on mini@1.")
@click.option("--run", "run_outcome", help="What became of the job that made the rerun: success, or something else.")
@click.option("--scope-failed", type=FILE, help="What `ci scope` said where the change is not of one submission alone.")
@click.option("--out", type=OUTPUT_FILE, required=True, help="File to write.")
@threads_option
def review(
    folder: Path, base: Path, author: str, rerun: Path | None, run_outcome: str | None, scope_failed: Path | None,
    out: Path, threads: int | None,
) -> None:  # fmt: skip
    """Validate the submission in FOLDER, rescore its records and compare them with a rerun; write what was found.

    FOLDER and the rerun are data: nothing of them is imported. What a maintainer has to confirm counts as not passed.

    \b
    Example:
      invbench ci review head/submissions/my-method --base base/submissions --author a-author --out review.json
    """
    from benchmark.submissions.review import Review

    if scope_failed:
        result = Review.refused(scope_failed.read_text(encoding="utf-8", errors="replace"))
    else:
        from benchmark.commands.common import open_device
        from benchmark.engine.checks import review_submission

        quiet()
        result = review_submission(folder, base, rerun, open_device("cpu", threads), author, run_outcome)
    write_text(out, result.model_dump_json(indent=1) + "\n")
    for finding in result.findings:
        where = f"{finding.where}: " if finding.where else ""
        click.echo(printable(f"{finding.severity.capitalize()}: {where}{finding.message}"), err=True)
    if not result.passed:
        raise SystemExit(2)
