"""The command that scores image files without a suite."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.commands.common import (
    FILE_OR_FOLDER,
    OUTPUT_FILE,
    device_option,
    json_option,
    open_device,
    print_json,
    threads_option,
)

__all__ = ["score_files"]


@click.command("score")
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

    Files are png, jpg, webp, bmp or tif with 8 bits a channel, turned upright by their EXIF orientation and read as
    RGB without color management; nothing is resized. Transparent pixels, 16 bits, several frames, files cut short and
    masks in lossy encodings are refused.

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

    from benchmark.engine.image_files import score
    from benchmark.engine.score_report import Inputs, render_table, to_json, write_csv

    inputs = Inputs(original, recon, seen, mask, baseline)
    metrics = [name.strip() for name in names.split(",")] if names is not None else None
    report = score(
        inputs, open_device(device, threads), metrics=metrics, batch_size=batch_size, progress=original.is_dir()
    )
    if csv_path:
        write_csv(report, csv_path)
    print_json(to_json(report)) if as_json else click.echo(render_table(report))
