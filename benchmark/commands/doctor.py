"""The command that says what this installation can do."""

from __future__ import annotations

import click

from benchmark.commands.common import json_option, print_json

__all__ = ["doctor"]


@click.command("doctor")
@json_option
def doctor(as_json: bool) -> None:
    """Say what this installation can do: devices, versions, caches, and what works offline."""
    from benchmark.diagnostics.doctor import examine

    report = examine()
    if as_json:
        print_json(report)
        return
    for section, lines in report.items():
        click.secho(section, bold=True)
        for name, value in lines.items():
            click.echo(f"  {name:<18} {value}")
