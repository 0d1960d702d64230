"""Commands that write what is generated in docs/."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.commands.common import OUTPUT_FILE, Cli
from benchmark.files.storing import write_text

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
    write_text(out, page)
    click.echo(out)
