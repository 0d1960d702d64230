"""Commands that write what is generated in docs/."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.commands.common import FOLDER, OUTPUT_FILE, Cli

__all__ = ["docs"]


@click.group("docs", cls=Cli)
def docs() -> None:
    """Write the files of docs/ that are generated."""


@docs.command("metrics")
@click.option("--out", type=OUTPUT_FILE, help="File to write [default: print].")
def docs_metrics(out: Path | None) -> None:
    """Render the page on metrics from their declarations.

    \b
    Example:
      invbench docs metrics --out docs/metrics.md
    """
    from benchmark.metrics.page import render_metrics_page

    page = render_metrics_page()
    if out is None:
        click.echo(page, nl=False)
        return
    out.write_text(page, encoding="utf-8", newline="\n")
    click.echo(out)


@docs.command("schemas")
@click.option("--out", required=True, type=FOLDER, help="Folder to write.")
def docs_schemas(out: Path) -> None:
    """Write the JSON Schemas of the files of a submission: what an editor or another tool can check.

    \b
    Example:
      invbench docs schemas --out docs/schemas
    """
    from benchmark.submissions.schemas import write_schemas

    for path in write_schemas(out):
        click.echo(path)
