"""The command that publishes an inverse on the Hub."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.commands.common import EXISTING_FOLDER, FILE, json_option, print_json, printable

__all__ = ["publish"]


@click.command("publish")
@click.argument("folder", type=EXISTING_FOLDER)
@click.argument("repo_id", metavar="ORG/NAME")
@click.option(
    "--results",
    "roots",
    multiple=True,
    type=EXISTING_FOLDER,
    help="Where records of this inverse are: a folder of submissions, a submission or a record; may be repeated"
    " [default: invbench-results].",
)
@click.option(
    "--license",
    "license_id",
    help="License of the weights: apache-2.0, mit, ... [default: that of the submission with these weights].",
)
@click.option("--code", type=FILE, help="Import the architecture from this file, an inverse.py of yours.")
@click.option("--private", is_flag=True, help="Make a new repository private.")
@click.option("--dry-run", is_flag=True, help="Upload nothing; show the files and the model card.")
@json_option
def publish(
    folder: Path,
    repo_id: str,
    roots: tuple[Path, ...],
    license_id: str | None,
    code: Path | None,
    private: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Upload the inverse in FOLDER to ORG/NAME on the Hub, with a model card and its scores as evaluation results.

    FOLDER holds config.json and model.safetensors, as `train inverse` writes them; they are checked first. Records
    of these very files are found by their hashes. What the Hub holds already is not uploaded again. Log in with
    `hf auth login`, or set HF_TOKEN.

    \b
    Examples:
      invbench publish trained/ridge-vit ORG/NAME --dry-run
      invbench publish trained/ridge-vit ORG/NAME --license apache-2.0
    """
    from tabulate import tabulate

    from benchmark.submissions.publish import prepare, upload

    default = Path("invbench-results")
    publication = prepare(folder, repo_id, roots or ([default] if default.is_dir() else []), license_id, code)
    uploaded = None if dry_run else upload(publication, private=private)
    if as_json:
        print_json(
            {
                "repo_id": repo_id,
                "commit": uploaded.commit if uploaded else None,
                "changed": uploaded.changed if uploaded else None,
                "files": publication.rows(),
                "records": [match.record.digest for match in publication.matches.found],
                "notes": publication.notes,
                "card": publication.card,
                "texts": dict(publication.texts),
            }
        )
        return
    for note in publication.notes:
        click.echo(printable(f"Note: {note}"), err=True)
    click.echo(tabulate(publication.rows(), headers="keys", tablefmt="simple"))
    if uploaded is None:
        for name, text in publication.texts.items():
            click.echo(f"\n{name}:\n\n{text}")
        click.echo("Nothing was uploaded (--dry-run).")
        return
    reference = f"{repo_id}@{uploaded.commit}"
    click.echo(f"\nUploaded as {reference}" if uploaded.changed else f"\nNothing changed: as in {reference}")
    suite = next((match.record.suite for match in publication.matches.found), "mini@1")
    click.echo(f"Evaluate it with: invbench eval --inverse {reference} --suite {suite}")
