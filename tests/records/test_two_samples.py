"""Two samples that are scored alike are found to differ as rarely as stated; who memorized is found out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from memorizing import read_record

from benchmark.errors import SpecError
from benchmark.records.aggregate import image_axes
from benchmark.records.bootstrap import groups_of
from benchmark.records.two_samples import DRAWS, LEVEL, SampleDifference, compare_samples
from benchmark.suites.lock import load_lock
from benchmark.suites.spec import Suite

Array = npt.NDArray[np.float64]
FEW = 2_000


def split(
    columns: Mapping[str, Array], groups: Sequence[str], order: npt.NDArray[np.int64], count: int, **more: int
) -> dict[str, SampleDifference]:
    """Compare the last `count` of some images with the others."""
    first, last = order[:-count], order[-count:]
    frozen, fresh = ({key: values[rows] for key, values in columns.items()} for rows in (first, last))
    named = [groups[row] for row in order]
    return compare_samples(frozen, fresh, named, dict.fromkeys(columns, 0.0), **{"seed": 1, "draws": FEW} | more)


def lone(count: int) -> list[str]:
    return [f"image-{index}" for index in range(count)]


def test_the_level_holds_for_heavy_tails_and_few_images() -> None:
    """Log-normal scores with tails that a t-test cannot take, in two columns that depend on each other."""
    generator, found = np.random.default_rng(5), []
    for number in range(400):
        values = np.exp(generator.normal(0, 2.5, (40, 3)))
        columns = {"a": -values[:, :2], "b": values[:, 1:]}
        compared = split(columns, lone(40), np.arange(40), 8, seed=number, draws=400)
        found.append(min(item.p_value for item in compared.values()))
    for level in (0.05, 0.1, 0.25):
        rate = float(np.mean(np.array(found) <= level))
        assert abs(rate - level) < 4 * np.sqrt(level * (1 - level) / len(found))


def test_only_a_higher_score_on_the_suites_images_counts() -> None:
    values = np.random.default_rng(1).normal(0, 0.1, (60, 2))
    values[-20:] += 1
    (better,) = split({"a": values}, lone(60), np.arange(60), 20).values()
    (worse,) = split({"a": -values}, lone(60), np.arange(60), 20).values()
    assert better.agrees
    assert better.p_value == 1
    assert not worse.agrees
    assert worse.p_value == 1 / FEW
    assert worse.frozen - worse.fresh > worse.critical > 0


def test_the_largest_difference_allowed_is_where_the_verdict_turns() -> None:
    values = np.random.default_rng(2).normal(0, 1, (60, 1))
    for shift in np.linspace(0, 2, 21):
        moved = values.copy()
        moved[-20:] -= shift
        (found,) = split({"a": moved}, lone(60), np.arange(60), 20).values()
        assert found.agrees == (found.frozen - found.fresh <= found.critical + 1e-9)


def test_the_order_of_images_and_other_random_numbers_change_little() -> None:
    values = np.random.default_rng(3).normal(0, 1, (60, 1))
    values[-20:] -= 0.4
    order = np.concatenate([np.arange(40)[::-1], np.arange(40, 60)[::-1]])
    first, second, third = (
        split({"a": values}, lone(60), rows, 20, draws=DRAWS, seed=seed)["a"]
        for rows, seed in ((np.arange(60), 1), (np.arange(60), 2), (order, 1))
    )
    assert first == split({"a": values}, lone(60), np.arange(60), 20, draws=DRAWS)["a"]
    assert first.p_value == pytest.approx(second.p_value, rel=0.2)
    assert first.p_value == pytest.approx(third.p_value, rel=0.2)
    assert first.critical == pytest.approx(second.critical, rel=0.2)


def test_a_photograph_that_is_hard_is_no_proof_of_memory() -> None:
    """Half of the fresh scenes lie before a photograph that lowers every score, but few of the suite's."""
    generator = np.random.default_rng(4)
    groups = ["photo:hard"] * 4 + lone(56) + ["photo:hard"] * 10 + [f"fresh-{index}" for index in range(10)]
    values = generator.normal(0, 0.05, (80, 1))
    values[[name == "photo:hard" for name in groups]] -= 0.5
    (known,) = split({"a": values}, groups, np.arange(80), 20).values()
    (unknown,) = split({"a": values}, lone(80), np.arange(80), 20).values()
    assert known.agrees
    assert known.frozen - known.fresh > 0.2
    assert not unknown.agrees


def test_equal_scores_differ_nowhere_and_what_machines_differ_by_is_allowed() -> None:
    ones = {"a": np.ones((40, 3)), "b": np.zeros((40, 1))}
    for found in split(ones, lone(40), np.arange(40), 8).values():
        assert (found.p_value, found.critical) == (1, 0)
    frozen, fresh = {"a": np.ones((32, 1))}, {"a": np.ones((8, 1)) - 1e-5}
    groups = lone(40)
    strict, lenient = (
        compare_samples(frozen, fresh, groups, {"a": allowed}, 1, draws=FEW)["a"] for allowed in (0.0, 5e-5)
    )
    assert not strict.agrees
    assert lenient.agrees


def test_images_without_a_score_are_left_out_and_a_tap_without_any_is_told() -> None:
    values = np.random.default_rng(6).normal(0, 1, (40, 2))
    values[::3, 0] = np.nan
    values[-1] = np.nan
    (found,) = split({"a": values}, lone(40), np.arange(40), 8).values()
    assert found.frozen == pytest.approx(np.nanmean(values[:32], 0).mean())
    assert found.fresh == pytest.approx(np.nanmean(values[32:], 0).mean())
    assert found.agrees
    values[-8:, 1] = np.nan
    with pytest.raises(SpecError, match="too few images are scored on a"):
        split({"a": values}, lone(40), np.arange(40), 8)


def test_one_scored_image_among_the_fresh_ones_proves_nothing() -> None:
    values = np.full((40, 1), np.nan)
    values[:4, 0], values[-1, 0] = 1.0, 0.0
    with pytest.raises(SpecError, match="too few images are scored on a"):
        split({"a": values}, lone(40), np.arange(40), 8)


def columns_of(name: str, mini: Suite) -> tuple[dict[str, Array], list[str]]:
    """Axis scores of a committed record by axis and target, and the groups of its images."""
    _, scores = read_record(name, mini)
    found = {
        f"{axis} on {item.target.id}": values
        for item in scores
        for axis, values in image_axes(mini, item.values).items()
    }
    return found, list(groups_of(scores[0].images, load_lock(mini).groups))


def memorize(columns: Mapping[str, Array], rows: npt.NDArray[np.int64]) -> dict[str, Array]:
    """Return scores as of someone who knows some images by heart."""
    known = {key: values.copy() for key, values in columns.items()}
    for values in known.values():
        values[rows] = 1.0
    return known


@pytest.mark.slow
def test_who_knows_some_images_is_caught_as_surely_as_chance_cannot_explain(mini: Suite) -> None:
    """With 38 of 96 images known, none is among 32 fresh ones with a chance of .75^38: no test can tell more."""
    columns, groups = columns_of("ridge", mini)
    generator = np.random.default_rng(7)
    for number in range(4):
        order = generator.permutation(128)
        known = split(memorize(columns, order[:38]), groups, order, 32, seed=number, draws=8_000)
        assert not all(item.agrees for item in known.values())
        few = split(memorize(columns, order[:10]), groups, order, 32, seed=number, draws=8_000)
        assert min(item.p_value for item in few.values()) > 0.25 * 0.75**10
        honest = split(columns, groups, order, 32, seed=number)
        assert all(item.agrees for item in honest.values())


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["ridge", "modular", "knn", "mean", "end_to_end"])
def test_the_level_holds_on_the_scores_of_real_records(mini: Suite, name: str) -> None:
    """A quarter of the suite's own images stand in for fresh ones."""
    columns, groups = columns_of(name, mini)
    generator, found = np.random.default_rng(8), []
    for number in range(500):
        compared = split(columns, groups, generator.permutation(128), 32, seed=number, draws=1_000)
        found.append(min(item.p_value for item in compared.values()))
    p_values = np.array(found)
    for level in (LEVEL, 0.01, 0.05, 0.1):
        assert np.mean(p_values <= level) < level + 4 * np.sqrt(level * (1 - level) / len(p_values))
