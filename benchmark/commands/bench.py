"""Commands that measure the benchmark itself."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.commands.common import (
    FOLDER,
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

__all__ = ["bench"]


@click.group("bench", cls=Cli)
def bench() -> None:
    """Measure the benchmark itself."""


@bench.command("targets")
@suite_option
@device_option
@threads_option
@json_option
def bench_targets(suite_id: str, device: str, threads: int | None, as_json: bool) -> None:
    """Measure how good the embedded targets and the judge are at their own task, on the frozen test images."""
    from tabulate import tabulate

    from benchmark.suites.spec import load_lock, load_suite

    suite = load_suite(suite_id)

    from benchmark.content.content import Content
    from benchmark.diagnostics.target_quality import measure_suite_quality

    quiet()
    rows = measure_suite_quality(Content(suite, load_lock(suite)), open_device(device, threads))
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
    from benchmark.suites.spec import load_lock, load_suite

    suite = load_suite(suite_id)
    anchors = load_lock(suite).anchors[suite.targets[0].id]

    from benchmark.content.content import Content
    from benchmark.diagnostics import degradation_table as table
    from benchmark.engine.anchors import load_training_mean
    from benchmark.engine.evaluation import set_determinism
    from benchmark.engine.networks import load_all_networks

    quiet()
    set_determinism()
    place, every = open_device(device, threads), table.with_every_metric(suite)
    images, first = Content(suite, load_lock(suite)).images, suite.targets[0]
    count = limit - limit % 8 if limit else len(images.ids)
    found = table.measure_degradations(
        every,
        [images.load(index, first.input_size) for index in range(count)],
        anchors,
        load_training_mean(first, images, place),
        load_all_networks(Content(every, load_lock(suite)), place, perceptual),
        place,
    )
    text = table.render_degradations(found, suite.axes)
    if out:
        out.write_text(text, encoding="utf-8")
    print_json(found.rows()) if as_json else click.echo(out or text)


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

    from benchmark.suites.spec import load_suite

    suite, shapes = load_suite(suite_id), [parse_size(size) for size in sizes]

    from benchmark.diagnostics.metric_times import measure_metrics

    quiet()
    open_device("cpu", threads)
    rows = measure_metrics(suite, shapes, repeats, perceptual)
    print_json(rows) if as_json else click.echo(tabulate(rows, headers="keys", tablefmt="simple", floatfmt=".2f"))


@bench.command("board")
@click.option("--entries", default=100, show_default=True, type=click.IntRange(1), help="Submissions.")
@click.option("--targets", default=6, show_default=True, type=click.IntRange(1), help="Targets of the suite.")
@click.option("--taps", default=14, show_default=True, type=click.IntRange(1), help="Taps of each target.")
@click.option("--images", default=128, show_default=True, type=click.IntRange(4), help="Scored images.")
@click.option("--keep", type=FOLDER, help="Write submissions/ and board/ to this folder and leave them there.")
@json_option
def bench_board(entries: int, targets: int, taps: int, images: int, keep: Path | None, as_json: bool) -> None:
    """Measure how long the board of many submissions takes to build, and how large it is.

    The submissions are made up, as many as are asked for; writing them takes a while and is not measured.

    \b
    Examples:
      invbench bench board
      invbench bench board --entries 20 --targets 3 --keep load --json
    """
    import tempfile

    from tabulate import tabulate

    with tempfile.TemporaryDirectory() as temporary:
        row = _measure_board(keep or Path(temporary), (entries, targets, taps, images))
    print_json(row) if as_json else click.echo(tabulate([row], headers="keys", tablefmt="simple", floatfmt=".2f"))


def _measure_board(folder: Path, size: tuple[int, int, int, int]) -> dict[str, float]:
    """Return seconds and sizes of a board of made-up submissions (entries, targets, taps, images), built in `folder`.

    Raises:
        SpecError: the folder holds another load or board.
    """
    from time import perf_counter

    from benchmark.errors import SpecError
    from leaderboard.data.board import Board
    from leaderboard.data.entries import load_entries
    from leaderboard.data.synthetic import write_load
    from leaderboard.site.build import build_site

    root, out = folder / "submissions", folder / "board"
    if root.exists() or out.exists():
        raise SpecError("holds submissions or a board already", where=str(folder), cure="name another folder")
    suite, lock = write_load(root, *size, seed=0)
    start = perf_counter()
    board = Board(suite, lock, load_entries(suite, lock, [root]))
    loaded = perf_counter()
    tables = board.tables
    ranked = perf_counter()
    build_site([board], out)
    built = perf_counter()
    files = {path: path.stat().st_size for path in out.rglob("*") if path.is_file()}
    pages = [count for path, count in files.items() if path.suffix == ".html"]
    return {
        "entries": len(tables[None].rows),
        "load_s": round(loaded - start, 2),
        "rank_s": round(ranked - loaded, 2),
        "build_s": round(built - ranked, 2),
        "pages": len(pages),
        "largest_page_bytes": max(pages),
        "files": len(files),
        "bytes": sum(files.values()),
    }
