"""The command that measures what a worker costs."""

from __future__ import annotations

import click

from benchmark.commands.common import device_option, json_option, open_device, print_json, quiet

__all__ = ["bench_worker"]


@click.command("worker")
@click.option("--submission", default="modular", show_default=True, metavar="ID", help="Whose inverses are run.")
@click.option("--target", "targets", multiple=True, help="Only this target of mini@1; may be repeated.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Tiles that are timed, each way.")
@device_option
@json_option
def bench_worker(submission: str, targets: tuple[str, ...], rounds: int, device: str, as_json: bool) -> None:
    """Measure what it costs to run an inverse in a worker: seconds with one over seconds without, in one run.

    One CPU thread. Goal for an inverse that costs what `modular` costs: at most 1.1.

    \b
    Examples:
      invbench bench worker
      invbench bench worker --submission ridge --target mini-vit --rounds 8
    """
    from tabulate import tabulate

    from benchmark.content.content import Content
    from benchmark.diagnostics.worker_times import measure_worker
    from benchmark.engine.jobs import Options
    from benchmark.files.paths import submissions_root
    from benchmark.submissions.candidates import open_submission
    from benchmark.suites.catalog import load_suite
    from benchmark.suites.lock import load_lock

    suite = load_suite("mini@1")
    wanted = [suite.target(name) for name in targets] or list(suite.targets)
    quiet()
    candidate = open_submission(submissions_root() / submission, wanted, trust_code=False)
    options = Options(open_device(device, 1), targets=targets or None)
    rows = measure_worker(Content(suite, load_lock(suite)), candidate, options, rounds)
    if as_json:
        print_json(rows)
    else:
        click.echo(tabulate(rows, headers="keys", tablefmt="simple", floatfmt=".2f"))
