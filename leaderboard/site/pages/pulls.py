"""Whether colors are drawn to the usual one: `prototype_pull` at every tap, in a table and in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmark.records.record import PullScore
from benchmark.suites.lock import Answer, Lock, Wear
from benchmark.suites.spec import TargetSpec
from leaderboard.data.entries import Entry
from leaderboard.data.rankings import render_number

__all__ = ["WEARS", "Pull", "answer_words", "answers_of", "find_pulls", "pull_answers", "pull_of"]

WEARS: tuple[Wear, ...] = ("recolored", "canonical")
"""Objects in an unusual color, then those in the usual one of their category."""


@dataclass(frozen=True)
class Pull:
    """What was found of one submission on one target: a sentence, and per tap the scores in the order of WEARS."""

    name: str
    target: str
    sentence: str
    rows: tuple[tuple[str, tuple[PullScore | None, ...]], ...]


def answer_words(name: str) -> str:
    """An answer of the lock in words."""
    known = {"training_mean": "training mean image", "red": "red frame"}
    kind, _, number = name.rpartition("_")
    if kind == "thumbnail":
        return f"{number}\N{MULTIPLICATION SIGN}{number} thumbnail"
    if kind == "prototype":
        return f"image with objects blended by {number} % with the usual color"
    return known.get(name, name.replace("_", " "))


def answers_of(lock: Lock, target: TargetSpec) -> dict[str, Answer]:
    """Answers that invert nothing, by name, as the lock has measured them at a target's input size."""
    return lock.answers.get("x".join(map(str, target.input_size)), {})


def pull_answers(lock: Lock, target: TargetSpec) -> list[tuple[str, list[float | None]]]:
    """Name and pull, in the order of WEARS, of the answers that have one."""
    answers = answers_of(lock, target)
    return [(answer_words(name), [a.pull.get(wear) for wear in WEARS]) for name, a in answers.items() if a.pull]


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _parts(taps: Sequence[tuple[str, PullScore]]) -> Iterator[str]:
    """Return the findings, the strongest kind first."""
    up = [(tap, s) for tap, s in taps if s.low is not None and s.low > 0]
    down = [(tap, s) for tap, s in taps if s.high is not None and s.high < 0]
    rest = [tap for tap, s in taps if (tap, s) not in up and (tap, s) not in down]

    def told(found: Sequence[tuple[str, PullScore]]) -> str:
        return _listed([f"{tap} ({_signed(s.value)} [{_signed(s.low)}, {_signed(s.high)}])" for tap, s in found])

    if up:
        yield f"drawn towards the usual color of their category at {told(up)}"
    if down:
        yield f"drawn away from it at {told(down)}" if up else f"drawn away from their usual color at {told(down)}"
    if rest:
        where = "any tap" if len(rest) == len(taps) else f"{'' if len(rest) == 1 else 'the taps '}{_listed(rest)}"
        also = "" if len(rest) == len(taps) else "and "
        yield f"{also}no pull to the usual color is found at {where} (the 95 % interval contains 0)"


def _signed(value: float | None) -> str:
    text = render_number(value)
    return f"+{text}" if value is not None and value > 0 and float(text) > 0 else text


def _sentence(name: str, target: str, taps: Sequence[tuple[str, PullScore]]) -> str:
    if not taps:
        return f"{name} on {target}: no object in an unusual color is scored."
    first, *more = _parts(taps)
    objects = "objects in an unusual color are " if first.startswith("drawn") else "for objects in an unusual color, "
    return f"{name} on {target}: {', '.join([objects + first, *more])}."


def pull_of(entry: Entry, target: TargetSpec) -> Pull | None:
    """What a record says of the pull on a target; None where it has measured none."""
    stated, name = entry.record.targets.get(target.id), entry.submission.id
    if stated is None or not any(tap.pull for tap in stated.taps.values()):
        return None
    scores = {tap: stated.taps[tap].pull for tap in target.tap_names if tap in stated.taps}
    rows = tuple((tap, tuple(pull.get(wear) for wear in WEARS)) for tap, pull in scores.items())
    scored = [(tap, cells[0]) for tap, cells in rows if cells[0] is not None and cells[0].value is not None]
    return Pull(name, target.id, _sentence(name, target.id, scored), rows)


def find_pulls(entries: Sequence[Entry], target: TargetSpec) -> list[Pull]:
    """The pulls of those entries that have measured them."""
    return [pull for entry in entries if (pull := pull_of(entry, target)) is not None]
