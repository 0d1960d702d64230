"""Commands that get, make and check data."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.commands.common import EXISTING_FOLDER, OUTPUT_FILE, Cli

__all__ = ["data"]


@click.group("data", cls=Cli)
def data() -> None:
    """Make and check evaluation data."""


@data.command("fetch")
@click.argument("name", type=click.Choice(["coco", "imagenet"]))
@click.option("--split", type=click.Choice(["val2017", "train2017"]), help="Part of COCO [default: val2017].")
@click.option("--coco-dir", type=EXISTING_FOLDER, help="COCO 2017 that you have: SPLIT/ and annotations/.")
@click.option("--imagenet-dir", type=EXISTING_FOLDER, help="ImageNet-1k validation that you have: class folders.")
@click.option("--keep", is_flag=True, help="Keep the downloaded archives.")
def data_fetch(name: str, split: str | None, coco_dir: Path | None, imagenet_dir: Path | None, keep: bool) -> None:
    """Get the photographs of a suite: download COCO's official archives, or check and remember a folder you have.

    Suites evaluate val2017 (1.1 GB to download); train2017 is to train on (19.6 GB, and as much again to unpack it).
    Both lie in one folder, which is printed. Interrupt a download whenever you like; rerun the command to resume.

    \b
    Examples:
      invbench data fetch coco
      invbench data fetch coco --coco-dir /data/coco
      invbench data fetch coco --split train2017
      invbench data fetch imagenet --imagenet-dir /data/imagenet/val
    """
    if (name == "coco" and imagenet_dir) or (name == "imagenet" and coco_dir):
        raise click.UsageError(f"that folder does not go with '{name}'")
    if name == "imagenet" and split:
        raise click.UsageError("--split goes with 'coco' alone")
    if name == "imagenet" and imagenet_dir is None:
        raise click.UsageError("ImageNet cannot be downloaded freely; give your own: --imagenet-dir DIR")

    from benchmark.content import photographs
    from benchmark.suites.catalog import load_suite
    from benchmark.suites.spec import CocoData, ImagenetData

    folder, dataset = coco_dir or imagenet_dir, load_suite(f"{name}@1").dataset
    if folder is None:
        click.echo(photographs.fetch_coco(release=photographs.RELEASES[split or "val2017"], keep=keep))
        return
    assert isinstance(dataset, CocoData | ImagenetData)
    if split:
        dataset = dataset.model_copy(update={"split": split})
    click.echo(photographs.adopt(dataset.source, folder, dataset))


@data.command("freeze")
@click.argument("path", type=OUTPUT_FILE)
@click.option("--seed", default=2413, show_default=True)
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
    from benchmark.content.lpips import install_perceptual

    click.echo(install_perceptual(file))
