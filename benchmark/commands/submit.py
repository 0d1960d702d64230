"""Commands of those who submit: make a submission, validate it, withdraw a record, hand it in."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from benchmark.commands.common import OUTPUT_FOLDER, json_option, print_json, printable

__all__ = ["init", "submit", "validate_command", "withdraw_command"]


@click.command("init")
@click.argument("submission_id", metavar="ID")
@click.option("--method", help="Method of the package [default: ridge]; with --code, id of the new one [default: ID].")
@click.option("--code", is_flag=True, help="Add inverse.py, a template for an architecture of your own.")
@click.option("--author", default="A. Author", show_default=True, help="Who made it.")
@click.option("--account", help="The account that opens its pull requests, which alone may change the entry later.")
@click.option(
    "--root", type=OUTPUT_FOLDER, help="Folder of submissions [default: that of the checkout, else ./submissions]."
)
def init(
    submission_id: str, method: str | None, code: bool, author: str, account: str | None, root: Path | None
) -> None:
    """Make a new submission ID, which is valid and runs on mini@1 as it is.

    \b
    Examples:
      invbench init my-ridge --author "A. Author" --account a-author
      invbench init my-net --code
    """
    from benchmark.files.paths import checkout, submissions_root
    from benchmark.submissions.scaffold import write_scaffold
    from benchmark.submissions.submission import ANYBODY

    root = root or (submissions_root() if checkout() else Path("submissions"))
    paths = write_scaffold(root, submission_id, method, author, code=code, account=account or ANYBODY)
    folder = paths[0].parent
    with suppress(ValueError):
        folder = folder.relative_to(Path.cwd())
    for path in paths:
        click.echo(f"Wrote {path}")
    trust = " --trust-code" if code else ""
    click.echo(
        f"\nNext:\n  invbench validate {folder}\n  invbench eval --submission {folder}{trust}\n"
        f"  invbench submit {folder} --dry-run"
    )


@click.command("validate")
@click.argument("references", nargs=-1, metavar="[ID|PATH]...")
@click.option(
    "--base",
    metavar="DIR|REF",
    help="The published submissions, to which a change may only add: a folder, or a branch of this clone.",
)
@click.option("--account", help="With --base: the account that will open the pull request, to see if it may.")
@json_option
def validate_command(references: tuple[str, ...], base: str | None, account: str | None, as_json: bool) -> None:
    """Check submissions [default: all] for everything that their pull request will be checked for, offline.

    Nothing of a submission is imported. Errors keep it out, notes do not; what is marked "Confirm" a maintainer has to
    confirm before it is merged.

    \b
    Examples:
      invbench validate
      invbench validate submissions/my-method
      invbench validate my-method --base main
      invbench validate my-method --json
    """
    from benchmark.files.paths import submissions_root
    from benchmark.submissions.ownership import check_change
    from benchmark.submissions.pull_request import open_published
    from benchmark.submissions.submission import list_submissions
    from benchmark.submissions.validate import validate

    root = submissions_root()
    folders = [_folder(reference, root) for reference in references] or [root / n for n in list_submissions(root)]
    findings = {}
    for folder in folders:
        findings[folder] = validate(folder)
        if base and folder.is_dir():
            with open_published(base, folder) as before:
                findings[folder] += check_change(folder, before, account)
    errors = [item for items in findings.values() for item in items if item.severity == "error"]
    if as_json:
        print_json(
            [
                {"submission": folder.name, "valid": all(item.severity != "error" for item in items)}
                | {"findings": [vars(item) for item in items]}
                for folder, items in findings.items()
            ]
        )
    else:
        for folder, items in findings.items():
            for item in items:
                click.secho(
                    f"{item.severity.capitalize()}: {printable(str(item))}", fg="red" if item in errors else None
                )
            if not any(item in errors for item in items):
                click.echo(f"{folder.name}: valid")
    if errors:
        raise SystemExit(max(item.exit_code for item in errors))


def _folder(reference: str, root: Path) -> Path:
    """Return the folder that an id below `root` or a path names, whatever it holds."""
    path = root / reference
    return path if "/" not in reference and (path / "submission.toml").is_file() else Path(reference).resolve()


@click.command("withdraw")
@click.argument("reference", metavar="ID|PATH")
@click.option("--suite", "suite_id", default="mini@1", show_default=True, help="Suite of the record.")
@click.option("--reason", required=True, help="Why, in a sentence or two; the board shows it.")
def withdraw_command(reference: str, suite_id: str, reason: str) -> None:
    """Withdraw the record of a submission: it stays in the tree and is no longer ranked.

    \b
    Example:
      invbench withdraw my-method --suite mini@1 --reason "Trained on the test images by mistake."
    """
    from datetime import date

    from benchmark.records.history import HISTORY, withdraw
    from benchmark.submissions.submission import find_submission

    folder, _ = find_submission(reference)
    event = withdraw(folder, suite_id, reason, date.today())
    click.echo(f"Withdrew record {event.record[:16]} of {suite_id}; told in {folder / HISTORY}")


@click.command("submit")
@click.argument("reference", metavar="ID|PATH")
@click.option("--dry-run", is_flag=True, help="Change nothing; show the steps that remain.")
def submit(reference: str, dry_run: bool) -> None:
    """Make a branch with one commit of a valid submission, and show the steps to its pull request.

    Nothing is pushed: that step, and the pull request, are yours.

    \b
    Example:
      invbench submit my-method --dry-run
    """
    from benchmark.errors import SpecError
    from benchmark.submissions.pull_request import commit, plan_steps
    from benchmark.submissions.submission import find_submission
    from benchmark.submissions.validate import validate

    folder, _ = find_submission(reference)
    findings = validate(folder)
    if errors := [item for item in findings if item.severity == "error"]:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise SpecError(f"{errors[0]}{more}", cure=f"see: invbench validate {reference}")
    for item in findings:
        click.echo(f"Note: {item}", err=True)
    steps = plan_steps(folder)
    if not dry_run:
        click.echo(f"Committed on branch {commit(folder, steps)}.")
    click.echo(steps.render(done=not dry_run))
