"""What a training tells while it runs: a line of JSON every few steps, a curve of the loss, TensorBoard's files."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from benchmark.files.storing import storing, write_text

__all__ = ["Journal", "JournalEntry", "ValidationEntry", "read_journal", "read_validations", "render_curve"]

RESUME = "name another folder with --out; rerun the command to resume"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 320, 64, 40, 28


class JournalEntry(NamedTuple):
    """One line.

    Attributes:
        step: steps done.
        loss: mean over the last steps, newer ones weigh more.
        learning_rate: of the last step.
        images_per_s: since the training began, or went on.
        waiting: share of that time that was spent waiting for data.
        seconds: of training so far, interruptions left out.
        left_s: about how many it still takes.
    """

    step: int
    loss: float
    learning_rate: float
    images_per_s: float
    waiting: float
    seconds: float
    left_s: float


class ValidationEntry(NamedTuple):
    """A line on validation images.

    Attributes:
        step: steps done.
        seconds: of training so far, interruptions left out.
        score: what decides which weights are kept.
        scores: what it is the mean of, by name.
    """

    step: int
    seconds: float
    score: float
    scores: dict[str, float]


def _parse(line: str) -> JournalEntry | ValidationEntry | None:
    """The entry in a line; None for what is not one, such as a line that a crash cut off."""
    try:
        fields = json.loads(line)
        entry = ValidationEntry(**fields) if "scores" in fields else JournalEntry(**fields)
        numbers = [value for value in entry if not isinstance(value, dict)]
        numbers += entry.scores.values() if isinstance(entry, ValidationEntry) else ()
    except (ValueError, TypeError, RecursionError, AttributeError):
        return None
    return entry if all(isinstance(value, int | float) for value in numbers) else None


def _read(path: Path) -> list[JournalEntry | ValidationEntry]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [entry for line in lines if (entry := _parse(line))]


def read_journal(path: Path) -> list[JournalEntry]:
    """Return the entries of a `train.jsonl` on the training itself; lines that are none are left out."""
    return [entry for entry in _read(path) if isinstance(entry, JournalEntry)]


def read_validations(path: Path) -> list[ValidationEntry]:
    """Return the entries of a `train.jsonl` on validation images; lines that are none are left out."""
    return [entry for entry in _read(path) if isinstance(entry, ValidationEntry)]


def render_curve(entries: Sequence[JournalEntry], title: str) -> str:
    """Return the losses over the steps as SVG, on a logarithmic scale; those that are not positive are left out."""
    shown = [entry for entry in entries if entry.loss > 0 and math.isfinite(entry.loss)]
    logs = [math.log10(entry.loss) for entry in shown] or [0.0]
    low, high = math.floor(min(logs) * 4) / 4, math.ceil(max(logs) * 4) / 4
    high = max(high, low + 0.25)
    last = max([1, *(entry.step for entry in shown)])

    def across(step: float) -> float:
        return LEFT + (WIDTH - LEFT - 16) * step / last

    def down(log: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - log) / (high - low)

    points = " ".join(f"{across(e.step):.1f},{down(log):.1f}" for e, log in zip(shown, logs, strict=False))
    marks = [low + k * (high - low) / 4 for k in range(5)]
    lines = [
        f'<line x1="{LEFT}" x2="{WIDTH - 16}" y1="{down(m):.1f}" y2="{down(m):.1f}" stroke="#ddd"/>'
        f'<text x="{LEFT - 8}" y="{down(m) + 4:.1f}" text-anchor="end">{10**m:.3g}</text>'
        for m in marks
    ]
    steps = [
        f'<text x="{across(part * last):.1f}" y="{HEIGHT - 18}" text-anchor="middle">{round(part * last)}</text>'
        for part in (0, 0.25, 0.5, 0.75, 1)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="#333" role="img"><title>{title}: loss over steps</title>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/><text x="{LEFT}" y="18">{title}</text>'
        f"{''.join(lines + steps)}"
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 4}" text-anchor="middle">step</text>'
        f'<polyline points="{points}" fill="none" stroke="#0b62a4" stroke-width="1.5"/></svg>\n'
    )


def _open_tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))


class Journal:
    """Writes `train.jsonl`, at the end `curve.svg`, and TensorBoard's files where it is installed.

    A training that goes on keeps the lines up to the step at which it does.
    """

    def __init__(self, folder: Path, title: str, first_step: int) -> None:
        self.path, self.title = folder / "train.jsonl", title
        folder.mkdir(parents=True, exist_ok=True)
        kept = [entry for entry in _read(self.path) if entry.step <= first_step] if self.path.is_file() else []
        write_text(self.path, "".join(self._line(entry) for entry in kept))
        self._file = self.path.open("a", encoding="utf-8")
        self._board = _open_tensorboard(folder / "tensorboard")

    @staticmethod
    def _line(entry: JournalEntry | ValidationEntry) -> str:
        return json.dumps(entry._asdict()) + "\n"

    def write(self, entry: JournalEntry | ValidationEntry) -> None:
        """Append a line, at once in the file.

        Raises:
            UserError: it cannot be written; says why.
        """
        with storing(self.path, RESUME):
            self._file.write(self._line(entry))
            self._file.flush()
        if not self._board:
            return
        if isinstance(entry, ValidationEntry):
            told = {f"validation/{name}": value for name, value in {"score": entry.score, **entry.scores}.items()}
        else:
            told = {name: getattr(entry, name) for name in ("loss", "learning_rate", "images_per_s")}
        for name, value in told.items():
            self._board.add_scalar(name, value, entry.step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError) if kind else storing(self.path, RESUME):
            self._file.close()
        if self._board:
            self._board.close()
        if kind is None:
            write_text(self.path.with_name("curve.svg"), render_curve(read_journal(self.path), self.title))
