"""Layer comparison: CKA against a direct computation, transfer matrices on known cases, and a target's own layers."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmark.datasets.base import Sample
from benchmark.engine.layer_transfer import LayerScorer, find_groups, summarize_layers
from benchmark.engine.scorer import iter_tiles
from benchmark.files.paths import submissions_root
from benchmark.inverses.base import Inverse, load_inverse
from benchmark.inverses.spec import InverseConfig
from benchmark.metrics.case import Case, FocalMask, View
from benchmark.metrics.layers import hsic, linear_cka, normalized_transfer, summarize_transfer
from benchmark.metrics.spectrum import frc
from benchmark.submissions.submission import load_submission
from benchmark.suites.spec import Suite
from benchmark.targets import load_target
from benchmark.targets.taps import Features


def unbiased_hsic(k: np.ndarray, l: np.ndarray) -> float:  # noqa: E741
    """Song et al. 2012 as the mean over all quadruples of distinct examples of its kernel."""
    n = len(k)
    total, count = 0.0, 0
    for i in range(n):
        for j in range(n):
            for q in range(n):
                for r in range(n):
                    if len({i, j, q, r}) == 4:
                        total += k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q])
                        count += 1
    return total / count


def batches(seed: int, images: int = 6) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(images, 5, 3, generator=generator)
    return [
        first,
        first.flatten(1) @ torch.randn(15, 9, generator=generator),
        torch.randn(images, 4, generator=generator),
    ]


def test_hsic_is_the_unbiased_estimator() -> None:
    features = batches(0)
    found = hsic(features)
    kernels = [(f := item.flatten(1).double().numpy()) @ f.T for item in features]
    for a in range(3):
        for b in range(3):
            assert found[a, b].item() == pytest.approx(unbiased_hsic(kernels[a], kernels[b]), rel=1e-9, abs=1e-9)


def test_cka_of_one_large_batch_is_that_of_kornblith() -> None:
    """On many images the unbiased form meets the plain one, |Y'X|^2 / (|X'X| |Y'Y|) of centered features."""
    features = [item.double() for item in batches(1, images=1200)]
    found = linear_cka(hsic(features)[None].numpy())
    centered = [(item.flatten(1) - item.flatten(1).mean(0)).numpy() for item in features]
    for a in range(3):
        for b in range(3):
            x, y = centered[a], centered[b]
            plain = np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
            assert found[a, b] == pytest.approx(plain, abs=0.01)


def test_minibatches_meet_the_whole() -> None:
    features = batches(2, images=800)
    whole = linear_cka(hsic(features)[None].numpy())
    tiles = np.stack([hsic([item[start : start + 8] for item in features]).numpy() for start in range(0, 800, 8)])
    assert np.allclose(linear_cka(tiles), whole, atol=0.06)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 10), st.floats(-5, 5))
def test_cka_ignores_scale_shift_and_rotation(seed: int, scale: float, shift: float) -> None:
    first, second, other = batches(seed)
    flat = first.flatten(1)
    rotation = torch.linalg.qr(torch.randn(15, 15, generator=torch.Generator().manual_seed(seed)))[0]
    values = linear_cka(hsic([flat, scale * flat @ rotation + shift, second, other])[None].numpy())
    assert values[0, 1] == pytest.approx(1, abs=1e-4)
    assert np.allclose(values, values.T, equal_nan=True)
    assert np.allclose(values[0, 2:], values[1, 2:], atol=1e-3, equal_nan=True)


def test_too_few_images_and_constant_features_are_not_scored() -> None:
    features = batches(3)
    assert hsic([item[:3] for item in features]).isnan().all()
    assert np.isnan(linear_cka(hsic([item[:3] for item in features])[None].numpy())).all()
    constant = [features[0], torch.ones(6, 4)]
    values = linear_cka(np.stack([hsic(constant).numpy(), hsic([item[:2] for item in constant]).numpy()]))
    assert values[0, 0] == pytest.approx(1)
    assert np.isnan(values[1]).all()
    assert np.isnan(values[:, 1]).all()


def test_transfer_is_normalized_by_column() -> None:
    matrix = np.array([[0.5, 0.3, 0.9], [0.25, 0.4, 0.0], [0.0, 0.1, 0.05]])
    matrix[2, 0] = -0.05
    found = normalized_transfer(matrix)
    assert np.allclose(found[:, 0], [1, 0.5, -0.1])
    assert np.allclose(found[:, 1], [0.75, 1, 0.25])
    assert np.allclose(found[:, 2], [18, 0, 1]), "nothing is clipped"


def test_an_inverse_that_shows_next_to_nothing_is_no_measure() -> None:
    assert np.isnan(normalized_transfer(np.full((2, 2), 0.0499))).all()
    assert np.allclose(normalized_transfer(np.full((2, 2), 0.05)), 1)


@pytest.mark.parametrize(
    ("values", "half"),
    [
        ([1, 0.8, 0.2], 1.5),
        ([1, 0.25, 0.1], 2 / 3),
        ([1, 0.5, 0.1], 1.0),
        ([1, 0.9, 0.8], None),
        ([1, np.nan, 0.1], None),
    ],
)
def test_half_distance_is_interpolated(values: list[float], half: float | None) -> None:
    taps = np.arange(3)
    matrix = np.array(values)[np.abs(np.subtract.outer(taps, taps))]
    summary = summarize_transfer(matrix)
    assert summary.half_distance == (None if half is None else pytest.approx(half))
    assert summary.neighbors == (None if np.isnan(values[1]) else pytest.approx(values[1]))
    if not np.isnan(values).any():
        assert summary.asymmetry == pytest.approx(0)


def test_asymmetry_says_which_way_transfers_better() -> None:
    deep_reads_shallow = np.array([[1, 0.9, 0.8], [0.2, 1, 0.9], [0.1, 0.2, 1]])
    assert summarize_transfer(deep_reads_shallow).asymmetry == pytest.approx(0.7)
    assert summarize_transfer(deep_reads_shallow.T).asymmetry == pytest.approx(-0.7)


def test_groups_are_taps_of_one_stage_and_shape(mini: Suite) -> None:
    swin = mini.target("mini-swin")
    shapes = {"embeddings": (576, 48), "stage.0": (144, 96), "stage.1": (36, 192), "stage.2": (36, 192)}
    assert find_groups(swin, shapes) == (("stages", ("stage.1", "stage.2")),)


def test_own_features_give_the_diagonal_and_a_copy_transfers_fully(mini: Suite) -> None:
    """A made-up target whose taps hold the same features: every inverse reads all of them equally well."""
    spec = mini.target("mini-vit")
    taps = spec.tap_names
    groups = find_groups(spec, dict.fromkeys(taps, (145, 128)))
    pairs = sum(len(names) * (len(names) - 1) for _, names in groups)
    own, transfer = np.full((4, len(taps)), 0.6, np.float32), np.full((4, pairs), 0.6, np.float32)
    hsics = np.ones((1, len(taps), len(taps)))
    (stage,) = summarize_layers(groups, taps, own, transfer, hsics)
    assert stage.images == 4
    assert np.allclose(stage.normalized, 1)
    assert np.allclose(stage.cka, 1)
    assert (stage.neighbors, stage.half_distance, stage.asymmetry) == (pytest.approx(1), None, pytest.approx(0))


@pytest.mark.slow
def test_the_layer_scorer_feeds_one_taps_features_to_anothers_inverse(
    mini: Suite, samples: list[Sample], cpu: torch.device
) -> None:
    spec = mini.target("mini-vit")
    target = load_target(spec, spec.source.directory(), cpu)
    inverse = load_inverse(
        load_submission(submissions_root(), "ridge").weights[spec.id].directory(submissions_root()), cpu
    )
    scorer = LayerScorer(target, inverse, images=12)
    tile, beyond, outside = iter_tiles(samples[:24], cpu)
    assert [len(scorer.run(item)["transfer"]) for item in (beyond, outside)] == [4, 0]
    assert scorer.run(outside)["hsic"].shape == (0, 7, 7)
    found = scorer.run(tile)
    assert found["transfer"].shape == (8, 30)
    assert found["hsic"].shape == (1, 7, 7)
    index = scorer.pairs.index(("encoder.1", "encoder.4"))
    with torch.inference_mode():
        features = target.features(tile.images, ["encoder.1"])["encoder.1"]
        recon = inverse.invert({"encoder.4": features})["encoder.4"]
    view = View(tile.images)
    case = Case(view, view, View(recon), FocalMask(tile.masks))
    assert found["transfer"][:, index] == pytest.approx(frc(case).numpy(), abs=1e-6)


def test_a_recon_that_is_not_finite_is_not_scored(mini: Suite, samples: list[Sample], cpu: torch.device) -> None:
    spec = mini.target("mini-vit")
    target = load_target(spec, spec.source.directory(), cpu)

    def invert(features: dict[str, object]) -> dict[str, Tensor]:
        recon = torch.full((8, 3, 96, 96), 0.5)
        recon[1, 0, 3, 3] = torch.nan
        return dict.fromkeys(features, recon)

    config = SimpleNamespace(taps=dict.fromkeys(spec.tap_names, (145, 128)))
    inverse = SimpleNamespace(config=config, invert=invert, route=str)
    scorer = LayerScorer(target, inverse, images=8)  # type: ignore[arg-type]
    found = scorer.run(next(iter_tiles(samples[:8], cpu)))["transfer"]
    assert np.isnan(found[1]).all()
    assert not np.isnan(found[[0, 2, 3]]).any()


def test_features_that_take_one_route_are_compared_once(mini: Suite, samples: list[Sample], cpu: torch.device) -> None:
    spec = mini.target("mini-vit")
    target = load_target(spec, spec.source.directory(), cpu)
    asked: list[str] = []

    class Shared(Inverse):
        def route(self, tap: str) -> str:
            return "encoder" if tap.startswith("encoder") else tap

        def invert(self, features: Mapping[str, Features]) -> dict[str, Tensor]:
            asked.extend(features)
            maps = {tap: item.tensor[:, 1:, :3].mT.unflatten(2, (12, 12)) for tap, item in features.items()}
            return {tap: image.repeat_interleave(8, 2).repeat_interleave(8, 3) for tap, image in maps.items()}

    features = target.features(torch.zeros(1, 3, 96, 96))
    config = InverseConfig(
        method="ridge", target=spec.id, target_sha256="0" * 64, input_size=(96, 96),
        taps={tap: tuple(item.tensor.shape[1:]) for tap, item in features.items()},
    )  # fmt: skip
    (tile,) = iter_tiles(samples[:2], cpu)
    shared = LayerScorer(target, Shared(config), images=8)
    apart = LayerScorer(target, Shared(config), images=8)
    apart.inverse.route = str  # type: ignore[method-assign,assignment]
    once = shared.run(tile)["transfer"]
    assert len(asked) == 6
    np.testing.assert_array_equal(once, apart.run(tile)["transfer"])
    assert len(asked) == 6 + 30
