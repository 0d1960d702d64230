"""Which charts show the claims: every estimate with its interval, and what is behind it at the taps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from benchmark.records.record import PullScore
from benchmark.suites.spec import TargetSpec
from leaderboard.data.board import Board
from leaderboard.data.claims.catalog import CLAIMS, ClaimResult
from leaderboard.data.claims.depth import shares_kept
from leaderboard.data.claims.findings import ClaimFinding, NotMeasured, Verdict
from leaderboard.data.claims.reading import estimate
from leaderboard.data.claims.runs import CONDITIONS
from leaderboard.data.claims.seeds import SeedComparison
from leaderboard.data.claims.survival import AXES_KEPT, kinds_kept
from leaderboard.data.claims.texts import seeds_verdict, target_text
from leaderboard.figures import Estimated, Line, Panel, depth_chart, forest_chart, heat_chart
from leaderboard.figures.forest import Mark
from leaderboard.site.drawings import Plan, plan_layers

__all__ = ["plan_claims", "plan_seeds"]

_MARKS: dict[Verdict, Mark] = {"holds": "disk", "does not hold": "cross", "undetermined": "ring"}
_PULLS = ("disk: drawn towards the usual color; cross: away from it", "ring: the 95 % interval contains 0")
_SHARE = "Share of the score at the shallowest tap"
_LEGEND = (
    "disk: holds; cross: does not hold; ring: undetermined",
    "dashed: the claim says that the value lies above it",
)


def _row(finding: ClaimFinding) -> Estimated:
    name = f"{target_text(finding.target)}: {finding.part}"
    ends = finding.value, finding.low, finding.high, finding.bound
    return Estimated(name, *ends, _MARKS[finding.verdict], finding.verdict)


def _plan_findings(claim: ClaimResult) -> list[Plan]:
    """The chart of what was measured, and one of its own for stated numbers, whose scale is another."""
    title, plans = f"{claim.sentence.rstrip('.')}: with the recons of {claim.submission}", []
    stated = [finding for finding in claim.findings if finding.stated]
    measured = [finding for finding in claim.findings if not finding.stated]
    for file, words, findings in (
        ("", title, measured),
        ("-stated", f"Stated by the records: {claim.submission}", stated),
    ):
        if any(finding.value is not None for finding in findings):
            make = partial(forest_chart, words, [_row(finding) for finding in findings], _LEGEND)
            plans.append(Plan(f"charts/claims-{claim.id}{file}", words, make))
    return plans


def _plan_depth(board: Board, subject: str, target: TargetSpec) -> list[Plan]:
    """Every tap's DETAIL and SHAPE as a share of the shallowest tap's."""
    try:
        found = estimate(shares_kept(board.evidence, subject, target))
    except NotMeasured:
        return []
    taps = len(target.taps)

    def line(name: str, style: int) -> Line:
        part = slice(style * taps, (style + 1) * taps)
        return Line(name, style, *(tuple(float(v) for v in column[part]) for column in found))

    title = f"Share of the shallowest tap's score: {subject} on {target.id}"
    lines = [line("DETAIL", 0), line("SHAPE", 1)]
    make = partial(depth_chart, title, target.tap_names, [tap.depth for tap in target.taps], lines, _SHARE)
    return [Plan(f"charts/claims-depth-{target.id}", title, make)]


def _pull(name: str, pull: PullScore) -> Estimated:
    mark: tuple[Mark, str] = "ring", "the interval contains 0"
    if pull.low is None or pull.high is None:
        mark = "ring", "no interval"
    elif pull.low > 0:
        mark = "disk", "towards the usual color"
    elif pull.high < 0:
        mark = "cross", "away from the usual color"
    return Estimated(name, pull.value, pull.low, pull.high, None, *mark)


def _plan_pulls(board: Board, subject: str) -> list[Plan]:
    """The pull of objects in an unusual color at every tap, as the record states it."""
    entry, rows = board.evidence.entries.get(subject), []
    for target in board.suite.targets:
        taps = entry.record.targets[target.id].taps if entry and target.id in entry.record.targets else {}
        for tap in target.tap_names:
            pull = taps[tap].pull.get("recolored") if tap in taps else None
            if pull is not None and pull.value is not None:
                rows.append(_pull(f"{target.id}, {tap}", pull))
    if not rows:
        return []
    title = f"prototype_pull of objects in an unusual color at every tap: {subject}"
    return [Plan("charts/claims-prototype-taps", title, partial(forest_chart, title, rows, _PULLS))]


def _plan_kinds(board: Board, subject: str) -> list[Plan]:
    """The share of DETAIL and SHAPE that is kept under every perturbation, on every target."""
    kinds = board.suite.perturbations[1:]
    panels = []
    for axis in AXES_KEPT:
        rows: dict[str, tuple[float | None, ...]] = {}
        for target in board.suite.targets:
            try:
                kept = kinds_kept(board.evidence, subject, target, axis)
            except NotMeasured:
                continue
            rows[target.id] = tuple(float(estimate(kept[kind]).value[0])
                                    for kind in kinds)  # fmt: skip
        if rows:
            panels.append(Panel(f"{axis.upper()} kept", tuple(rows), kinds, tuple(rows.values())))
    if not panels:
        return []
    title = f"Share of the score that is kept under each perturbation: {subject}"
    return [Plan("charts/claims-survival-kinds", title, partial(heat_chart, title, panels, 0.0, 1.2))]


def _plan_layers(board: Board, subject: str) -> list[Plan]:
    entry = board.evidence.entries.get(subject)
    plans = [(target, plan_layers(entry, target)) for target in board.suite.targets] if entry else []
    return [replace(plan, file=f"charts/claims-layers-{target.id}") for target, plan in plans if plan]


def plan_claims(board: Board) -> dict[str, list[Plan]]:
    """The charts of every claim, by its id: first that of its findings."""
    report = {result.id: result for result in board.claims.claims}
    plans = {claim.id: _plan_findings(report[claim.id]) for claim in CLAIMS}
    subject = {claim.id: claim.subject for claim in CLAIMS}
    for target in board.suite.targets:
        plans["depth"] += _plan_depth(board, subject["depth"], target)
    plans["prototype"] += _plan_pulls(board, subject["prototype"])
    plans["survival"] += _plan_kinds(board, subject["survival"])
    plans["layers"] += _plan_layers(board, subject["layers"])
    return plans


_LEADS: dict[str, Mark] = {"first leads": "disk", "second leads": "cross"}


def plan_seeds(items: Sequence[SeedComparison]) -> list[Plan]:
    """The chart of the leads of modular over classic inversion, over training seeds."""
    if not items:
        return []
    rows = [
        Estimated(
            f"{item.target}, {CONDITIONS[item.condition]}, {item.axis.upper()}", item.lead, item.low, item.high, None,
            _LEADS.get(item.verdict, "ring"), seeds_verdict(item),
        )
        for item in items
    ]  # fmt: skip
    title = f"{items[0].first} minus {items[0].second} over training seeds"
    legend = (f"disk: {items[0].first} leads; cross: {items[0].second} leads", "ring: a tie, or undetermined")
    return [Plan("charts/claims-seeds", title, partial(forest_chart, title, rows, legend))]
