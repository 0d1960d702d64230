"""Commands that train the embedded targets and the reference inverses."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.commands.common import (
    EXISTING_FOLDER,
    FILE,
    OUTPUT_FOLDER,
    Cli,
    data_folder_option,
    device_option,
    open_device,
    quiet,
    suite_option,
    threads_option,
)

if TYPE_CHECKING:
    from benchmark.train.processes import Precision

__all__ = ["train"]

SEED = 201


@click.group("train", cls=Cli)
def train() -> None:
    """Train the embedded targets and the reference inverses from scratch."""


work_option = click.option(
    "--work-dir",
    default=Path(".invbench-train"),
    show_default=True,
    type=OUTPUT_FOLDER,
    help="Checkpoints; the same command resumes from them.",
)


workers_option = click.option(
    "--workers",
    type=click.IntRange(0),
    help="Processes that draw scenes or read photographs ahead; results do not depend on it [default: one per core, "
    "minus one, at most 16].",
)


def _parts(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...]:
    """The parts of a training in a text such as 0.25,0.5."""
    try:
        parts = tuple(float(part) for part in value.split(",")) if value else ()
    except ValueError:
        parts = (math.nan,)
    if not all(0 < part < 1 for part in parts):
        raise click.BadParameter(f"'{value}' is no list of numbers between 0 and 1 such as 0.25,0.5")
    return parts


def _workers(number: int | None) -> int:
    from benchmark.train.ahead import get_default_workers

    return get_default_workers() if number is None else number


@train.command("target")
@click.argument("name")
@click.option("--out", required=True, type=OUTPUT_FOLDER, help="Folder for NAME in Hub layout.")
@click.option(
    "--keep-at",
    metavar="PARTS",
    callback=_parts,
    help="Keep the network, too, after these parts of its training, such as 0.25,0.5, as NAME-stepN.",
)
@click.option(
    "--start",
    type=EXISTING_FOLDER,
    help="Train the last round alone, from the network in this folder, if that round begins with a network alone.",
)
@work_option
@workers_option
@device_option
@threads_option
def train_target_command(
    name: str,
    out: Path,
    keep_at: tuple[float, ...],
    start: Path | None,
    work_dir: Path,
    workers: int | None,
    device: str,
    threads: int | None,
) -> None:
    """Train target NAME (mini-detr, mini-vit, mini-swin) or the judge (mini-judge) on scenes.

    On a CPU the same call makes the same weights; on a GPU they differ in their last bits.

    \b
    Examples:
      invbench train target mini-vit --out trained
      invbench train target mini-vit --out trained --keep-at 0.25,0.5
    """
    from benchmark.engine.torchrun import find_rank
    from benchmark.errors import UserError, did_you_mean
    from benchmark.train import targets
    from benchmark.train.recipes import RECIPES

    if name not in RECIPES:
        raise did_you_mean("target", name, RECIPES)
    if find_rank():
        raise UserError("a target is trained by one process", cure="run the command without torchrun")
    quiet()
    torch_device = open_device(device, threads)
    targets.train_target(name, out, work_dir, torch_device, workers=_workers(workers), keep_at=keep_at, start=start)
    click.echo(out / name)


def _choose_method(method: str | None, code: Path | None) -> str:
    """The id of the method that is named, or of the one that a file declares."""
    from benchmark.inverses.spec import get_method

    if (method is None) == (code is None):
        raise click.UsageError("give either METHOD or --code")
    if code is None:
        return get_method(str(method)).id

    from benchmark.inverses.code import load_code

    return load_code(code, trained=True).id


def _changes(steps: int | None, epochs: float | None, **others: float | None) -> dict[str, Any]:
    """What is given beside a recipe, by its field."""
    if steps and epochs:
        raise click.UsageError("give either --steps or --epochs")
    return {"steps": steps, "epochs": epochs, **others}


@train.command("inverse")
@click.argument("method", required=False)
@click.option("--code", type=FILE, help="Import the architecture from this file, an inverse.py of yours, and train it.")
@click.option("--target", required=True, metavar="ID", help="The target of the suite that is inverted.")
@click.option(
    "--out",
    required=True,
    type=OUTPUT_FOLDER,
    help="Folder for config.json and model.safetensors.",
)
@click.option(
    "--network",
    type=EXISTING_FOLDER,
    help="The target's network in Hub layout, as train target makes it [default: the one that the suite pins].",
)
@click.option(
    "--start",
    type=EXISTING_FOLDER,
    help="Begin with the weights of this inverse, of the same target and networks [default: fresh ones].",
)
@click.option(
    "--recipe",
    "recipe_file",
    type=FILE,
    help="How to build and train it, a TOML file [default: the package's for this method and size of target].",
)
@click.option("--steps", type=click.IntRange(1), help="Instead of the recipe's.")
@click.option("--epochs", type=click.FloatRange(0, min_open=True), help="Times through the photographs, for --steps.")
@click.option("--batch-size", type=click.IntRange(1), help="Instead of the recipe's.")
@click.option("--learning-rate", type=click.FloatRange(0, 1, min_open=True), help="Instead of the recipe's.")
@click.option(
    "--validate-every",
    type=click.IntRange(0),
    help="Steps between validations, the best of which decides the weights; 0: never. Instead of the recipe's.",
)
@click.option(
    "--precision",
    default="float32",
    show_default=True,
    type=click.Choice(["float32", "bf16", "fp16"]),
    help="Of forward and backward passes; weights stay float32.",
)
@click.option(
    "--train-data",
    type=EXISTING_FOLDER,
    help="Train on the photographs below this folder, those that the suite evaluates left out [default: scenes, or "
    "what the suite leaves out].",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=SEED,
    show_default=True,
    help="Of the fresh weights and the order of the data: another one shows how much of a score is chance.",
)
@suite_option
@data_folder_option
@work_option
@workers_option
@device_option
@threads_option
def train_inverse_command(
    method: str | None,
    code: Path | None,
    target: str,
    out: Path,
    network: Path | None,
    start: Path | None,
    recipe_file: Path | None,
    steps: int | None,
    epochs: float | None,
    batch_size: int | None,
    learning_rate: float | None,
    validate_every: int | None,
    precision: Precision,
    train_data: Path | None,
    seed: int,
    suite_id: str,
    data_folder: Path | None,
    work_dir: Path,
    workers: int | None,
    device: str,
    threads: int | None,
) -> None:
    """Train inverse METHOD (mean, ridge, modular, ...) of a target on scenes, or on photographs its suite leaves out.

    An architecture of your own (--code) is trained to give the image, by the steps of its recipe. Several GPUs or
    machines: torchrun starts a process for each GPU, and they share every batch. The long form is docs/training.md.

    \b
    Examples:
      invbench train inverse ridge --target mini-vit --out trained/ridge-vit
      invbench train inverse modular --target mini-vit --steps 3000 --validate-every 500 --out trained/modular-vit
      invbench train inverse modular_joint --target mini-vit --start trained/per_tap --seed 202 --out trained/joint
      invbench train inverse --code my/inverse.py --recipe my/recipe.toml --target mini-detr --out my/weights/mini-detr
      invbench train inverse ridge --target mini-vit --network trained/mini-vit-step1125 --out trained/ridge-step1125
      torchrun --nproc-per-node 8 -m invbench train inverse modular --suite coco@1 --target vit-base-16 \\
        --train-data coco/train2017 --precision bf16 --out trained/modular-vit-base
    """
    from benchmark.inverses.recipes import choose_recipe
    from benchmark.suites.catalog import load_suite
    from benchmark.suites.lock import load_lock

    suite = load_suite(suite_id)
    spec = suite.target(target)
    changes = _changes(steps, epochs, batch_size=batch_size, learning_rate=learning_rate, validate_every=validate_every)
    method = _choose_method(method, code)
    recipe = choose_recipe(method, spec, recipe_file, **changes)

    from benchmark.content.content import Content
    from benchmark.engine.torchrun import find_rank
    from benchmark.inverses.faults import blame
    from benchmark.train.choosing import refuse
    from benchmark.train.inverses import train_inverse
    from benchmark.train.processes import join
    from benchmark.train.sources import open_sources
    from benchmark.train.validation import make_validation

    quiet()
    rank = find_rank()
    torch_device = open_device(device, threads, rank.local if rank else None)
    processes, content = join(torch_device, precision), Content(suite, load_lock(suite), data_folder)
    sources = open_sources(
        content, spec, torch_device, seed=seed, workers=_workers(workers), folder=train_data, processes=processes
    )
    if epochs and recipe:
        recipe = recipe.for_epochs(epochs, sources.training.count)
    validate = partial(make_validation, sources.set_aside()) if recipe and recipe.validate_every else refuse
    folder = network or content.target(spec)
    with blame(code):
        train_inverse(
            method, spec, folder, sources.training, out, work_dir, torch_device, recipe, code,
            start=start, processes=processes, validate=validate,
        )  # fmt: skip
    if processes.first:
        click.echo(out)
