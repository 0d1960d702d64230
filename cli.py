"""The command line: `invbench`. Thin, and free of torch until a command computes something."""

from __future__ import annotations

import difflib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

from benchmark.errors import UserError

EXIT_CODES = "Exit codes: 0 done; 2 a mistake you can cure; 3 content differs from what was pinned; 130 interrupted."
LISTINGS = ("suites", "submissions", "targets", "taps", "perturbations", "methods", "metrics")
OUT = Path("invbench-results")
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE_OR_FOLDER = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
EXISTING_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


class Cli(click.Group):
    """A group that turns user errors into one line, and knows what you may have meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command for an unknown one."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(self.list_commands(ctx))}"
            raise click.UsageError(f"unknown command '{args[0]}' ({hint})", ctx)
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; mistakes end as one line with their exit code, never as a traceback."""
        try:
            sys.exit(super().main(*args, **kwargs | {"standalone_mode": False}) or 0)
        except NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            click.echo(f"Error: {error.format_message()}", err=True)
            sys.exit(error.exit_code)
        except UserError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(error.exit_code)
        except click.Abort:
            click.echo("Interrupted; run eval or train again, and it goes on where it stood.", err=True)
            sys.exit(130)


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
      invbench list taps --target mini-vit  what there is to invert
      invbench board build --out board      render the leaderboard of the committed records
    """


def _json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _quiet() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()


def _device(name: str, threads: int | None) -> Any:
    import torch

    from benchmark.provenance import get_device

    if threads:
        torch.set_num_threads(threads)
    try:
        device = get_device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device '{name}' cannot be used: {str(error).splitlines()[0]}", where="--device") from None
    return device


device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
threads_option = click.option("--threads", type=click.IntRange(1), help="CPU threads [default: all cores].")
suite_option = click.option("--suite", "suite_id", default="mini@1", show_default=True, help="Suite, as name@version.")
perceptual_option = click.option("--perceptual", type=FILE, help="Network of LPIPS [default: the installed one].")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")


@main.command("eval")
@click.option("--submission", "submission_id", default="modular", show_default=True, help="Submission to evaluate.")
@suite_option
@device_option
@threads_option
@click.option(
    "--batch-size",
    default=16,
    show_default=True,
    type=click.IntRange(1),
    help="Images kept and checkpointed together, in steps of 8; scores do not depend on it.",
)
@click.option("--limit", type=click.IntRange(1), help="Only the first N images; the record is marked partial.")
@click.option(
    "--out",
    default=OUT,
    show_default=True,
    type=FOLDER,
    help="Where the record and the board go.",
)
@json_option
def evaluate(
    submission_id: str,
    suite_id: str,
    device: str,
    threads: int | None,
    batch_size: int,
    limit: int | None,
    out: Path,
    as_json: bool,
) -> None:
    """Score a submission on a suite; write its record and a board.

    Interrupt it when you like: the same command goes on where it stood.

    \b
    Examples:
      invbench eval
      invbench eval --submission ridge --limit 16
      invbench eval --device cuda --json > record.json
    """
    from benchmark.spec import load_lock, load_suite
    from benchmark.submissions import load_submission, record_folder, submissions_root

    suite, root = load_suite(suite_id), submissions_root()
    submission = load_submission(root, submission_id)

    from benchmark.evaluate import Options, evaluate

    _quiet()
    evaluation = evaluate(suite, submission, Options(_device(device, threads), batch_size, limit))
    folder = record_folder(out, submission_id, suite_id)
    record = evaluation.write(folder)
    if out.resolve() != root.resolve():
        shutil.copy(root / submission_id / "submission.toml", out / submission_id / "submission.toml")

    from leaderboard.entries import load_entries
    from leaderboard.render import build_board
    from leaderboard.tables import text_table

    entries = load_entries(
        suite, load_lock(suite), [root, out], on_unusable=lambda error: click.echo(f"Left out: {error}", err=True)
    )
    page = build_board(suite, entries, out / "board") if out.resolve() != root.resolve() else None
    if as_json:
        _json(record.model_dump(mode="json"))
        return
    click.echo(text_table(suite, entries, highlight=submission_id))
    click.echo(
        f"\nRecord  {folder / 'record.json'}  ({record.status}, digest {record.digest[:16]}, {record.run.wall_s:.0f} s)"
    )
    if page:
        click.echo(f"Board   {page}")


@main.command("score")
@click.argument("original", type=FILE_OR_FOLDER)
@click.argument("recon", type=FILE_OR_FOLDER)
@click.option("--mask", type=FILE_OR_FOLDER, help="Focal mask: nonzero is the object.")
@click.option("--seen", type=FILE_OR_FOLDER, help="The perturbed image that the network saw; RECON is its recon.")
@click.option("--baseline", type=FILE_OR_FOLDER, help="Recon of ORIGINAL, where RECON is that of --seen.")
@click.option("--metrics", "names", help="Only these, separated by commas [default: all that apply].")
@device_option
@threads_option
@click.option(
    "--batch-size", default=8, show_default=True, type=click.IntRange(1), help="Images of one size scored together."
)
@json_option
@click.option("--csv", "csv_path", type=click.Path(path_type=Path, dir_okay=False), help="Write per-image scores here.")
def score_files(
    original: Path,
    recon: Path,
    mask: Path | None,
    seen: Path | None,
    baseline: Path | None,
    names: str | None,
    device: str,
    threads: int | None,
    batch_size: int,
    as_json: bool,
    csv_path: Path | None,
) -> None:
    """Score RECON against ORIGINAL: two images, or two folders of images paired by name without extension.

    Files are png, jpg, webp, bmp or tif with 8 bits a channel, turned upright and read as RGB without color
    management; nothing is resized. Transparent pixels, 16 bits and several frames are refused.

    \b
    Examples:
      invbench score photo.png recon.png
      invbench score photos/ recons/ --mask masks/ --csv scores.csv
      invbench score photo.png recon_of_red.png --seen red.png --mask mask.png
      invbench score photos/ recons/ --metrics psnr,ssim --json > scores.json
    """
    from benchmark.errors import SpecError

    if csv_path and not csv_path.parent.is_dir():
        raise SpecError("no such folder", where=str(csv_path.parent), cure="make it first")
    if baseline and not seen:
        raise SpecError("goes with --seen, which is not given", where="--baseline")

    from benchmark.score import Inputs, render_table, score, to_json, write_csv

    inputs = Inputs(original, recon, seen, mask, baseline)
    metrics = [name.strip() for name in names.split(",")] if names is not None else None
    report = score(inputs, _device(device, threads), metrics=metrics, batch_size=batch_size, progress=original.is_dir())
    if csv_path:
        write_csv(report, csv_path)
    _json(to_json(report)) if as_json else click.echo(render_table(report))


@main.command("list")
@click.argument("what", type=click.Choice(LISTINGS), default="suites")
@suite_option
@click.option("--target", "target_id", help="Only this target and its taps.")
@json_option
def list_(what: str, suite_id: str, target_id: str | None, as_json: bool) -> None:
    """List what there is: suites, submissions, targets, taps, perturbations, methods or metrics."""
    from tabulate import tabulate

    from benchmark import catalog
    from benchmark.spec import load_suite

    suite = load_suite(suite_id)
    rows = catalog.LISTINGS[what](suite, [suite.target(target_id)] if target_id else list(suite.targets))
    _json(rows) if as_json else click.echo(tabulate(rows, headers="keys", tablefmt="simple"))


@main.group("board", cls=Cli)
def board() -> None:
    """Render the leaderboard."""


@board.command("build")
@suite_option
@click.option(
    "--records",
    "roots",
    multiple=True,
    type=EXISTING_FOLDER,
    help="Folder of submissions; may be repeated, later ones win [default: the committed ones].",
)
@click.option("--out", required=True, type=FOLDER, help="Folder to write.")
def board_build(suite_id: str, roots: tuple[Path, ...], out: Path) -> None:
    """Build the static board of a suite from records. Needs no torch.

    \b
    Example:
      invbench board build --records submissions --records invbench-results --out board
    """
    from benchmark.spec import load_lock, load_suite
    from benchmark.submissions import submissions_root
    from leaderboard.entries import load_entries
    from leaderboard.render import build_board

    suite = load_suite(suite_id)
    entries = load_entries(suite, load_lock(suite), list(roots) or [submissions_root()])
    click.echo(build_board(suite, entries, out))


@main.group("train", cls=Cli)
def train() -> None:
    """Train the embedded targets and the reference inverses from scratch."""


work_option = click.option(
    "--work-dir",
    default=Path(".invbench-train"),
    show_default=True,
    type=FOLDER,
    help="Checkpoints; the same command resumes from them.",
)


@train.command("target")
@click.argument("name")
@click.option("--out", required=True, type=FOLDER, help="Folder for NAME in Hub layout.")
@work_option
@device_option
@threads_option
def train_target(name: str, out: Path, work_dir: Path, device: str, threads: int | None) -> None:
    """Train target NAME (mini-detr, mini-vit, mini-swin) or the judge (mini-judge) on scenes.

    \b
    Example:
      invbench train target mini-vit --out trained
    """
    from benchmark.errors import did_you_mean
    from benchmark.train import targets

    if name not in targets.RECIPES:
        raise did_you_mean("target", name, targets.RECIPES)
    _quiet()
    targets.train_target(name, out, work_dir, _device(device, threads))
    click.echo(out / name)


@train.command("inverse")
@click.argument("method")
@click.argument("target")
@click.option(
    "--out",
    required=True,
    type=FOLDER,
    help="Folder for config.json and model.safetensors.",
)
@suite_option
@work_option
@device_option
@threads_option
def train_inverse(
    method: str, target: str, out: Path, suite_id: str, work_dir: Path, device: str, threads: int | None
) -> None:
    """Train inverse METHOD (mean, ridge, modular) of TARGET on scenes.

    \b
    Example:
      invbench train inverse ridge mini-vit --out trained/ridge-vit
    """
    from benchmark.inverses.spec import get_method
    from benchmark.spec import load_suite

    spec = load_suite(suite_id).target(target)
    get_method(method)

    from benchmark.train import inverses

    _quiet()
    inverses.train_inverse(method, spec, out, work_dir, _device(device, threads))
    click.echo(out)


@main.group("data", cls=Cli)
def data() -> None:
    """Make and check evaluation data."""


@data.command("freeze")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--seed", default=2416, show_default=True)
@click.option("--count", default=128, show_default=True, type=click.IntRange(1))
def data_freeze(path: Path, seed: int, count: int) -> None:
    """Write the first COUNT test scenes of SEED to a Parquet file: how the images of mini@1 were made."""
    from benchmark.datasets.frozen import freeze_scenes

    freeze_scenes(path, seed=seed, count=count)
    click.echo(path)


@data.command("lpips")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
def data_lpips(file: Path | None) -> None:
    """Install the perceptual network of lpips_alex: torchvision's AlexNet, fetched by PyTorch or read from FILE.

    Its content is checked; of a pickle (.pth) only tensors are read. INVBENCH_CACHE says where it is kept.

    \b
    Examples:
      invbench data lpips
      invbench data lpips alexnet-owt-7be5be79.pth
    """
    from benchmark.perceptual import install_perceptual

    click.echo(install_perceptual(file))


@main.group("suite", cls=Cli)
def suite_group() -> None:
    """Lock suites and check their content."""


@suite_group.command("lock")
@click.argument("suite_id", default="mini@1")
@device_option
@threads_option
def suite_lock(suite_id: str, device: str, threads: int | None) -> None:
    """Pin the content of a suite: hashes of files, images and perturbed images, and the anchors of its metrics."""
    from benchmark.spec import load_suite, lock_path

    suite = load_suite(suite_id)

    from benchmark.anchors import measure_suite_anchors
    from benchmark.evaluate import load_suite_samples
    from benchmark.lock import make_lock

    _quiet()
    samples = load_suite_samples(suite)
    lock = make_lock(suite, samples, measure_suite_anchors(suite, samples, _device(device, threads)))
    path = lock_path(suite)
    path.write_text(json.dumps(lock.model_dump(mode="json"), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    click.echo(path)


@suite_group.command("check")
@click.argument("suite_id", default="mini@1")
def suite_check(suite_id: str) -> None:
    """Compare everything that a suite pins with its lock; exit code 3 on any difference."""
    from benchmark.spec import load_lock, load_suite, lock_path

    suite = load_suite(suite_id)
    lock = load_lock(suite)

    from benchmark.evaluate import load_suite_samples
    from benchmark.lock import check_lock

    check_lock(suite, lock, load_suite_samples(suite), where=lock_path(suite))
    click.echo(f"{suite.id}: {len(lock.files)} files and {len(lock.images)} images are as pinned")


@main.group("docs", cls=Cli)
def docs() -> None:
    """Write the pages of docs/ that are generated."""


@docs.command("metrics")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write [default: print].")
def docs_metrics(out: Path | None) -> None:
    """Render the page on metrics from their declarations.

    \b
    Example:
      invbench docs metrics --out docs/metrics.md
    """
    from benchmark.metrics.page import render_metrics_page

    page = render_metrics_page()
    if out is None:
        click.echo(page, nl=False)
        return
    out.write_text(page, encoding="utf-8", newline="\n")
    click.echo(out)


def _sizes(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    sizes = []
    for value in values:
        height, _, width = value.partition("x")
        if not (height.isdecimal() and width.isdecimal() and int(height) * int(width)):
            raise click.BadParameter(f"'{value}' is no size such as 96x96", context, option)
        sizes.append((int(height), int(width)))
    return tuple(sizes)


@main.group("bench", cls=Cli)
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

    from benchmark.spec import load_suite

    suite = load_suite(suite_id)

    from benchmark.quality import measure_suite_quality

    _quiet()
    rows = measure_suite_quality(suite, _device(device, threads))
    _json(rows) if as_json else click.echo(tabulate(rows, headers="keys", tablefmt="simple", floatfmt=".3f"))


@bench.command("degradations")
@suite_option
@click.option("--limit", type=click.IntRange(8), help="Only the first N images, in steps of 8.")
@perceptual_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write Markdown to this file.")
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
    from benchmark.spec import load_lock, load_suite

    suite = load_suite(suite_id)
    anchors = load_lock(suite).anchors[suite.targets[0].id]

    from benchmark import degradation_table as table
    from benchmark.evaluate import load_suite_samples, set_determinism
    from benchmark.networks import load_all_networks

    _quiet()
    set_determinism()
    place, every = _device(device, threads), table.with_every_metric(suite)
    samples = load_suite_samples(suite)
    found = table.measure_degradations(
        every,
        samples[: limit - limit % 8] if limit else samples,
        anchors,
        table.load_training_mean(suite.targets[0], place),
        load_all_networks(every, place, perceptual),
        place,
    )
    text = table.render_degradations(found, suite.axes)
    if out:
        out.write_text(text, encoding="utf-8")
    _json(found.rows()) if as_json else click.echo(out or text)


@bench.command("metrics")
@click.option(
    "--size",
    "sizes",
    multiple=True,
    default=("96x96", "224x224", "480x640"),
    show_default=True,
    metavar="HxW",
    callback=_sizes,
    help="Height and width; may be repeated.",
)
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1), help="Measurements of each.")
@perceptual_option
@suite_option
@threads_option
@json_option
def bench_metrics(
    sizes: tuple[tuple[int, int], ...],
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

    from benchmark.spec import load_suite

    suite = load_suite(suite_id)

    from benchmark.bench_metrics import measure_metrics

    _quiet()
    _device("cpu", threads)
    rows = measure_metrics(suite, sizes, repeats, perceptual)
    _json(rows) if as_json else click.echo(tabulate(rows, headers="keys", tablefmt="simple", floatfmt=".2f"))


@main.command("doctor")
@json_option
def doctor(as_json: bool) -> None:
    """Say what this installation can do: devices, versions, caches, and what works offline."""
    from benchmark.doctor import examine

    report = examine()
    if as_json:
        _json(report)
        return
    for section, lines in report.items():
        click.secho(section, bold=True)
        for name, value in lines.items():
            click.echo(f"  {name:<18} {value}")


if __name__ == "__main__":
    main()
