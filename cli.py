"""The command line: `invbench`. Thin, and free of torch until a command computes something."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.commands.bench import bench
from benchmark.commands.check import rescore_, verify
from benchmark.commands.ci import ci
from benchmark.commands.common import (
    EXISTING_FOLDER,
    FILE_OR_FOLDER,
    FOLDER,
    OUTPUT_FILE,
    Cli,
    device_option,
    json_option,
    open_device,
    print_json,
    suite_option,
    threads_option,
)
from benchmark.commands.data import data
from benchmark.commands.docs import docs
from benchmark.commands.evaluation import evaluate
from benchmark.commands.publish import publish
from benchmark.commands.submit import init, submit, validate_, withdraw_
from benchmark.commands.suites import suite_group
from benchmark.commands.train import train

EXIT_CODES = "Exit codes: 0 done; 2 a mistake you can cure; 3 content differs from what was pinned; 130 interrupted."
LISTINGS = ("suites", "submissions", "targets", "taps", "perturbations", "methods", "metrics")


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
      invbench init my-method               begin a submission of your own
    """


COMMANDS = (
    bench, ci, data, docs, evaluate, init, publish, rescore_, submit, suite_group, train, validate_, verify, withdraw_,
)  # fmt: skip
for command in COMMANDS:
    main.add_command(command)


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
@click.option("--csv", "csv_path", type=OUTPUT_FILE, help="Write per-image scores here.")
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

    from benchmark.engine.image_files import Inputs, render_table, score, to_json, write_csv

    inputs = Inputs(original, recon, seen, mask, baseline)
    metrics = [name.strip() for name in names.split(",")] if names is not None else None
    report = score(
        inputs, open_device(device, threads), metrics=metrics, batch_size=batch_size, progress=original.is_dir()
    )
    if csv_path:
        write_csv(report, csv_path)
    print_json(to_json(report)) if as_json else click.echo(render_table(report))


@main.command("list")
@click.argument("what", type=click.Choice(LISTINGS), default="suites")
@suite_option
@click.option("--target", "target_id", help="Only this target and its taps.")
@json_option
def list_(what: str, suite_id: str, target_id: str | None, as_json: bool) -> None:
    """List what there is: suites, submissions, targets, taps, perturbations, methods or metrics."""
    from tabulate import tabulate

    from benchmark.commands import catalog
    from benchmark.suites.spec import load_suite

    suite = load_suite(suite_id)
    rows = catalog.LISTINGS[what](suite, [suite.target(target_id)] if target_id else list(suite.targets))
    print_json(rows) if as_json else click.echo(tabulate(rows, headers="keys", tablefmt="simple"))


@main.group("board", cls=Cli)
def board() -> None:
    """Render the leaderboard."""


@board.command("build")
@click.option(
    "--suite",
    "suite_ids",
    multiple=True,
    help="Suite: name@version, or a .toml file; may be repeated [default: every suite with records].",
)
@click.option(
    "--records",
    "roots",
    multiple=True,
    type=EXISTING_FOLDER,
    help="Folder of submissions; may be repeated, later ones win [default: the committed ones].",
)
@click.option("--out", required=True, type=FOLDER, help="Folder to write.")
def board_build(suite_ids: tuple[str, ...], roots: tuple[Path, ...], out: Path) -> None:
    """Build the static site of the leaderboard from records. Needs no torch.

    The same records give the same bytes. Open index.html, or serve the folder from anywhere.

    \b
    Examples:
      invbench board build --out board
      invbench board build --records submissions --records invbench-results --out board
    """
    from benchmark.files.paths import submissions_root
    from leaderboard.data.board import load_boards
    from leaderboard.site.build import build_site

    boards = load_boards(suite_ids, list(roots) or [submissions_root()])
    click.echo(build_site(boards, out))


@main.command("doctor")
@json_option
def doctor(as_json: bool) -> None:
    """Say what this installation can do: devices, versions, caches, and what works offline."""
    from benchmark.diagnostics.doctor import examine

    report = examine()
    if as_json:
        print_json(report)
        return
    for section, lines in report.items():
        click.secho(section, bold=True)
        for name, value in lines.items():
            click.echo(f"  {name:<18} {value}")


if __name__ == "__main__":
    main()
