"""Every claim on records in which it holds, fails and stays open; what is missing has a reason, and stops nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from claiming import HOURS, enter_claim, evidence_of, layers_of, lock_for, plain

from benchmark.errors import SpecError
from benchmark.records.history import withdraw
from benchmark.suites.lock import Lock, load_lock
from benchmark.suites.spec import Suite
from leaderboard.data.board import load_boards
from leaderboard.data.claims.catalog import CLAIMS, Claim, find_claims, make_evidence
from leaderboard.data.claims.findings import ClaimFinding, combine
from leaderboard.data.claims.reading import Evidence
from leaderboard.data.entries import load_entries

ROOT = Path(__file__).parents[4]
Give = Callable[..., Evidence]
BY_ID = {claim.id: claim for claim in CLAIMS}
Level = Callable[[str, str, float, str], float]


def findings_of(claim_id: str, evidence: Evidence, subject: str | None = None) -> list[ClaimFinding]:
    claim = BY_ID[claim_id]
    return claim.find(evidence, subject or claim.subject)


def verdict_of(claim_id: str, evidence: Evidence) -> str:
    return combine(findings_of(claim_id, evidence))[0]


def better(by: float, axis: str | None = None) -> Level:
    """Scores that are higher by so much, on all axes or on one."""
    return lambda target, what, depth, kind: plain(target, what, depth, kind) + by * (axis in (None, what))


def same_fall(target: str, axis: str, depth: float, kind: str) -> float:
    """Detail and shape lose the same share with depth."""
    return 0.8 - 0.4 * depth if axis in ("detail", "shape") else plain(target, axis, depth, kind)


def swapped_fall(target: str, axis: str, depth: float, kind: str) -> float:
    """Shape falls faster."""
    return plain(target, {"detail": "shape", "shape": "detail"}.get(axis, axis), depth, kind)


def pull(slope: float, start: float = 0.0) -> Level:
    return lambda target, axis, depth, kind: (
        start + slope * depth if axis == "prototype_pull" else plain(target, axis, depth, kind)
    )


def kept(share: float, kinds: Sequence[str]) -> Level:
    return lambda target, axis, depth, kind: plain(target, axis, depth, kind) * (share if kind in kinds else 1)


def alike(target: str, axis: str, depth: float, kind: str) -> float:
    """All targets and depths have one color."""
    return 0.6 if axis == "color" else plain(target, axis, depth, kind)


def color_alike(target: str, axis: str, depth: float, kind: str) -> float:
    """Encoders of all targets have one color; DETR's decoder has less."""
    return (0.8 if depth < 0.5 or "vit" in target else 0.5) if axis == "color" else plain(target, axis, depth, kind)


DEAR = HOURS | {"device_hours": 2.0}
PER_TAP: dict[str, Any] = {"name": "modular_per_tap"}
ONE = "modular"
CASES: list[tuple[str, str, dict[str, dict[str, Any]]]] = [
    ("classic", "holds", {ONE: {}, "end_to_end": {"training": DEAR, "seed": 2}}),
    ("classic", "holds", {ONE: {"level": better(0.1)}, "end_to_end": {"training": DEAR, "seed": 2}}),
    ("classic", "does not hold", {ONE: {}, "end_to_end": {"level": better(0.08), "training": DEAR, "seed": 2}}),
    ("classic", "does not hold", {ONE: {}, "end_to_end": {"level": better(0.08, "shape"), "training": DEAR}}),
    ("classic", "does not hold", {ONE: {}, "end_to_end": {"training": HOURS | {"device_hours": 0.5}}}),
    ("classic", "does not hold", {ONE: {}, "end_to_end": {"training": DEAR | {"samples": 500}}}),
    ("classic", "undetermined", {ONE: {}, "end_to_end": {"training": DEAR | {"device": "Another GPU"}}}),
    ("classic", "undetermined", {ONE: {}, "end_to_end": {"training": {}}}),
    ("classic", "undetermined", {ONE: {}, "end_to_end": {"training": DEAR, "only": ["mini-vit"]}}),
    ("classic", "undetermined", {ONE: {"noise": 0.3}, "end_to_end": {"training": DEAR, "noise": 0.3, "seed": 2}}),
    ("depth", "holds", {ONE: {}}),
    ("depth", "does not hold", {ONE: {"level": swapped_fall}}),
    ("depth", "undetermined", {ONE: {"level": same_fall, "noise": 0.1}}),
    ("prototype", "holds", {ONE: {}}),
    ("prototype", "does not hold", {ONE: {"level": pull(-0.1)}}),
    ("prototype", "does not hold", {ONE: {"level": pull(-0.1, 0.2)}}),
    ("prototype", "undetermined", {ONE: {"level": pull(0.0, 0.1), "noise": 0.1}}),
    ("prototype", "undetermined", {ONE: {"level": pull(0.0), "noise": 0.1}}),
    ("survival", "holds", {ONE: {}}),
    ("survival", "does not hold", {ONE: {"level": kept(0.5, ["gray"])}}),
    ("survival", "does not hold", {ONE: {"level": kept(0.5, ["hue_set_240"])}}),
    ("survival", "undetermined", {ONE: {"level": kept(0.9, ["gray"]), "noise": 0.1}}),
    ("decoder", "holds", {ONE: {}}),
    ("decoder", "does not hold", {ONE: {"level": color_alike}}),
    ("decoder", "does not hold", {ONE: {"level": alike}}),
    ("decoder", "undetermined", {ONE: {"noise": 0.9}}),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "verdict", "submissions"), CASES)
def test_verdicts(give: Give, claim: str, verdict: str, submissions: dict[str, dict[str, Any]]) -> None:
    evidence = give(**submissions)
    assert verdict_of(claim, evidence) == verdict, findings_of(claim, evidence)


@pytest.mark.parametrize(("fall", "verdict"), [(0.05, "holds"), (-0.05, "does not hold"), (0.0, "undetermined")])
def test_layers_are_compared_with_random_orders(few: Suite, give: Give, fall: float, verdict: str) -> None:
    evidence = give(modular_per_tap={"layers": layers_of(few, fall)})
    assert verdict_of("layers", evidence) == verdict


def test_every_claim_is_declared_whole() -> None:
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS) == 6
    for claim in CLAIMS:
        assert claim.sentence.endswith(".") and claim.statistic.endswith(".") and claim.rule.endswith(".")
        assert claim.subject not in claim.others
        assert claim.find.__doc__


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_without_a_record_a_claim_is_undetermined_and_says_why(few: Suite, pins: Lock, claim: Claim) -> None:
    evidence = make_evidence(few, pins, [], None)
    findings = claim.find(evidence, claim.subject)
    assert combine(findings) == ("undetermined", f"no record of {claim.subject}")
    for finding in findings:
        assert finding.value is finding.low is finding.high is finding.p_value is None
        assert finding.reason == f"no record of {claim.subject}"


def test_a_missing_classic_record_is_named(give: Give) -> None:
    findings = findings_of("classic", give(modular={}))
    assert combine(findings) == ("undetermined", "no record of end_to_end")
    assert {finding.value for finding in findings} == {None}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"draft": True}, "the record of modular is a draft"),
        ({"precision": "bfloat16"}, "the record of modular is not in the official arithmetic"),
    ],
)
def test_records_that_are_not_ranked_decide_nothing(give: Give, options: dict[str, Any], reason: str) -> None:
    report = find_claims(give(modular=options))
    for claim in report.claims:
        assert claim.verdict == "undetermined"
        if claim.submission == "modular":
            assert claim.reason == reason


def test_a_withdrawn_record_decides_nothing(few: Suite, pins: Lock, tmp_path: Path) -> None:
    enter_claim(few, pins, tmp_path, "modular")
    withdraw(tmp_path / "modular", few.id, "A mistake.", date(2026, 1, 1))
    assert combine(findings_of("depth", evidence_of(few, pins, tmp_path))) == (
        "undetermined",
        "the record of modular was withdrawn",
    )


def test_a_record_of_one_target_decides_that_target_alone(give: Give) -> None:
    findings = findings_of("depth", give(modular={"only": ["mini-vit"]}))
    by_target = {finding.target: finding for finding in findings}
    assert by_target["mini-vit"].verdict == "holds" and by_target["mini-vit"].value is not None
    assert by_target["mini-detr"].value is None
    assert by_target["mini-detr"].reason == "the record of modular is not complete on mini-detr"
    assert by_target[None].reason == "not measured on every target" and not by_target[None].decides
    assert combine(findings)[0] == "undetermined"


def test_one_target_that_contradicts_is_enough(give: Give) -> None:
    def level(target: str, axis: str, depth: float, kind: str) -> float:
        return (swapped_fall if target == "mini-swin" else plain)(target, axis, depth, kind)

    findings = findings_of("depth", give(modular={"level": level}))
    verdict, reason = combine(findings)
    assert verdict == "does not hold"
    assert "mini-swin" in reason and "mini-vit" not in reason


def test_few_groups_decide_nothing(few: Suite, tmp_path: Path) -> None:
    lock = lock_for(few, groups=4)
    enter_claim(few, lock, tmp_path, "modular")
    findings = findings_of("depth", evidence_of(few, lock, tmp_path))
    assert {finding.groups for finding in findings} == {4}
    assert {finding.verdict for finding in findings} == {"undetermined"}
    assert all("fewer than 8 groups" in finding.reason and finding.value is not None for finding in findings)


def test_a_score_that_is_next_to_nothing_is_not_divided_by(give: Give) -> None:
    evidence = give(modular={"level": lambda target, axis, depth, kind: 0.02})
    for claim in ("depth", "survival"):
        findings = findings_of(claim, evidence)
        assert {finding.value for finding in findings} == {None}
        assert {finding.reason for finding in findings} == {"a score that it divides by is under .05"}


def test_a_tap_without_any_score_is_said(few: Suite, give: Give) -> None:
    index = few.metrics.index("prototype_pull")

    def edit(scores: list[Any]) -> None:
        for one in scores:
            scored = one.reasons[:, :, :, index] == 0
            one.values[:, :, :, index][scored] = float("nan")
            one.reasons[:, :, :, index][scored] = 2 + index

    findings = findings_of("prototype", give(modular={"edit": edit}))
    assert combine(findings) == ("undetermined", "nothing is scored at a tap")


def test_a_suite_that_lacks_what_a_claim_asks_says_so(few: Suite, tmp_path: Path) -> None:
    vit = few.target("mini-vit")
    report = tuple(metric for metric in few.report if metric != "prototype_pull")
    poor = few.model_copy(
        update={"targets": (vit,), "report": report, "perturbations": ("identity", "hue_set_0"), "axes": few.axes}
    )
    lock = lock_for(poor).model_copy(update={"wear": {}})
    enter_claim(poor, lock, tmp_path, "modular")
    evidence = evidence_of(poor, lock, tmp_path)
    assert combine(findings_of("survival", evidence)) == ("undetermined", "mini@1 does not both recolor and turn gray")
    assert combine(findings_of("prototype", evidence)) == ("undetermined", "mini@1 knows no usual colors")
    assert "no target of the family detr" in combine(findings_of("decoder", evidence))[1]
    assert combine(findings_of("depth", evidence))[0] == "holds"


def test_other_submissions_stand_beside_and_decide_nothing(give: Give) -> None:
    report = find_claims(give(modular={}, ridge={"level": swapped_fall, "seed": 3}))
    depth = next(claim for claim in report.claims if claim.id == "depth")
    assert depth.verdict == "holds"
    assert [(other.submission, other.verdict) for other in depth.others] == [("ridge", "does not hold")]


def test_the_file_of_runs_that_cannot_be_used_is_said_and_stops_nothing(give: Give) -> None:
    whole = give(modular={})
    error = SpecError("holds nothing", where="/somewhere/secret.json")
    report = find_claims(make_evidence(whole.suite, whole.lock, list(whole.entries.values()), error))
    assert report.no_seeds == "the file of runs cannot be used: holds nothing"
    assert "secret" not in report.model_dump_json()


def test_the_order_of_the_records_changes_nothing(few: Suite, pins: Lock, give: Give) -> None:
    evidence = give(modular={}, ridge={"seed": 3}, modular_per_tap={"seed": 4})
    entries = list(evidence.entries.values())
    first, second = (find_claims(make_evidence(few, pins, order, None)) for order in (entries, entries[::-1]))
    assert first == second


@pytest.mark.slow
def test_the_committed_records_give_verdicts() -> None:
    """New records may change verdicts; what must stay is that each has one, and numbers or reasons behind it."""
    boards = load_boards(["mini@1"], [ROOT / "submissions"])
    report = boards[0].claims
    assert [claim.id for claim in report.claims] == list(BY_ID)
    for claim in report.claims:
        assert claim.verdict in ("holds", "does not hold", "undetermined")
        assert claim.reason or claim.verdict == "holds"
        for finding in claim.findings:
            assert (finding.value is not None) or finding.reason
            if finding.low is not None and finding.high is not None and finding.value is not None:
                assert finding.low <= finding.value <= finding.high
    decided = [claim for claim in report.claims if claim.id != "classic"]
    assert all(any(finding.value is not None for finding in claim.findings) for claim in decided)


def test_a_claim_agrees_with_what_the_record_states(give: Give, few: Suite) -> None:
    """The pull at a single deep tap of a target with one is the record's own estimate."""
    evidence = give(modular={"noise": 0.05})
    swin = few.target("mini-swin")
    deep = [tap.name for tap in swin.taps if tap.depth > 0.5]
    stated = evidence.entry("modular").record.targets["mini-swin"].taps
    expected = sum(stated[tap].pull["recolored"].value or 0.0 for tap in deep) / len(deep)
    found = next(
        f for f in findings_of("prototype", evidence) if f.target == "mini-swin" and f.part.endswith("deep taps")
    )
    assert found.value == pytest.approx(expected, abs=2e-6)
    assert found.images == stated[deep[0]].pull["recolored"].images


def test_the_real_lock_gives_the_bound_of_the_prototype() -> None:
    boards = load_boards(["mini@1"], [ROOT / "submissions"])
    lock = load_lock(boards[0].suite)
    blind = max(a.pull["recolored"] for name, a in lock.answers["96x96"].items() if not name.startswith("prototype"))
    found = findings_of("prototype", boards[0].evidence)
    assert {f.bound for f in found if f.part == "prototype_pull at the deep taps"} == {max(0.0, blind)}


def test_entries_of_the_same_name_from_later_folders_win(few: Suite, pins: Lock, tmp_path: Path) -> None:
    enter_claim(few, pins, tmp_path / "a", "modular")
    enter_claim(few, pins, tmp_path / "b", "modular", level=swapped_fall)
    entries = load_entries(few, pins, [tmp_path / "a", tmp_path / "b"])
    assert verdict_of("depth", make_evidence(few, pins, entries, None)) == "does not hold"


def test_statistics_are_those_of_the_scores_that_records_state() -> None:
    """Depth and decoder, worked out again from the tap scores in record.json."""
    evidence = load_boards(["mini@1"], [ROOT / "submissions"])[0].evidence
    for name in ("modular", "ridge"):
        record = evidence.entry(name).record
        depth = {f.target: f.value for f in findings_of("depth", evidence, name)}
        for target in evidence.targets:
            taps = [record.targets[target.id].taps[tap] for tap in target.tap_names]
            lost = {}
            for axis in ("detail", "shape"):
                scores = [tap.axes[axis].value or 0.0 for tap in taps]
                lost[axis] = sum(1 - score / scores[0] for score in scores[1:]) / (len(scores) - 1)
            assert depth[target.id] == pytest.approx(lost["detail"] - lost["shape"], abs=2e-5)
        color: dict[tuple[str, str], list[float]] = {}
        for target in evidence.targets:
            for tap in target.taps:
                value = record.targets[target.id].taps[tap.name].axes["color"].value
                color.setdefault((target.family, tap.stage), []).append(value or 0.0)
        mean = {key: sum(values) / len(values) for key, values in color.items()}
        found = {f.part: f.value for f in findings_of("decoder", evidence, name)}
        assert found["COLOR at the encoder taps, DETR minus ViT"] == pytest.approx(
            mean["detr", "encoder"] - mean["vit", "encoder"], abs=2e-5
        )
        assert found["COLOR, encoder minus decoder taps"] == pytest.approx(
            mean["detr", "encoder"] - mean["detr", "decoder"], abs=2e-5
        )
