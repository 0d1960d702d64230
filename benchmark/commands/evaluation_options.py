"""The options that the commands about evaluations share."""

from __future__ import annotations

from collections.abc import Callable

import click

from benchmark.commands.common import OUTPUT_FILE, OUTPUT_FOLDER, data_folder_option, suite_option
from benchmark.commands.isolation import require_option, trust_option, worker_option

__all__ = ["parse_shard", "watch_options", "what_options"]


def parse_shard(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Index from 0 and count of a text such as 2/8, which counts from 1."""
    if value is None:
        return None
    number, _, count = value.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise click.BadParameter(f"'{value}' is no I/N with I from 1 to N, such as 2/8", ctx, param)
    return int(number) - 1, int(count)


_WHAT = (
    click.option("--submission", "reference", metavar="ID|PATH", help="Submission to evaluate [default: modular]."),
    click.option(
        "--inverse",
        "references",
        multiple=True,
        metavar="ORG/NAME@REVISION|FOLDER",
        help="Evaluate an inverse from the Hub, at a full commit, or from a folder; may be repeated, one a target.",
    ),
    suite_option,
    click.option(
        "--target", "targets", multiple=True, help="Only this target; may be repeated. The record is partial."
    ),
    data_folder_option,
    click.option(
        "--batch-size",
        default=16,
        show_default=True,
        type=click.IntRange(1, 10**6),
        help="Images kept and checkpointed together, in steps of 8; scores do not depend on it.",
    ),
    click.option(
        "--micro-batch",
        type=click.Choice(["8", "4", "2", "1"]),
        callback=lambda ctx, param, value: value and int(value),
        help="Images that go through the networks at once; fewer take less memory, and scores may differ in their last "
        "digits [default: 8, halved where they do not fit].",
    ),
    click.option(
        "--precision",
        default="float32",
        show_default=True,
        type=click.Choice(["float32", "bf16"]),
        help="bf16 runs target and inverse in bfloat16, to explore: the record is marked and never ranked.",
    ),
    click.option(
        "--compile",
        "compiled",
        is_flag=True,
        help="Compile the inverse with torch.compile, to explore: the record is marked and never ranked.",
    ),
    click.option("--limit", type=click.IntRange(1), help="Only the first N images; the record is marked partial."),
    click.option(
        "--with-audit", is_flag=True, help="With --limit, the audit images too: those that the site shows, as it may."
    ),
    click.option(
        "--out",
        type=OUTPUT_FOLDER,
        help="Where the record goes [default: invbench-results; for a PATH, the submission itself].",
    ),
    trust_option,
    worker_option,
    require_option,
    click.option("--supersede", metavar="REASON", help="Put the record that is there aside, unchanged, and say why."),
    click.option("--overwrite", is_flag=True, help="Replace a record that was never published."),
)


def what_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say what is evaluated and where the record goes."""
    for option in reversed(_WHAT):
        command = option(command)
    return command


def watch_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that let programs and people watch it."""
    log = click.option(
        "--log-json",
        "log",
        type=OUTPUT_FILE,
        metavar="FILE",
        help="Append a line of JSON for every chunk that is done: what, seconds by stage, time left.",
    )
    trace = click.option(
        "--profile",
        "trace",
        type=OUTPUT_FILE,
        metavar="FILE",
        help="Write what PyTorch does for one tile of images as a trace for chrome://tracing or Perfetto.",
    )
    return log(trace(command))
