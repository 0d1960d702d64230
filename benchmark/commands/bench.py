"""Commands that measure the benchmark itself."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.commands.common import (
    EXISTING_FOLDER,
    FILE,
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


@bench.command("batteries")
@suite_option
@click.option(
    "--images",
    default=128,
    show_default=True,
    type=click.IntRange(16),
    help="Fresh images, and at most so many frozen ones, in steps of 8; four times as many to train on.",
)
@click.option(
    "--steps", default=500, show_default=True, type=click.IntRange(1), help="Steps of each optimization of an image."
)
@click.option("--trial", type=FILE, help="Only score a few answers on the first 64 images of this Parquet file.")
@click.option("--out", type=OUTPUT_FILE, help="Write Markdown to this file.")
@device_option
@threads_option
@json_option
def bench_batteries(
    suite_id: str,
    images: int,
    steps: int,
    trial: Path | None,
    out: Path | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Show that tricks do not pay: answers that ignore the image score nothing, filters of recons gain nothing.

    Exits with 1 if a bound is broken. Takes some minutes.

    \b
    Examples:
      invbench bench batteries --images 32 --steps 50
      invbench bench batteries --out docs/batteries.md
      invbench bench batteries --trial images.parquet
    """
    from benchmark.suites.catalog import load_suite
    from benchmark.suites.lock import load_lock

    suite = load_suite(suite_id)

    from benchmark.content.content import Content
    from benchmark.diagnostics import batteries_page as page

    quiet()
    torch_device = open_device(device, threads)
    if trial:
        from benchmark.diagnostics.batteries import battery_keys
        from benchmark.diagnostics.batteries_trial import read_images, score_trial

        scored = score_trial(suite, read_images(trial), torch_device)
        rows, text, failures = page.scored_rows(scored, battery_keys(suite)), page.render_trial(suite, scored), []
    else:
        from benchmark.diagnostics.batteries import measure_batteries

        found = measure_batteries(Content(suite, load_lock(suite)), torch_device, images // 8 * 8, steps)
        rows, text, failures = page.write_rows(found), page.render_batteries(found), page.find_failures(found)
    if out:
        write_text(out, text)
    print_json(rows) if as_json else click.echo(out or text)
    if failures:
        click.get_current_context().exit(1)


@bench.command("eval")
@suite_option
@click.option(
    "--submission", "submission_id", default="modular_per_tap", show_default=True, help="Whose inverses are evaluated."
)
@click.option("--target", "targets", multiple=True, help="Only this target; may be repeated.")
@click.option("--perturbation", "kinds", multiple=True, help="Only identity and this one; may be repeated.")
@click.option("--images", default=32, show_default=True, type=click.IntRange(1), help="The first so many images.")
@click.option(
    "--naive",
    default=1,
    show_default=True,
    type=click.IntRange(0),
    help="So many of them by the naive script; 0: none.",
)
@click.option(
    "--full-size",
    is_flag=True,
    help="Targets of coco@1 and modular inverses at published size, random weights [default: DETR and ViT].",
)
@device_option
@threads_option
@json_option
def bench_eval(
    suite_id: str,
    submission_id: str,
    targets: tuple[str, ...],
    kinds: tuple[str, ...],
    images: int,
    naive: int,
    full_size: bool,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Measure what an evaluation adds to the forward passes of target and inverse, as ratios taken in one run.

    The opponent is a script that takes image by image, perturbation by perturbation and tap by tap, and scores with
    scikit-image, scipy and lpips.

    \b
    Examples:
      invbench bench eval
      invbench bench eval --target mini-vit --images 128 --naive 4 --threads 2
      invbench bench eval --full-size --target vit-base-16 --perturbation hue_set_0 --images 8
    """
    from tabulate import tabulate

    from benchmark.errors import did_you_mean
    from benchmark.files.paths import submissions_root
    from benchmark.suites.catalog import load_suite
    from benchmark.suites.lock import load_lock

    suite = load_suite(suite_id)
    full = load_suite("coco@1") if full_size else suite
    if unknown := [kind for kind in kinds if kind not in full.perturbations]:
        raise did_you_mean("perturbation", unknown[0], full.perturbations)
    if kinds:
        full = full.model_copy(
            update={"perturbations": ("identity", *(kind for kind in full.perturbations[1:] if kind in kinds))}
        )
    wanted = [full.target(name) for name in targets] or ([] if full_size else list(suite.targets))

    from benchmark.content.content import Content
    from benchmark.diagnostics.evaluation_times import measure_evaluation, measure_full_size
    from benchmark.diagnostics.full_size import EnlargedImages
    from benchmark.engine.jobs import Options
    from benchmark.submissions.candidates import open_submission

    quiet()
    torch_device = open_device(device, threads)
    content = Content(suite if full_size else full, load_lock(suite))
    if full_size:
        names = [target.id for target in wanted] or ["detr-resnet-50", "vit-base-16"]
        enlarged = EnlargedImages(content.images, suite.targets[0].input_size)
        rows = measure_full_size(full, names, enlarged, images, naive, torch_device)
    else:
        options = Options(torch_device, limit=images, targets=tuple(target.id for target in wanted))
        candidate = open_submission(submissions_root() / submission_id, wanted, trust_code=False)
        rows = measure_evaluation(content, candidate, options, naive)
    print_json(rows) if as_json else click.echo(tabulate(rows, headers="keys", tablefmt="simple", floatfmt=".2f"))


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
