"""Commands about what a run costs: by the model, and the model against the clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.commands.common import (
    EXISTING_FOLDER,
    OUTPUT_FILE,
    device_option,
    json_option,
    open_device,
    print_json,
    quiet,
)
from benchmark.errors import SpecError, UserError, did_you_mean
from benchmark.files.storing import write_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.diagnostics.costs import Price, Speeds
    from benchmark.suites.spec import Suite

__all__ = ["bench_cost", "bench_cost_check"]

HERE = "here"
SHOWN = ("target", "weights_M", "target_TFLOP", "inverse_TFLOP", "metrics_TFLOP", "layers_TFLOP", "total_GB", "total_s")


def _speeds(on: str, teraflops: float | None, gigabytes: float | None) -> Speeds:
    """Return the speeds of a device, with what is given instead of its own."""
    from benchmark.diagnostics.costs import ASSUMED, Speeds

    # Refuses before anything is measured.
    Speeds("as given", 1.0 if teraflops is None else teraflops, 1.0 if gigabytes is None else gigabytes)
    if on == HERE and (teraflops is None or gigabytes is None):
        from benchmark.diagnostics.speeds import measure_speeds

        known = measure_speeds(open_device("cpu", 1), "one core here")
    else:
        known = ASSUMED["h100"]
    if teraflops is None and gigabytes is None:
        return known
    return Speeds("as given", teraflops or known.teraflops, gigabytes or known.gigabytes)


def _count(suite: Suite, names: Sequence[str], out: Path | None) -> list[Price]:
    """Count the work of targets, and write it to a file, beside what it holds of other suites and targets."""
    from benchmark.content.content import Content
    from benchmark.diagnostics.costs import price
    from benchmark.diagnostics.counting import count_suite
    from benchmark.diagnostics.full_size import EnlargedImages
    from benchmark.suites.catalog import load_suite
    from benchmark.suites.lock import load_lock

    stored = _read(out) if out else {}
    quiet()
    mini = load_suite("mini@1")
    images = EnlargedImages(Content(mini, load_lock(mini)).images, mini.targets[0].input_size)
    counts = dict(count_suite(suite, names, images))
    if out:
        stored[suite.id] = stored.get(suite.id, {}) | {name: found.as_json() for name, found in counts.items()}
        write_text(out, _table(stored))
    return [price(suite, name, found) for name, found in counts.items()]


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Return the counts in a file by suite and target; none where there is no file."""
    if not path.is_file():
        return {}
    try:
        stored = json.loads(path.read_bytes())
    except ValueError:
        stored = None
    if not isinstance(stored, dict) or not all(isinstance(rows, dict) for rows in stored.values()):
        raise SpecError("holds no counts", where=str(path), cure="write to another file")
    return stored


def _table(stored: dict[str, dict[str, Any]]) -> str:
    """Return counts as JSON, a line for each target."""
    suites = []
    for suite in sorted(stored):
        lines = [f"    {json.dumps(name)}: {json.dumps(row)}" for name, row in stored[suite].items()]
        suites.append(f"  {json.dumps(suite)}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(suites) + "\n}\n"


@click.command("cost")
@click.option("--suite", "suite_id", default="coco@1", show_default=True, help="A suite of the package.")
@click.option("--target", "targets", multiple=True, help="Only this target; may be repeated.")
@click.option("--gpus", multiple=True, default=(1, 8, 64), show_default=True, type=click.IntRange(1), help="How many.")
@click.option(
    "--on",
    default="h100",
    show_default=True,
    type=click.Choice(["h100", HERE]),
    help="Whose speeds: those assumed of an H100, or those of one core here, measured in a second.",
)
@click.option("--teraflops", type=float, help="10^12 operations a second that a device sustains in float32, instead.")
@click.option("--gigabytes", type=float, help="10^9 bytes a second that its memory sustains, instead.")
@click.option(
    "--count", is_flag=True, help="Count the work anew, which takes minutes, instead of reading what was counted."
)
@click.option("--out", type=OUTPUT_FILE, help="With --count: write the counts into this JSON file.")
@click.option("--markdown", is_flag=True, help="Print the tables of the documentation.")
@json_option
def bench_cost(
    suite_id: str,
    targets: tuple[str, ...],
    gpus: tuple[int, ...],
    on: str,
    teraflops: float | None,
    gigabytes: float | None,
    count: bool,
    out: Path | None,
    markdown: bool,
    as_json: bool,
) -> None:
    """Compute what evaluating and training modular inverses takes, from counted operations and bytes.

    Networks have their published size. The counts are exact; the hours follow from two speeds. Work and seconds are
    those of an image of the suite, under all perturbations at all taps.

    \b
    Examples:
      invbench bench cost
      invbench bench cost --suite imagenet@1 --on here --gpus 1
      invbench bench cost --target vit-base-16 --gpus 4 --teraflops 45 --gigabytes 2000
    """
    from benchmark.diagnostics.costs import describe_prices, price_suite, render_prices, render_training, render_work
    from benchmark.inverses.recipes import load_recipe
    from benchmark.suites.catalog import load_suite

    if out and not count:
        raise UserError("nothing is counted that could be written", where="--out", cure="add --count")
    suite, speeds = load_suite(suite_id), _speeds(on, teraflops, gigabytes)
    names = [suite.target(name).id for name in targets] or [target.id for target in suite.targets]
    prices = _count(suite, names, out) if count else price_suite(suite, names)
    recipes = {name: load_recipe("modular", suite.target(name)) for name in names}
    trained = {name: recipe.steps * recipe.batch_size for name, recipe in recipes.items()}
    rows = describe_prices(prices, speeds, gpus, trained)
    if as_json:
        print_json(rows)
    elif markdown:
        tables = (
            render_work(prices, speeds),
            render_prices(prices, speeds, gpus),
            render_training(prices, speeds, trained),
        )
        click.echo("\n\n".join(tables))
    else:
        from tabulate import tabulate

        shown = [{key: row[key] for key in row if key in SHOWN or "_h_" in key} for row in rows]
        click.echo(f"{suite.id}, an image; {speeds}")
        click.echo(tabulate(shown, headers="keys", tablefmt="simple", floatfmt=".3g"))


@click.command("cost-check")
@click.argument("photographs", type=EXISTING_FOLDER)
@click.option("--suite", "suite_id", default="coco@1", show_default=True, help="A suite of the package.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    default=("swin-base", "vit-base-16", "detr-resnet-50"),
    show_default=True,
    help="May be repeated.",
)
@click.option("--perturbation", "kinds", multiple=True, help="Beside identity; may be repeated.")
@click.option(
    "--taps",
    type=click.IntRange(2),
    help="About so many taps of a target, one for each component at least [default: all].",
)
@device_option
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="CPU threads.")
@json_option
def bench_cost_check(
    photographs: Path,
    suite_id: str,
    targets: tuple[str, ...],
    kinds: tuple[str, ...],
    taps: int | None,
    device: str,
    threads: int,
    as_json: bool,
) -> None:
    """Compare what `bench cost` says with the clock, on eight of the PHOTOGRAPHS (a folder as --data-dir takes it).

    Speeds and an evaluation with modular inverses, judge and LPIPS are measured in one process, on networks of
    published size with random weights. Seconds are those of an image; ratios are measured over modelled. On a CPU they
    are computing time, so that other processes hardly matter; `share` is how many cores the process had on average.

    \b
    Examples:
      invbench bench cost-check coco
      invbench bench cost-check coco --target vit-base-16 --perturbation hue_set_0 --taps 4
    """
    from tabulate import tabulate

    from benchmark.suites.catalog import load_suite

    suite = load_suite(suite_id)
    for kind in kinds:
        if kind not in suite.perturbations:
            raise did_you_mean("perturbation", kind, suite.perturbations)
    names = [suite.target(name).id for name in targets]

    from benchmark.content.content import Content, empty_lock
    from benchmark.diagnostics.cost_check import check_costs, shorten

    quiet()
    short = shorten(suite, kinds, taps)
    images = Content(short, empty_lock(short), photographs).images
    rows = check_costs(short, names, images, open_device(device, threads))
    if as_json:
        print_json(rows)
        return
    shown = [{key: value for key, value in row.items() if not key.endswith("model_s")} for row in rows]
    click.echo(tabulate(shown, headers="keys", tablefmt="simple", floatfmt=".2f"))
