"""The command that lists what is available."""

from __future__ import annotations

import click

from benchmark.commands.common import json_option, print_json, suite_option

__all__ = ["list_command"]

LISTINGS = ("suites", "submissions", "targets", "taps", "perturbations", "methods", "metrics")


@click.command("list")
@click.argument("what", type=click.Choice(LISTINGS), default="suites")
@suite_option
@click.option("--target", "target_id", help="Only this target and its taps.")
@json_option
def list_command(what: str, suite_id: str, target_id: str | None, as_json: bool) -> None:
    """List what there is: suites, submissions, targets, taps, perturbations, methods or metrics."""
    from tabulate import tabulate

    from benchmark.commands import listings
    from benchmark.suites.catalog import load_suite

    suite = load_suite(suite_id)
    rows = listings.LISTINGS[what](suite, [suite.target(target_id)] if target_id else list(suite.targets))
    print_json(rows) if as_json else click.echo(tabulate(rows, headers="keys", tablefmt="simple"))
