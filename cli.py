"""The command line: `invbench`. Thin, and free of torch until a command computes something."""

from __future__ import annotations

import click

from benchmark.commands.bench import bench
from benchmark.commands.bench_cost import bench_cost, bench_cost_check
from benchmark.commands.bench_train import bench_train
from benchmark.commands.bench_worker import bench_worker
from benchmark.commands.check import rescore_command, verify
from benchmark.commands.ci import ci
from benchmark.commands.common import Cli
from benchmark.commands.data import data
from benchmark.commands.docs import docs
from benchmark.commands.doctor import doctor
from benchmark.commands.evaluation import evaluate_command, merge_command
from benchmark.commands.list import list_command
from benchmark.commands.publish import publish
from benchmark.commands.score import score_files
from benchmark.commands.submit import init, submit, validate_command, withdraw_command
from benchmark.commands.suite_hues import suite_hues
from benchmark.commands.suites import suite_group
from benchmark.commands.train import train
from leaderboard.commands import bench_board, board, claims, comment, docs_schemas, show_evaluated

__all__ = ["main"]

EXIT_CODES = "Exit codes: 0 done; 2 a fixable error; 3 content differs from what was pinned; 130 interrupted."


@click.group(
    cls=Cli, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="invbench")
def main() -> None:
    """Benchmark of feature inversion: how well can an image be rebuilt from a frozen network's features?

    \b
    Examples:
      invbench eval                         score the embedded modular inverse on mini@1
      invbench eval --limit 16              a quick look (the record is marked partial)
      invbench list taps --target mini-vit  what can be inverted
      invbench board build --out board      render the leaderboard of the committed records
      invbench init my-method               begin a submission of your own
    """


bench.add_command(bench_board)
bench.add_command(bench_cost)
bench.add_command(bench_cost_check)
bench.add_command(bench_train)
bench.add_command(bench_worker)
ci.add_command(comment)
docs.add_command(docs_schemas)
suite_group.add_command(suite_hues)
COMMANDS = (
    bench, board, ci, claims, data, docs, doctor, evaluate_command(show_evaluated), init, list_command,
    merge_command(show_evaluated), publish,
    rescore_command, score_files, submit, suite_group, train, validate_command, verify, withdraw_command,
)  # fmt: skip
for command in COMMANDS:
    main.add_command(command)


if __name__ == "__main__":
    main()
