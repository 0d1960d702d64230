"""The one rule that turns intervals into verdicts, and findings into the verdict on a claim."""

from __future__ import annotations

from math import nan

import pytest

from leaderboard.data.claims.findings import ClaimFinding, Question, absent, combine, judge, permuted, state

ABOVE, BETWEEN = Question("a"), Question("b", -0.02, -0.05)
APART = Question("c", 0.02, apart=True)


@pytest.mark.parametrize(
    ("question", "ends", "verdict"),
    [
        (ABOVE, (0.2, 0.1, 0.3), "holds"),
        (ABOVE, (0.2, 0.0, 0.3), "undetermined"),
        (ABOVE, (-0.2, -0.3, 0.0), "undetermined"),
        (ABOVE, (-0.2, -0.3, -0.1), "does not hold"),
        (BETWEEN, (0.0, -0.01, 0.01), "holds"),
        (BETWEEN, (-0.03, -0.04, -0.03), "undetermined"),
        (BETWEEN, (-0.07, -0.08, -0.06), "does not hold"),
        (APART, (0.1, 0.03, 0.2), "holds"),
        (APART, (-0.1, -0.2, -0.03), "holds"),
        (APART, (0.0, -0.01, 0.01), "does not hold"),
        (APART, (0.0, -0.1, 0.1), "undetermined"),
        (ABOVE, (0.2, nan, nan), "undetermined"),
        (ABOVE, (nan, nan, nan), "undetermined"),
    ],
)
def test_an_interval_decides(question: Question, ends: tuple[float, float, float], verdict: str) -> None:
    found = judge(question, "t", ends, (20, 10))
    assert found.verdict == verdict
    assert bool(found.reason) == any(end != end for end in ends)
    few = judge(question, "t", ends, (20, 7))
    assert few.verdict == "undetermined" and few.reason


def test_nothing_missing_is_a_number() -> None:
    found = judge(ABOVE, None, (nan, nan, nan), (0, 0))
    assert found.value is found.low is found.high is None and "NaN" not in found.model_dump_json()
    assert absent(ABOVE, None, "why").value is None


def test_stated_numbers_and_permutations_decide_too() -> None:
    assert state(Question("time", 1.0, stated=True), None, 1.5).verdict == "holds"
    assert state(Question("time", 1.0), None, 1.0).verdict == "does not hold"
    for p_values, verdict in (((0.01, 1.0), "holds"), ((1.0, 0.01), "does not hold"), ((0.03, 0.98), "undetermined")):
        assert permuted(ABOVE, None, 0.1, p_values, decides=True).verdict == verdict


def test_the_numbers_that_are_stated_decide() -> None:
    for ends in ((0.2, 4e-7, 0.3), (-0.2, -0.3, -4e-7)):
        found = judge(ABOVE, "t", ends, (20, 10))
        assert 0 in (found.low, found.high) and found.verdict == "undetermined"
    assert state(Question("time", 1.0), None, 1.0000004).verdict == "does not hold"
    found = permuted(ABOVE, None, 0.1, (0.0250004, 1.0), decides=True)
    assert (found.p_value, found.verdict) == (0.025, "holds")


def of(verdict: str, part: str = "x", **fields: object) -> ClaimFinding:
    return absent(Question(part), "t", "").model_copy(update={"verdict": verdict, "value": 0.1, **fields})


def test_verdicts_on_a_claim() -> None:
    yes, no, open_ = of("holds"), of("does not hold", "y"), of("undetermined", "z")
    assert combine([yes, yes]) == ("holds", "")
    assert combine([yes, open_, no]) == ("does not hold", "contradicted: y on t")
    assert combine([yes, open_]) == ("undetermined", "the data do not decide: z on t")
    missing = absent(ABOVE, None, "no record of it")
    assert combine([yes, missing, missing]) == ("undetermined", "no record of it")
    beside = of("does not hold", decides=False)
    assert combine([yes, beside]) == ("holds", "")
    assert combine([]) == combine([beside]) == ("undetermined", "nothing could be computed")
    many = [of("does not hold", f"p{i}") for i in range(5)]
    assert combine(many)[1] == "contradicted: p0 on t; p1 on t; p2 on t; and 2 more"
