"""The claims, each a declaration and a function, and what the records of a suite say of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmark.errors import UserError
from benchmark.files.declarations import Frozen
from benchmark.suites.lock import Lock
from benchmark.suites.spec import FrozenData, Suite
from leaderboard.data.claims.classic import CLASSIC, MARGIN, find_classic
from leaderboard.data.claims.decoder import find_decoder
from leaderboard.data.claims.depth import find_depth
from leaderboard.data.claims.findings import ClaimFinding, Verdict, combine
from leaderboard.data.claims.layers import find_layers
from leaderboard.data.claims.prototype import find_prototype
from leaderboard.data.claims.reading import Evidence
from leaderboard.data.claims.runs import TrainingRuns
from leaderboard.data.claims.seeds import SeedComparison, compare_seeds
from leaderboard.data.claims.survival import KEPT, find_survival
from leaderboard.data.entries import Entry

__all__ = ["CLAIMS", "PAPER", "Claim", "ClaimReport", "ClaimResult", "OtherResult", "find_claims", "make_evidence"]

PAPER = "arXiv 2412.06534"
METHOD, PER_TAP, LINEAR = "modular", "modular_per_tap", "ridge"


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        id: stable, for programs and addresses.
        sentence: what is claimed.
        statistic: what is measured, in words; the function's docstring has the formula.
        rule: when it holds.
        subject: the submission that it is put to.
        others: submissions whose results stand beside, to show how far it depends on the method.
        find: from the evidence and a submission to findings; absent ones say why, it raises nothing.
    """

    id: str
    sentence: str
    statistic: str
    rule: str
    subject: str
    others: tuple[str, ...]
    find: Callable[[Evidence, str], list[ClaimFinding]]


_EVERY = "It holds where that is so on every target, and does not hold where an interval contradicts it on one."
CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="classic",
        sentence="Modular inversion is about as good as classic inversion, for less training time.",
        statistic=f"Score of {METHOD} minus score of {CLASSIC}, axis by axis, paired over images; and training time of "
        f"{CLASSIC} over that of {METHOD}, on one device, where it saw no fewer samples.",
        rule=f"The interval of every difference lies above \N{MINUS SIGN}{MARGIN:g}, and the quotient of times above "
        f"1. {_EVERY} A difference is held against it only where it also exceeds the spread of training seeds.",
        subject=METHOD,
        others=(PER_TAP,),
        find=find_classic,
    ),
    Claim(
        id="depth",
        sentence="Detail falls faster with depth than shape.",
        statistic="Share of the shallowest tap's DETAIL that is lost, in the mean over the deeper taps, minus the same "
        "share of SHAPE.",
        rule=f"The interval lies above 0. {_EVERY}",
        subject=METHOD,
        others=(PER_TAP, LINEAR, CLASSIC),
        find=find_depth,
    ),
    Claim(
        id="prototype",
        sentence="Deep layers draw recolored objects to their usual hue.",
        statistic="prototype_pull of images without an object in its usual hue: at taps deeper than .5, and the same "
        "minus that at shallow taps.",
        rule="The interval at the deep taps lies above 0 and above what answers score that know no categories, that of "
        f"the difference above 0. {_EVERY}",
        subject=METHOD,
        others=(PER_TAP, LINEAR, CLASSIC),
        find=find_prototype,
    ),
    Claim(
        id="survival",
        sentence="Detail and shape survive recoloring and gray.",
        statistic="DETAIL and SHAPE under every perturbation (the object recolored, the image gray), each over its "
        "value on the unperturbed image.",
        rule=f"The interval of the share that is kept lies above {KEPT:g}, under every perturbation. {_EVERY}",
        subject=METHOD,
        others=(PER_TAP, LINEAR, CLASSIC),
        find=find_survival,
    ),
    Claim(
        id="layers",
        sentence="Neighboring layers share more than distant ones.",
        statistic="Linear CKA, and frc transfer between the inverses of the taps: mean over neighboring taps of a "
        "stage minus mean over taps two or more apart.",
        rule="Of random orders of the taps, at most 2.5 % give as large a mean over the targets with such taps, for "
        "both measures; it does not hold where at most 2.5 % give as small a mean for one.",
        subject=PER_TAP,
        others=(LINEAR, CLASSIC),
        find=find_layers,
    ),
    Claim(
        id="decoder",
        sentence="DETR and ViT differ in color, and DETR's decoder keeps less than its encoder.",
        statistic="COLOR at the encoder taps of DETR minus COLOR at those of ViT; and on DETR, axis by axis, encoder "
        "taps minus decoder taps.",
        rule=f"The interval of COLOR lies farther than {MARGIN:g} from 0, either way, and those of encoder minus "
        f"decoder above {MARGIN:g}. It does not hold where the interval of COLOR lies within {MARGIN:g} of 0, or one "
        f"of the others below {MARGIN:g}.",
        subject=METHOD,
        others=(PER_TAP, LINEAR, CLASSIC),
        find=find_decoder,
    ),
)  # fmt: skip


class OtherResult(Frozen):
    """The verdict that another submission's recons give."""

    submission: str
    verdict: Verdict
    reason: str
    findings: tuple[ClaimFinding, ...]


class ClaimResult(Frozen):
    """What the records say of one claim."""

    id: str
    sentence: str
    statistic: str
    rule: str
    submission: str
    """whose recons it rests on."""
    verdict: Verdict
    reason: str
    """what decides it where it does not hold, or why it is undetermined."""
    findings: tuple[ClaimFinding, ...]
    others: tuple[OtherResult, ...]
    """the same of other submissions; they decide nothing."""


class ClaimReport(Frozen):
    """All claims about one suite: what `invbench claims --json` prints and the site offers."""

    schema_version: Literal[1] = 1
    suite: str
    suite_digest: str
    source: str
    """the publication whose claims they are."""
    rests_on: tuple[str, ...]
    """what the verdicts rest on, in sentences."""
    claims: tuple[ClaimResult, ...]
    seeds: tuple[SeedComparison, ...]
    """modular and classic inversion compared over training seeds."""
    no_seeds: str
    """why there is no comparison over seeds; empty where there is one."""


def _rests_on(suite: Suite, evidence: Evidence) -> tuple[str, ...]:
    size = f"{suite.dataset.images:,} images"
    readable = next((entry for entry in evidence.entries.values() if entry.groups), None)
    if readable is not None:
        size = f"{len(readable.images):,} images in {len(set(readable.groups)):,} groups"
    families = list(dict.fromkeys(target.architecture or target.family for target in suite.targets))
    lines = [f"{suite.id}: {size}; intervals resample groups of images that share a source."]
    if len(families) == len(suite.targets):
        lines.append(
            f"One network per architecture ({', '.join(families)}): what holds of it need not hold of another training."
        )
    else:
        lines.append(f"{len(suite.targets)} networks of {len(families)} architectures ({', '.join(families)}).")
    if isinstance(suite.dataset, FrozenData):
        lines.append("Small networks trained on composed scenes: the paper's are of full size, on photographs.")
    lines.append("One inverse per submission and target; runs of several seeds are compared apart, where recorded.")
    lines.append("Each interval is at 95 % for itself: they are not corrected for their number.")
    return tuple(lines)


def _result(claim: Claim, evidence: Evidence) -> ClaimResult:
    findings = claim.find(evidence, claim.subject)
    verdict, reason = combine(findings)
    others = []
    for name in (name for name in claim.others if name in evidence.entries):
        found = claim.find(evidence, name)
        others.append(OtherResult.model_validate(
            {"submission": name, "findings": found} | dict(zip(("verdict", "reason"), combine(found), strict=True))
        ))  # fmt: skip
    return ClaimResult(
        id=claim.id, sentence=claim.sentence, statistic=claim.statistic, rule=claim.rule, submission=claim.subject,
        verdict=verdict, reason=reason, findings=tuple(findings), others=tuple(others),
    )  # fmt: skip


def make_evidence(
    suite: Suite, lock: Lock, entries: Sequence[Entry], runs: TrainingRuns | UserError | None
) -> Evidence:
    """What claims are put to; `runs` may be the error for which there are none."""
    held = {entry.submission.id: entry for entry in sorted(entries, key=lambda entry: entry.submission.id)}
    if isinstance(runs, UserError):
        return Evidence(suite, lock, held, None, f"the file of runs cannot be used: {runs.message}")
    return Evidence(suite, lock, held, runs)


def find_claims(evidence: Evidence) -> ClaimReport:
    """What the records of a suite say of every claim; nothing is raised, what cannot be said has its reason."""
    seeds = compare_seeds(evidence.suite, evidence.runs, (METHOD, CLASSIC))
    return ClaimReport(
        suite=evidence.suite.id,
        suite_digest=evidence.suite.digest,
        source=PAPER,
        rests_on=_rests_on(evidence.suite, evidence),
        claims=tuple(_result(claim, evidence) for claim in CLAIMS),
        seeds=tuple(seeds),
        no_seeds="" if seeds else evidence.no_runs,
    )
