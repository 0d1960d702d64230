"""What is asked, what was found, and the verdict that follows: one rule for all claims, fixed in advance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from benchmark.errors import InvbenchError
from benchmark.files.declarations import Frozen
from benchmark.records.pairs import ALPHA, MIN_GROUPS
from benchmark.records.places import DIGITS

__all__ = [
    "FEW_GROUPS",
    "ClaimFinding",
    "NotMeasured",
    "Question",
    "Verdict",
    "absent",
    "combine",
    "judge",
    "permuted",
    "state",
]

Verdict = Literal["holds", "does not hold", "undetermined"]
FEW_GROUPS = f"fewer than {MIN_GROUPS} groups of images decide nothing"


class NotMeasured(InvbenchError):
    """A statistic cannot be computed from the records; the text says why."""


@dataclass(frozen=True)
class Question:
    """One statistic of a claim, oriented such that the claim says it is large.

    Attributes:
        part: what is measured, in words.
        bound: the claim says that the value lies above it; with `apart`, that it is farther than it from 0.
        refuted: a value below it contradicts the claim; None: the bound.
        apart: the claim says that two things differ, either way.
        stated: it is a number that records state, without interval, such as a cost.
    """

    part: str
    bound: float = 0.0
    refuted: float | None = None
    apart: bool = False
    stated: bool = False


class ClaimFinding(Frozen):
    """One statistic with its 95 % interval and verdict; what cannot be computed is null, with a reason."""

    part: str
    """what is measured, in words."""
    target: str | None
    """the target, or several joined by ' and '; null: the mean over all targets."""
    value: float | None
    """the estimate."""
    low: float | None
    """lower end of the 95 % interval, from resamples of groups of images."""
    high: float | None
    """upper end of it."""
    bound: float
    """the claim says that the value lies above it; with 'apart', that it is farther than it from 0."""
    refuted: float
    """an interval wholly below it contradicts the claim."""
    apart: bool = False
    """whether the claim says that two things differ, either way."""
    verdict: Verdict
    """by the interval: 'holds', 'does not hold' or 'undetermined'."""
    stated: bool = False
    """whether it is a number that records state, without interval, such as a cost."""
    decides: bool
    """whether the verdict on the claim depends on it; else it stands beside."""
    images: int | None = None
    """how many images were scored."""
    groups: int | None = None
    """how many groups of images that share a source these are: the units that are resampled."""
    p_value: float | None = None
    """of a permutation test, where no interval can be had."""
    reason: str = ""
    """why there is no value, no interval or no verdict."""


def _rounded(value: float) -> float | None:
    return round(float(value), DIGITS) + 0.0 if isfinite(value) else None


def _decide(question: Question, low: float, high: float) -> Verdict:
    if question.apart:
        if low > question.bound or high < -question.bound:
            return "holds"
        return "does not hold" if -question.bound <= low and high <= question.bound else "undetermined"
    if low > question.bound:
        return "holds"
    return "does not hold" if high < _refuted(question) else "undetermined"


def _refuted(question: Question) -> float:
    return question.bound if question.refuted is None else question.refuted


def _make(question: Question, target: str | None, verdict: Verdict, decides: bool, **fields: object) -> ClaimFinding:
    return ClaimFinding.model_validate(
        {"value": None, "low": None, "high": None}
        | {"part": question.part, "target": target, "bound": question.bound, "refuted": _refuted(question)}
        | {"apart": question.apart, "stated": question.stated, "verdict": verdict, "decides": decides}
        | fields
    )


def judge(
    question: Question,
    target: str | None,
    ends: tuple[float, float, float],
    sample: tuple[int, int],
    *,
    decides: bool = True,
) -> ClaimFinding:
    """The finding of an estimate with its interval.

    'holds' if the interval lies wholly above the bound (with `apart`: wholly farther than the bound from 0), 'does not
    hold' if it lies wholly below `refuted` (with `apart`: wholly within the bound), else 'undetermined'; with fewer
    than eight groups nothing is decided, as on the board.

    Args:
        ends: the value and both ends of its interval; NaN where there is none.
        sample: how many images and groups.
    """
    value, low, high = map(_rounded, ends)  # what is stated decides
    verdict: Verdict = "undetermined"
    reason = ""
    if value is None:
        reason = "nothing is scored"
    elif sample[1] < MIN_GROUPS:
        reason = FEW_GROUPS
    elif low is None or high is None:
        reason = "no interval: in some resamples a score that it divides by is under .05"
    else:
        verdict = _decide(question, low, high)
    numbers = {"value": value, "low": low, "high": high}
    return _make(question, target, verdict, decides, **numbers, images=sample[0], groups=sample[1], reason=reason)


def state(question: Question, target: str | None, value: float, *, decides: bool = True) -> ClaimFinding:
    """The finding of a stated number, such as a cost: it has no interval, and decides by itself."""
    stated = round(value, DIGITS)
    verdict: Verdict = "holds" if stated > question.bound else "does not hold"
    return _make(question, target, verdict, decides, value=stated)


def permuted(
    question: Question, target: str | None, value: float, p_values: tuple[float, float], *, decides: bool
) -> ClaimFinding:
    """The finding of a permutation test where the records hold no score of single images.

    Args:
        p_values: that a value so large, and one so small, comes about by chance: one-sided, (above, below).
    """
    above, below = (round(p_value, DIGITS) for p_value in p_values)
    verdict: Verdict = "holds" if above <= ALPHA / 2 else "does not hold" if below <= ALPHA / 2 else "undetermined"
    reason = "the record holds means over images alone: a permutation test of the taps instead of an interval"
    return _make(question, target, verdict, decides, value=_rounded(value), p_value=above, reason=reason)


def absent(question: Question, target: str | None, reason: str, *, decides: bool = True) -> ClaimFinding:
    """The finding of a statistic that cannot be computed."""
    return _make(question, target, "undetermined", decides, reason=reason)


def _named(findings: Iterable[ClaimFinding]) -> str:
    words = [f"{f.part}{f' on {f.target}' if f.target else ''}" for f in findings]
    return "; ".join(words[:3]) + (f"; and {len(words) - 3} more" if len(words) > 3 else "")


def combine(findings: Sequence[ClaimFinding]) -> tuple[Verdict, str]:
    """The verdict on a claim, and why.

    It holds if every finding that decides holds, does not hold if one of them does not, and is undetermined otherwise.
    """
    deciding = [finding for finding in findings if finding.decides]
    failed = [finding for finding in deciding if finding.verdict == "does not hold"]
    if failed:
        return "does not hold", f"contradicted: {_named(failed)}"
    open_ = [finding for finding in deciding if finding.verdict == "undetermined"]
    if open_ or not deciding:
        missing = list(dict.fromkeys(finding.reason for finding in open_ if finding.value is None))
        if missing or not deciding:
            return "undetermined", "; ".join(missing[:3]) or "nothing could be computed"
        return "undetermined", f"the data do not decide: {_named(open_)}"
    return "holds", ""
