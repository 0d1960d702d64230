"""The command that publishes an inverse on the Hub."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.commands.common import EXISTING_FOLDER, FILE, json_option, print_json

__all__ = ["publish"]


@click.command("publish")
@click.argument("folder", type=EXISTING_FOLDER)
@click.argument("repo_id", metavar="ORG/NAME")
@click.option(
    "--results",
    "roots",
    multiple=True,
    type=EXISTING_FOLDER,
    help="Folder with records of this inverse; may be repeated [default: invbench-results].",
)
@click.option("--license", "license_id", help="License of the weights, for the model card: apache-2.0, mit, ...")
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
    """Upload the inverse in FOLDER to ORG/NAME on the Hub, with a model card that holds its scores.

    FOLDER holds config.json and model.safetensors, as `train inverse` writes them; they are checked first. Records
    of these very weights are found by their hash. Log in with `hf auth login`, or set HF_TOKEN.

    \b
    Examples:
      invbench publish trained/ridge-vit ORG/NAME --dry-run
      invbench publish trained/ridge-vit ORG/NAME --license apache-2.0
    """
    from tabulate import tabulate

    from benchmark.submissions.publish import prepare, upload

    default = Path("invbench-results")
    publication = prepare(folder, repo_id, roots or ([default] if default.is_dir() else []), license_id, code)
    commit = None if dry_run else upload(publication, private=private)
    if as_json:
        print_json(
            {
                "repo_id": repo_id,
                "commit": commit,
                "files": publication.files(),
                "records": [record.digest for record in publication.records],
                "card": publication.card,
            }
        )
        return
    click.echo(tabulate(publication.files(), headers="keys", tablefmt="simple"))
    if dry_run:
        click.echo(f"\nREADME.md:\n\n{publication.card}")
        click.echo("Nothing was uploaded (--dry-run).")
        return
    click.echo(f"\nUploaded as {repo_id}@{commit}")
    suite = publication.records[0].suite if publication.records else "mini@1"
    click.echo(f"Evaluate it with: invbench eval --inverse {repo_id}@{commit} --suite {suite}")
