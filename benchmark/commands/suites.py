"""Commands that show, lock, check and export suites."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from benchmark.files.storing import check_writable

if TYPE_CHECKING:
    from benchmark.suites.lock import Lock
    from benchmark.suites.spec import Suite

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
@click.option("--plan", "plan_only", is_flag=True, help="Print what would be fetched and measured, and stop.")
@data_folder_option
@device_option
@threads_option
@json_option
def suite_lock(
    suite_id: str,
    draft: bool,
    plan_only: bool,
    data_folder: Path | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Pin the content of a suite: hashes of files, images and perturbed images, and the scores of thumbnails.

    A plan is printed first. What a draft pins already must hold. The lock is written beside the suite. Interrupt it
    whenever you like; rerun the command to resume.

    \b
    Examples:
      invbench suite lock mine.toml --plan
      invbench suite lock mine.toml --data-dir /data/coco
    """
    from benchmark.suites.catalog import load_suite

    suite = load_suite(suite_id)

    from benchmark.content.content import Content
    from benchmark.engine.lock_builder import draft_lock, find_revisions, known_pins, make_lock, write_lock

    if draft and plan_only:
        raise click.UsageError("--draft fetches and measures nothing, so that there is no plan; leave out --plan")
    if not plan_only:
        check_writable(suite.lock_path, file=True)
    if draft:
        lock = draft_lock(suite)
        write_lock(suite, lock)
        _tell_lock(suite, lock, as_json, locked=False)
        return
    quiet()
    content = Content(suite, known_pins(suite), data_folder)
    content = content.with_lock(find_revisions(suite, content.lock))

    from benchmark.diagnostics.lock_plan import check_plan, describe_plan, plan_lock

    plan = plan_lock(content)
    if not (plan_only and as_json):
        click.echo("\n".join(describe_plan(plan)), err=not plan_only)
    if plan_only:
        if as_json:
            print_json(plan.as_json())
        return
    check_plan(plan)
    lock, kept = make_lock(content, open_device(device, threads))
    write_lock(suite, lock, kept)
    _tell_lock(suite, lock, as_json, locked=True, plan=plan.as_json())


def _tell_lock(suite: Suite, lock: Lock, as_json: bool, *, locked: bool, **more: Any) -> None:
    """Print where a lock lies and what it does not pin, each gap with what to do about it."""
    from benchmark.content.pins import fix_gap

    gaps = [{"gap": gap, "fix": fix_gap(suite, gap, locked=locked)} for gap in lock.gaps]
    if as_json:
        print_json({"lock": str(suite.lock_path), "digest": lock.digest, "gaps": gaps, **more})
        return
    click.echo(suite.lock_path)
    for gap in gaps:
        click.echo(f"not pinned: {gap['gap']} ({gap['fix']})")


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
    from benchmark.content.pins import fix_gap

    Content(suite, lock, data_folder).check()
    click.echo(f"{suite.id}: {len(lock.files)} files and {len(lock.images)} images are as pinned")
    for gap in lock.gaps:
        click.echo(f"not pinned: {gap} ({fix_gap(suite, gap, locked=False)})")


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
