"""The command that says what this installation can do."""

from __future__ import annotations

from typing import Any

import click

from benchmark.commands.common import json_option, print_json

__all__ = ["doctor"]

COLUMNS = {
    "target": "target", "target_TFLOP": "Tflop target", "inverse_TFLOP": "inverse", "metrics_TFLOP": "metrics",
    "layers_TFLOP": "layers", "total_GB": "GB",
}  # fmt: skip


def _show_costs(costs: dict[str, Any]) -> None:
    """Print the table of each suite: work of an image by target, and hours of all images by device."""
    from tabulate import tabulate

    from benchmark.diagnostics.costs import Speeds, show_number

    click.secho("costs, with modular inverses", bold=True)
    for speeds in costs["speeds"]:
        click.echo(f"  {Speeds(**speeds)}")
    for suite_id, rows in costs["suites"].items():
        shown = [
            {title: row[key] for key, title in COLUMNS.items()} | {f"h, {name}": h for name, h in row["hours"].items()}
            for row in rows
        ]
        click.echo(f"  {suite_id}, an image, and hours for all {rows[0]['images']:,}")
        cells = [[show_number(v) if isinstance(v, float) else v for v in row.values()] for row in shown]
        sides = ("left", *["right"] * (len(shown[0]) - 1))
        table = tabulate(cells, headers=list(shown[0]), tablefmt="simple", disable_numparse=True, colalign=sides)
        click.echo("\n".join(f"    {line}" for line in table.splitlines()))


@click.command("doctor")
@json_option
def doctor(as_json: bool) -> None:
    """Say what this installation can do: devices, versions, caches, what works offline, and what a run costs.

    Takes some seconds, one of which goes into measuring how fast a core is.
    """
    from benchmark.diagnostics.doctor import examine, examine_costs

    report, costs = examine(), examine_costs()
    if as_json:
        print_json(report | {"costs": costs})
        return
    for section, lines in report.items():
        click.secho(section, bold=True)
        for name, value in lines.items():
            click.echo(f"  {name:<18} {value}")
    _show_costs(costs)
