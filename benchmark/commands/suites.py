"""Commands that show, lock, check and export suites."""

from __future__ import annotations

import json
from pathlib import Path

import click

from benchmark.commands.common import (
    OUTPUT_FILE,
    Cli,
    data_folder_option,
    device_option,
    json_option,
    open_device,
    print_json,
    quiet,
    threads_option,
)
from benchmark.files.storing import write_text

__all__ = ["suite_group"]

suite_argument = click.argument("suite_id", default="mini@1", metavar="[SUITE]")


@click.group("suite", cls=Cli)
def suite_group() -> None:
    """Show suites, lock and check their content. SUITE is name@version or a .toml file."""


@suite_group.command("show")
@suite_argument
@json_option
def suite_show(suite_id: str, as_json: bool) -> None:
    """Show a suite: images, targets, metrics, and what its lock does not pin yet."""
    from tabulate import tabulate

    from benchmark.suites.catalog import describe_suite, load_suite

    suite = load_suite(suite_id)
    if as_json:
        print_json(suite.model_dump(mode="json"))
        return
    click.echo(tabulate(describe_suite(suite), tablefmt="plain"))


@suite_group.command("diff")
@click.argument("first")
@click.argument("second")
@json_option
def suite_diff(first: str, second: str, as_json: bool) -> None:
    """Say in which fields two suites differ.

    \b
    Example:
      invbench suite diff coco@1 imagenet@1
    """
    from tabulate import tabulate

    from benchmark.suites.catalog import diff_suites, load_suite

    rows = diff_suites(load_suite(first), load_suite(second))
    if as_json:
        print_json(rows)
        return
    click.echo(tabulate(rows, headers="keys", tablefmt="simple") if rows else "no difference")


@suite_group.command("lock")
@suite_argument
@click.option("--draft", is_flag=True, help="Fetch and measure nothing: keep what is pinned, and name the gaps.")
@data_folder_option
@device_option
@threads_option
def suite_lock(suite_id: str, draft: bool, data_folder: Path | None, device: str, threads: int | None) -> None:
    """Pin the content of a suite: hashes of files, images and perturbed images, and the scores of thumbnails.

    What a draft pins already must hold. The lock is written beside the suite.
    """
    from benchmark.suites.catalog import load_suite

    suite = load_suite(suite_id)

    from benchmark.content.content import Content
    from benchmark.engine.lock_builder import draft_lock, known_pins, make_lock

    if draft:
        lock = draft_lock(suite)
    else:
        quiet()
        lock = make_lock(Content(suite, known_pins(suite), data_folder), open_device(device, threads))
    path = suite.lock_path
    text = json.dumps(lock.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"
    write_text(path, text)
    click.echo(path)
    for gap in lock.gaps:
        click.echo(f"not pinned: {gap}")


@suite_group.command("check")
@suite_argument
@data_folder_option
def suite_check(suite_id: str, data_folder: Path | None) -> None:
    """Compare everything that a suite refers to with its lock; exit code 3 on any difference."""
    from benchmark.suites.catalog import load_suite
    from benchmark.suites.lock import load_lock

    suite = load_suite(suite_id)
    lock = load_lock(suite)

    from benchmark.content.content import Content

    Content(suite, lock, data_folder).check()
    click.echo(f"{suite.id}: {len(lock.files)} files and {len(lock.images)} images are as pinned")
    for gap in lock.gaps:
        click.echo(f"not pinned: {gap}")


@suite_group.command("export")
@suite_argument
@click.option("--out", required=True, type=OUTPUT_FILE, help="Parquet file to write.")
@click.option("--size", help="Height and width, as 224x224 [default: that of the first target].")
@data_folder_option
def suite_export(suite_id: str, out: Path, size: str | None, data_folder: Path | None) -> None:
    """Write the images of a suite and their masks to a Parquet file, as a dataset on the Hub holds them.

    A suite whose dataset has `source = "hub"` reads such files.

    \b
    Example:
      invbench suite export coco@1 --size 480x640 --out coco-480x640.parquet
    """
    from benchmark.commands.common import parse_size
    from benchmark.suites.catalog import load_suite
    from benchmark.suites.lock import load_lock

    suite = load_suite(suite_id)
    wanted = parse_size(size) if size else suite.targets[0].input_size

    from benchmark.content.content import Content
    from benchmark.datasets.parquet import write_parquet

    write_parquet(out, Content(suite, load_lock(suite), data_folder).images, wanted)
    click.echo(out)
