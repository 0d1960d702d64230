"""Commands that measure the benchmark itself."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.commands.common import (
    EXISTING_FOLDER,
    OUTPUT_FILE,
    Cli,
    device_option,
    json_option,
    open_device,
    parse_size,
    perceptual_option,
    print_json,
    quiet,
    suite_option,
    threads_option,
)
from benchmark.files.storing import write_text

__all__ = ["bench"]


@click.group("bench", cls=Cli)
def bench() -> None:
    """Measure the benchmark itself."""


@bench.command("targets")
@suite_option
@click.option(
    "--networks",
    type=EXISTING_FOLDER,
    help="Folder of networks by name, as train target makes them; the frozen images are left alone then.",
)
@click.option("--scenes", default=512, show_default=True, type=click.IntRange(64), help="Validation scenes.")
@device_option
@threads_option
@json_option
def bench_targets(
    suite_id: str, networks: Path | None, scenes: int, device: str, threads: int | None, as_json: bool
) -> None:
    """Measure how good the embedded targets and the judge are at their own task.

    Bounds hold on fresh validation scenes, apart for focal objects in their category's canonical hue and in another
    one. The frozen test images are reported without a bound.

    \b
    Examples:
      invbench bench targets
      invbench bench targets --networks trained --scenes 256
    """
    from tabulate import tabulate

    from benchmark.suites.catalog import load_suite
    from benchmark.suites.lock import load_lock

    suite = load_suite(suite_id)

    from benchmark.content.content import Content
    from benchmark.diagnostics.target_quality import measure_quality

    quiet()
    content, torch_device = Content(suite, load_lock(suite)), open_device(device, threads)
    rows = [figure.row() for figure in measure_quality(content, torch_device, networks=networks, count=scenes)]
    print_json(rows) if as_json else click.echo(tabulate(rows, headers="keys", tablefmt="simple", floatfmt=".3f"))


@bench.command("degradations")
@suite_option
@click.option("--limit", type=click.IntRange(8), help="Only the first N images, in steps of 8.")
@perceptual_option
@click.option("--out", type=OUTPUT_FILE, help="Write Markdown to this file.")
@device_option
@threads_option
@json_option
def bench_degradations(
    suite_id: str,
    limit: int | None,
    perceptual: Path | None,
    out: Path | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Show what every metric says about edits of known effect: blur, noise, hue changes, trivial answers.

    \b
    Examples:
      invbench bench degradations --limit 16
      invbench bench degradations --out docs/degradations.md
    """
    from benchmark.suites.catalog import load_suite
    from benchmark.suites.lock import load_lock

    suite = load_suite(suite_id)
    anchors = load_lock(suite).anchors[suite.targets[0].id]

    from benchmark.content.content import Content
    from benchmark.diagnostics import degradation_table as table
    from benchmark.engine.anchors import load_training_mean
    from benchmark.engine.networks import load_networks_with_targets

    quiet()
    torch_device, every = open_device(device, threads), table.with_every_metric(suite)
    images, first = Content(suite, load_lock(suite)).images, suite.targets[0]
    count = limit - limit % 8 if limit else len(images.ids)
    degradations = table.measure_degradations(
        every,
        [images.load(index, first.input_size) for index in range(count)],
        anchors,
        load_training_mean(first, images, torch_device),
        load_networks_with_targets(Content(every, load_lock(suite)), torch_device, perceptual),
        torch_device,
    )
    text = table.render_degradations(degradations, suite.axes)
    if out:
        write_text(out, text)
    print_json(degradations.rows()) if as_json else click.echo(out or text)


@bench.command("metrics")
@click.option(
    "--size",
    "sizes",
    multiple=True,
    default=("96x96", "224x224", "480x640"),
    show_default=True,
    metavar="HxW",
    help="Height and width; may be repeated.",
)
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1), help="Measurements of each.")
@perceptual_option
@suite_option
@threads_option
@json_option
def bench_metrics(
    sizes: tuple[str, ...],
    repeats: int,
    perceptual: Path | None,
    suite_id: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Measure how fast the metrics are on the CPU, in milliseconds per image, beside their references.

    Cold: everything is computed anew. Cached: what depends on the reference image alone is known, as in an
    evaluation. Reference: scikit-image, scipy and others, image by image.
    """
    from tabulate import tabulate

    from benchmark.suites.catalog import load_suite

    suite, shapes = load_suite(suite_id), [parse_size(size) for size in sizes]

    from benchmark.diagnostics.metric_times import measure_metrics

    quiet()
    open_device("cpu", threads)
    rows = measure_metrics(suite, shapes, repeats, perceptual)
    print_json(rows) if as_json else click.echo(tabulate(rows, headers="keys", tablefmt="simple", floatfmt=".2f"))
