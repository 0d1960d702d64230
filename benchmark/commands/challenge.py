"""The options of `verify` that challenge a record with fresh images, and what they do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.commands.common import print_json

if TYPE_CHECKING:
    from benchmark.content.content import Content
    from benchmark.records.consistency import CheckedRecord
    from benchmark.records.receipts import Receipt
    from benchmark.records.record import Record
    from benchmark.submissions.candidates import Candidate

__all__ = ["Wanted", "challenge_options", "run_challenge"]

IMAGES = 32


@dataclass(frozen=True)
class Wanted:
    """A challenge that was asked for: the beacon, and how many images to draw."""

    beacon: str
    images: int


def _read(wanted: bool, beacon: str | None, images: int | None, others: dict[str, Any]) -> Wanted | None:
    """Return what the options ask for; None: no challenge.

    Raises:
        UsageError: they do not go together.
        SpecError: the beacon is none.
    """
    from pydantic import TypeAdapter, ValidationError

    from benchmark.errors import SpecError
    from benchmark.files.declarations import explain
    from benchmark.records.challenges import Beacon

    if not wanted:
        if given := [name for name, value in (("--beacon", beacon), ("--images", images)) if value is not None]:
            raise click.UsageError(f"{given[0]} goes with --challenge")
        return None
    if given := [f"--{name}" for name in ("rerun", "limit") if others[name] is not None]:
        raise click.UsageError(f"--challenge goes without {given[0]}")
    if beacon is None:
        raise click.UsageError("--challenge needs --beacon: a public random value, published after the record was")
    try:
        TypeAdapter[str](Beacon).validate_python(beacon)
    except ValidationError as error:
        message = explain(error, "--beacon").message.partition(": ")[2]
        cure = "give a public random value, such as the randomness of a drand round, on one line"
        raise SpecError(message, where="--beacon", cure=cure) from None
    return Wanted(beacon, images or IMAGES)


def challenge_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a challenge to `verify`, which is given what they say as `challenge`."""

    @click.option("--challenge", is_flag=True, help="Score fresh images instead, drawn by record and beacon.")
    @click.option("--beacon", metavar="TEXT", help="Public random value, published after the record was committed.")
    @click.option("--images", type=click.IntRange(1), help=f"How many images to draw [default: {IMAGES}].")
    @wraps(command)
    def read(challenge: bool, beacon: str | None, images: int | None, **others: Any) -> None:
        command(challenge=_read(challenge, beacon, images, others), **others)

    return read


def _report(receipt: Receipt, folder: Path, by: str | None, as_json: bool) -> None:
    """Print what a challenge found, and write its receipt if it passes and somebody stands by it."""
    from tabulate import tabulate

    from benchmark.errors import IntegrityError
    from benchmark.records.challenges import LEAST_IMAGES
    from benchmark.records.receipts import write_receipt
    from benchmark.records.two_samples import LEVEL

    assert receipt.challenge is not None
    path = write_receipt(folder, receipt) if by and receipt.agrees else None
    contrasts = {(name, axis): c for name, axes in receipt.challenge.contrasts.items() for axis, c in axes.items()}
    if as_json:
        print_json(receipt.model_dump(mode="json") | {"agrees": receipt.agrees, "receipt": str(path) if path else None})
    else:
        head = ["target", "axis", "suite", "fresh", "difference", "largest allowed", "p"]
        rows = [
            [*key, *(f"{value:.4f}" for value in (c.frozen, c.fresh, c.difference, c.critical)), f"{c.p_value:.4g}"]
            for key, c in contrasts.items()
        ]
        click.echo(tabulate(rows, headers=head, tablefmt="simple", disable_numparse=True))
        word = "passes" if receipt.agrees else "fails"
        click.echo(f"\n{receipt.submission} on {receipt.suite}, {receipt.images} fresh images, challenged: {word}")
        click.echo(f"Beacon {receipt.challenge.beacon}\nSeed {receipt.challenge.seed}")
        if receipt.images < LEAST_IMAGES:
            click.echo(f"Fewer than {LEAST_IMAGES} images: no trust follows from it.")
        if path:
            click.echo(f"Receipt {path}")
    if not receipt.agrees:
        (name, axis), worst = min(contrasts.items(), key=lambda item: item[1].p_value)
        count = sum(not contrast.agrees for contrast in contrasts.values())
        message = (
            f"challenge failed: {axis} on {name} is {worst.frozen:.3f} on the suite's images and {worst.fresh:.3f} on "
            f"fresh ones; {count} of {len(contrasts)} scores fall by more than chance allows (p at most {LEVEL:g})"
        )
        raise IntegrityError(message, where=str(folder / "record.json"), cure="train without the images of the suite")


def run_challenge(
    wanted: Wanted,
    content: Content,
    candidate: Candidate,
    record: Record,
    checked: CheckedRecord,
    device: Any,
    folder: Path,
    by: str | None,
    as_json: bool,
) -> None:
    """Challenge a candidate, print what was found, and write the receipt.

    Args:
        folder: that of the record.
        by: who checks; None writes no receipt.

    Raises:
        IntegrityError: it does worse on fresh images than chance allows, or leaves one unanswered.
        UserError: it cannot be challenged; says why.
    """
    from benchmark.engine.challenge import challenge
    from benchmark.engine.confinement import available
    from benchmark.engine.rescore import make_receipt

    found = challenge(content, candidate, record, checked[0], wanted.beacon, wanted.images, device)
    isolation = available() if candidate.isolated else None
    receipt = make_receipt(
        "challenged", record, {}, device, by or "nobody", wanted.images, isolation=isolation, challenge=found
    )
    _report(receipt, folder, by, as_json)
