"""Plans of locks: what is fetched, how much, how long it takes, and what cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.content.content import Content
from benchmark.diagnostics.lock_plan import LockPlan, PlanPart, check_plan, describe_plan, plan_lock
from benchmark.errors import SpecError, UserError
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import load_lock
from benchmark.suites.spec import Suite

GONE = SpecError("no such commit", where="https://hub/a/net", cure="see its history")
PRESENT, LARGE = PlanPart("images", "data"), PlanPart("vit", "https://hub/a/vit", 2, 3 * 10**9)
UNKNOWN = PlanPart("swin", "https://hub/a/swin", None, None)
ABSENT = PlanPart("detr", "https://hub/a/net", None, 10, GONE)


def plan_of(*parts: PlanPart, unscored: tuple[str, ...] = ()) -> LockPlan:
    return LockPlan("some@1", parts, 24, ((32, 32), (64, 96)), 9000, unscored)


def test_a_plan_says_how_much_is_fetched_and_how_long_it_takes() -> None:
    lines = describe_plan(plan_of(PRESENT, LARGE, UNKNOWN, unscored=("lpips_alex",)))
    text = "\n".join(lines)
    assert "present" in lines[2] and "2 files, 3.0 GB" in lines[3] and "? files, of unknown size" in lines[4]
    assert "to fetch: 3.0 GB and more; about 5 min at 10 MB/s" in text
    assert "24 images at 32x32 and 64x96; about 2 h on one CPU core" in text
    assert "left out: lpips_alex" in text and "invbench data lpips" in text
    assert "to fetch: " not in "\n".join(describe_plan(plan_of(PRESENT)))
    assert plan_of(PRESENT, LARGE, UNKNOWN).as_json()["fetch_s"] == 300


def test_what_cannot_be_had_stops_before_anything_is_fetched() -> None:
    plan = plan_of(PRESENT, LARGE, ABSENT)
    with pytest.raises(SpecError, match="no such commit"):
        check_plan(plan)
    assert describe_plan(plan)[-1] == f"problem: detr: {GONE}"
    assert plan.as_json()["parts"][2]["problem"] == str(GONE)


def test_more_than_there_is_room_for_is_not_fetched() -> None:
    check_plan(plan_of(PRESENT, PlanPart("vit", "https://hub/a/vit", 1, 1)))
    with pytest.raises(UserError, match=r"are free, 1000000000\.0 GB are to be fetched .*HF_HOME"):
        check_plan(plan_of(PlanPart("vit", "https://hub/a/vit", 1, 10**18)))


def test_an_embedded_suite_fetches_nothing(mini: Suite) -> None:
    plan = plan_lock(Content(mini, load_lock(mini)))
    assert {part.name for part in plan.parts} == {"images", "judge", *(target.id for target in mini.targets)}
    assert (plan.bytes, plan.images, plan.sizes) == (0, 128, ((96, 96),))
    check_plan(plan)
    more = mini.model_copy(update={"dataset": mini.dataset.model_copy(update={"images": 256}), "judge": None})
    less = mini.model_copy(update={"judge": None})
    lock = load_lock(mini)
    times = [plan_lock(Content(suite, lock)).measure_s for suite in (less, more)]
    assert times[1] == pytest.approx(2 * times[0])


def test_photographs_that_are_absent_are_named_with_the_way_to_them(
    mini: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    suite = mini.model_copy(update={"dataset": load_suite("imagenet@1").dataset})
    plan = plan_lock(Content(suite, load_lock(mini)))
    with pytest.raises(SpecError, match="invbench data fetch imagenet --imagenet-dir DIR"):
        check_plan(plan)
