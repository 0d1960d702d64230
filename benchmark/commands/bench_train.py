"""The command that measures how fast trainings are fed."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmark.commands.common import (
    EXISTING_FOLDER,
    device_option,
    json_option,
    open_device,
    print_json,
    quiet,
    threads_option,
)

__all__ = ["bench_train"]


@click.command("train")
@click.option(
    "--train-data",
    type=EXISTING_FOLDER,
    help="Photographs to read [default: JPEG files of 640x480 pixels that are made for it].",
)
@click.option("--target", default="mini-vit", show_default=True, metavar="ID", help="What an inverse is trained of.")
@click.option(
    "--full-size", is_flag=True, help="The target is one of coco@1, of published size with random weights; for a GPU."
)
@click.option(
    "--steps", default=20, show_default=True, type=click.IntRange(10), help="Training steps; 0.3 to 2 s each."
)
@click.option("--workers", type=click.IntRange(0), help="Processes that read [default: one per core, minus one].")
@device_option
@threads_option
@json_option
def bench_train(
    train_data: Path | None,
    target: str,
    full_size: bool,
    steps: int,
    workers: int | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Measure how many photographs a core reads in a second, and what share of training waits for them.

    Read are JPEG files at 224x224, by one process and by the workers; trained is `modular` after its recipe. Goals: 90
    photographs per second and core; under 5 % of waiting.

    \b
    Examples:
      invbench bench train
      invbench bench train --train-data coco/val2017 --workers 8
      invbench bench train --full-size --target vit-base-16 --steps 50
    """
    from tabulate import tabulate

    from benchmark.inverses.recipes import load_recipe
    from benchmark.suites.catalog import load_suite
    from benchmark.suites.lock import load_lock

    suite = load_suite("coco@1" if full_size else "mini@1")
    spec = suite.target(target)
    recipe = load_recipe("modular", spec).model_copy(update={"steps": steps})

    from benchmark.content.content import Content
    from benchmark.datasets.folders import open_folder
    from benchmark.diagnostics.full_size import make_target
    from benchmark.train.ahead import get_default_workers
    from benchmark.train.throughput import make_photographs, measure_loader, measure_training

    quiet()
    torch_device, number = open_device(device, threads), get_default_workers() if workers is None else workers
    with TemporaryDirectory() as temporary:
        if train_data is None:
            make_photographs(Path(temporary) / "photographs")
        images = open_folder(train_data or Path(temporary) / "photographs")
        loader = [measure_loader(images, (224, 224), count)._asdict() for count in sorted({0, number})]
        network = Path(temporary) / "network"
        if full_size:
            make_target(spec, network, torch_device)
        else:
            network = Content(suite, load_lock(suite)).target(spec)
        training = measure_training(images, spec, network, torch_device, number, recipe)._asdict()
    if as_json:
        print_json({"loader": loader, "training": training})
        return
    click.echo(tabulate(loader, headers="keys", tablefmt="simple", floatfmt=".1f") + "\n")
    click.echo(tabulate([training], headers="keys", tablefmt="simple", floatfmt=".4g"))
