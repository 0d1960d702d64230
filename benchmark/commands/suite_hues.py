"""The command that measures the canonical hues of a suite's categories."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.commands.common import data_folder_option, json_option, print_json, printable
from benchmark.errors import UserError
from benchmark.files.storing import check_writable

if TYPE_CHECKING:
    from benchmark.suites.lock import Hues

__all__ = ["suite_hues"]


@click.command("hues")
@click.argument("suite_id", default="coco@1", metavar="[SUITE]")
@click.option(
    "--split", type=click.Choice(["train2017", "val2017"]), default="train2017", show_default=True,
    help="Part of COCO to measure on.",
)  # fmt: skip
@data_folder_option
@json_option
def suite_hues(suite_id: str, split: str, data_folder: Path | None, as_json: bool) -> None:
    """Measure which hue the objects of each category usually have, and write it into the lock of a suite of COCO.

    Needs the photographs (invbench data fetch coco --split train2017). Interrupt it whenever you like; rerun the
    command to resume.

    \b
    Examples:
      invbench suite hues coco@1
      invbench suite hues coco@1 --data-dir /data/coco
    """
    from benchmark.suites.catalog import load_suite
    from benchmark.suites.lock import load_lock
    from benchmark.suites.spec import CocoData

    suite = load_suite(suite_id)
    if not isinstance(suite.dataset, CocoData):
        raise UserError("its images have no categories of COCO", where=suite.id, cure="name a suite such as coco@1")
    load_lock(suite)
    check_writable(suite.lock_path, file=True)

    from benchmark.content.photographs import locate_photographs
    from benchmark.engine.hues import measure_hues
    from benchmark.engine.lock_builder import write_lock

    hues = measure_hues(data_folder or locate_photographs("coco", split), split)
    before = load_lock(suite)  # It may have been completed meanwhile.
    lock = before.model_copy(update={"hues": hues})
    write_lock(suite, lock)
    if as_json:
        print_json(hues.model_dump(mode="json"))
    else:
        _show(hues)
    click.echo(suite.lock_path, err=as_json)
    if not before.draft and lock.digest != before.digest:
        click.echo("note: the lock was whole and has changed; records made with it before do not match it", err=True)


def _show(hues: Hues) -> None:
    from tabulate import tabulate

    rows = [
        [printable(name), item.hue_deg, item.resultant, item.spread_deg, item.objects, item.colored, item.reason]
        for name, item in hues.categories.items()
    ]
    headers = ["category", "hue, degrees", "resultant", "spread, degrees", "objects", "colored", "why there is no hue"]
    click.echo(tabulate(rows, headers, floatfmt=("", ".0f", ".2f", ".0f"), missingval="-"))
    click.echo(f"{hues.images:,} images of {hues.split}, {hues.left_out:,} of them left out; {hues.objects:,} objects")
