"""The scoring of tiles: independent of its neighbours, honest about what cannot be scored."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from benchmark.datasets.base import Sample
from benchmark.engine.scorer import TILE, Scorer, iter_tiles
from benchmark.errors import UserError
from benchmark.files.pixels import quantize
from benchmark.metrics.case import Networks
from benchmark.metrics.spec import METRICS
from benchmark.records.scores import NOT_APPLICABLE, NOT_FINITE, SCORED, applies, defines, get_reason_names
from benchmark.suites.spec import POOLED, Suite

Recons = Mapping[str, Tensor]
VIEWS = """alias as_strided chunk contiguous detach empty empty_like expand expand_as flatten lift_fresh movedim narrow
permute reshape resolve_conj result_type select slice split split_with_sizes squeeze t to transpose unbind unflatten
unsqueeze view view_as view_as_real"""


def soften(seen: Tensor) -> Recons:
    return {"tap": torch.nn.functional.avg_pool2d(seen, 5, stride=1, padding=2)}


@pytest.fixture(scope="module")
def every(mini: Suite) -> Suite:
    """The suite with every metric that is declared."""
    return mini.model_copy(update={"report": tuple(name for name in METRICS if name not in mini.ranked_metrics)})


def run(
    mini: Suite, samples: list[Sample], invert: Callable[[Tensor], Recons], networks: Networks | None = None
) -> dict[str, np.ndarray]:
    scorer = Scorer(mini, ("tap",), invert, networks or Networks())
    names = [sample.id for sample in samples]
    tiles = [
        scorer.run(tile) for tile in iter_tiles(samples, torch.device("cpu"), audit=mini.audit_ids(names), judged=names)
    ]
    return {name: np.concatenate([tile[name] for tile in tiles]) for name in tiles[0]}


def value(mini: Suite, out: dict[str, np.ndarray], metric: str, perturbation: str = "identity") -> np.ndarray:
    return out["values"][:, 0, mini.conditions.index(perturbation), mini.metrics.index(metric)]  # type: ignore[arg-type]


def test_a_score_depends_on_its_image_alone(every: Suite, samples: list[Sample], networks: Networks) -> None:
    whole = run(every, samples[:16], soften, networks)
    part = run(every, samples[:11], soften, networks)
    for name in ("values", "reasons", "clamped"):
        assert np.array_equal(part[name], whole[name][:11], equal_nan=name == "values"), name


def softer(seen: Tensor, taps: int) -> Recons:
    return {f"tap.{k}": torch.nn.functional.avg_pool2d(seen, 2 * k + 1, stride=1, padding=k) for k in range(taps)}


@pytest.mark.parametrize("together", [10**9, 1])
def test_taps_scored_together_score_as_each_alone(
    every: Suite, samples: list[Sample], networks: Networks, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.engine.scorer.CPU_BATCH_PX", together)
    (tile,) = iter_tiles(samples[:7], torch.device("cpu"), judged=[sample.id for sample in samples])
    names = [f"tap.{k}" for k in range(4)]
    found = Scorer(every, names, lambda seen: softer(seen, 4), networks).run(tile)
    for k, name in enumerate(names):
        alone = Scorer(every, [name], lambda seen: softer(seen, 4), networks).run(tile)
        np.testing.assert_array_equal(found["reasons"][:, k], alone["reasons"][:, 0])
        np.testing.assert_allclose(found["values"][:, k], alone["values"][:, 0], rtol=2e-5, atol=2e-5)


def _operators(suite: Suite, samples: list[Sample], networks: Networks, taps: int) -> int:
    """Count what is launched to score a tile under identity: calls of torch's operators that make no mere view."""
    (tile,) = iter_tiles(samples[:8], torch.device("cpu"), judged=[sample.id for sample in samples])
    identity = suite.model_copy(update={"perturbations": ("identity",)})
    scorer = Scorer(identity, [f"tap.{k}" for k in range(taps)], lambda seen: softer(seen, taps), networks)
    scorer.run(tile)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as trace:
        scorer.run(tile)
    outer = [event for event in trace.events() if event.name.startswith("aten::")]
    outer = [event for event in outer if event.cpu_parent is None or not event.cpu_parent.name.startswith("aten::")]
    return sum(event.name.removeprefix("aten::") not in VIEWS.split() for event in outer)


def test_more_taps_take_no_more_operators(
    mini: Suite, samples: list[Sample], networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU would wait for the host if each tap were scored alone."""
    for limit_of_a_cpu in ("benchmark.engine.scorer.CPU_BATCH_PX", "benchmark.metrics.figure_ground.CPU_IMAGES"):
        monkeypatch.setattr(limit_of_a_cpu, 10**9)
    for kinds_of_devices in ("benchmark.metrics.blur.ADDING", "benchmark.metrics.edges.FLIPPING"):
        monkeypatch.setattr(kinds_of_devices, ())
    few, many = (_operators(mini, samples, networks, taps) for taps in (1, 7))
    assert many < 7 * 114
    assert many < few + 50


def test_tiles_are_always_full(mini: Suite, samples: list[Sample]) -> None:
    sizes = []

    def invert(seen: Tensor) -> Recons:
        sizes.append(seen.shape[0])
        return {"tap": seen}

    out = run(mini, samples[:3], invert)
    assert set(sizes) == {TILE}
    assert out["values"].shape[0] == 3


def test_identity_is_perfect_and_nothing_applies_where_it_should_not(mini: Suite, samples: list[Sample]) -> None:
    out = run(mini, samples[:8], lambda seen: {"tap": seen})
    assert np.allclose(value(mini, out, "frc"), 1)
    assert np.allclose(value(mini, out, "ssim"), 1)
    assert np.allclose(value(mini, out, "psnr"), 60)
    assert np.allclose(value(mini, out, "spectral_ev"), 1)
    assert np.nanmin(value(mini, out, "color_retention", "hue_set_120")) > 0.999
    for c, condition in enumerate(mini.conditions):
        for m, metric in enumerate(mini.metrics):
            assert (out["reasons"][:, 0, c, m] == NOT_APPLICABLE).all() != applies(metric, condition)


def test_a_png_scores_exactly_like_the_tensor(every: Suite, samples: list[Sample], networks: Networks) -> None:
    def through_png(seen: Tensor) -> Recons:
        files = []
        for pixels in (quantize(soften(seen)["tap"]) * 255).round().byte().permute(0, 2, 3, 1).numpy():
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            files.append(torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1).float() / 255)
        return {"tap": torch.stack(files)}

    direct, stored = (run(every, samples[:8], invert, networks) for invert in (soften, through_png))
    scored = set()
    for m, name in enumerate(every.metrics):
        np.testing.assert_array_equal(direct["values"][..., m], stored["values"][..., m], err_msg=name)
        scored |= {name} if not np.isnan(direct["values"][..., m]).all() else set()
    assert scored == METRICS.keys()


def test_an_image_that_is_not_finite_is_left_unscored_alone(
    every: Suite, samples: list[Sample], networks: Networks
) -> None:
    def spoil(seen: Tensor) -> Recons:
        recon = soften(seen)["tap"].clone()
        recon[2, 1, 5, 5] = float("nan")
        recon[3, 0, 0, 0] = float("inf")
        return {"tap": recon}

    good, out = (run(every, samples[:8], invert, networks) for invert in (soften, spoil))
    names = get_reason_names(every)
    codes = out["reasons"][2:4]
    for m, name in enumerate(every.metrics):
        assert names.index(NOT_FINITE) + 1 in codes[..., m], name
    spoiled = out["reasons"][2:4]
    assert set(np.unique(spoiled[spoiled != NOT_APPLICABLE])) == {names.index(NOT_FINITE) + 1}
    assert np.isnan(out["values"][2:4]).all()
    others = [0, 1, 4, 5, 6, 7]
    assert np.array_equal(out["values"][others], good["values"][others], equal_nan=True)


def test_a_recon_of_the_unperturbed_image_that_is_not_finite_spoils_what_needs_it(
    every: Suite, samples: list[Sample], networks: Networks
) -> None:
    calls = []

    def spoil_first(seen: Tensor) -> Recons:
        recon = soften(seen)["tap"].clone()
        if not calls:
            recon[2, 0, 0, 0] = float("-inf")
        calls.append(seen)
        return {"tap": recon}

    good, out = (run(every, samples[:8], invert, networks) for invert in (soften, spoil_first))
    hue, pooled = every.conditions.index("hue_set_120"), every.conditions.index(POOLED)
    not_finite = get_reason_names(every).index(NOT_FINITE) + 1
    assert out["reasons"][2, 0, pooled, every.metrics.index("color_transfer")] == not_finite
    for m, name in enumerate(every.metrics):
        if name in ("luma_invariance", "spill"):
            assert out["reasons"][2, 0, hue, m] == not_finite, name
        else:
            found, expected = (scores["values"][2, 0, hue, m] for scores in (out, good))
            np.testing.assert_array_equal(found, expected, err_msg=name)


def test_an_absent_judge_is_a_reason_not_a_zero(mini: Suite, samples: list[Sample]) -> None:
    out = run(mini, samples[:4], soften)
    assert np.isnan(value(mini, out, "recognition")).all()
    code = out["reasons"][0, 0, 0, mini.metrics.index("recognition")]
    assert get_reason_names(mini)[code - 1].startswith("recognition: ")
    assert out["reasons"][0, 0, 0, mini.metrics.index("ssim")] == SCORED


def test_clamping_is_counted(mini: Suite, samples: list[Sample]) -> None:
    out = run(mini, samples[:2], lambda seen: {"tap": torch.where(seen < 2, seen + 2 * (seen > 0.5), seen)})
    bright = np.mean(samples[0].image / np.float32(255) > 0.5)
    assert out["clamped"][0, 0, 0] == pytest.approx(bright, abs=1e-5)


@pytest.mark.parametrize(
    ("recons", "message"),
    [
        (lambda seen: {}, "returned nothing at tap 'tap'"),
        (lambda seen: {"tap": seen[:, :, ::2]}, r"\(8, 3, 48, 96\) at tap 'tap', not \(8, 3, 96, 96\)"),
        (lambda seen: {"tap": seen[:, :1]}, r"\(8, 1, 96, 96\) at tap 'tap', not \(8, 3, 96, 96\)"),
        (lambda seen: {"tap": seen[:4]}, r"\(4, 3, 96, 96\) at tap 'tap', not \(8, 3, 96, 96\)"),
        (lambda seen: {"tap": seen[0]}, r"\(3, 96, 96\) at tap 'tap', not \(8, 3, 96, 96\)"),
    ],
)
def test_wrong_recons_are_named(
    mini: Suite, samples: list[Sample], recons: Callable[[Tensor], Recons], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run(mini, samples[:2], recons)


def test_audit_holds_the_input_and_the_recon_at_8_bits(mini: Suite, samples: list[Sample]) -> None:
    chosen = [sample for sample in samples if sample.id in mini.audit_images]
    out = run(mini, chosen, soften)
    assert out["audit"].shape == (len(chosen), 2, len(mini.perturbations), 96, 96, 3)
    assert np.array_equal(out["audit"][0, 0, 0], chosen[0].image)
    seen = torch.from_numpy(chosen[0].image).permute(2, 0, 1)[None].float() / 255
    assert np.array_equal(out["audit"][0, 1, 0], (soften(seen)["tap"][0] * 255).round().byte().permute(1, 2, 0).numpy())


def test_the_judge_sees_the_named_images_alone(mini: Suite, samples: list[Sample], networks: Networks) -> None:
    names = [samples[1].id, samples[6].id]
    scorer = Scorer(mini, ("tap",), soften, networks)
    (tile,) = iter_tiles(samples[:8], torch.device("cpu"), judged=names)
    found = value(mini, scorer.run(tile), "recognition")
    assert np.flatnonzero(~np.isnan(found)).tolist() == [1, 6]


def test_pooled_metrics_stand_under_all_hue_kinds_together(mini: Suite, samples: list[Sample]) -> None:
    out = run(mini, samples[:8], lambda seen: {"tap": seen})
    column, hues = mini.metrics.index("color_transfer"), mini.conditions.index(POOLED)
    scored = out["reasons"][:, 0, :, column] == SCORED
    assert not scored[:, :hues].any()
    assert np.nanmin(out["values"][:, 0, hues, column]) == np.nanmax(out["values"][:, 0, hues, column]) == 1


def test_as_defined_leaves_the_other_conditions_out(mini: Suite, samples: list[Sample]) -> None:
    tile = next(iter_tiles(samples[:8], torch.device("cpu")))
    whole, part = (
        Scorer(mini, ("tap",), soften, Networks(), as_defined=only).run(tile)["values"] for only in (False, True)
    )
    for m, metric in enumerate(mini.metrics):
        for c, condition in enumerate(mini.conditions):
            expected = whole[:, 0, c, m] if defines(metric, condition) else np.full(8, np.nan, np.float32)
            np.testing.assert_array_equal(part[:, 0, c, m], expected, err_msg=f"{metric} under {condition}")
