"""What metrics derive from images is derived once, whoever asks, and from recons and originals in one go."""

from __future__ import annotations

import gc
from weakref import ref

import pytest
import torch
from shapes import blobs, lit, photos
from torch import Tensor

from benchmark.engine.scorer import load_metric
from benchmark.metrics.case import Case, FocalMask, Networks, Prototypes, View, of_both
from benchmark.metrics.detail import luma
from benchmark.metrics.spec import METRICS
from benchmark.perturbations import perturb

SIZES: list[int] = []


@of_both
def brightness(view: View) -> Tensor:
    SIZES.append(len(view.rgb))
    return view.rgb.mean((1, 2, 3))


@of_both
def nearness(recon: View, seen: View, mask: FocalMask) -> list[Tensor]:
    SIZES.append(len(recon.rgb))
    return [((recon.rgb - seen.rgb).abs() * mask.pixels[:, None]).mean((1, 2, 3)), recon.get(brightness)]


@pytest.fixture
def images() -> Tensor:
    SIZES.clear()
    return View(photos(64, 64)).rgb


@pytest.mark.parametrize("first", ["seen", "recon"])
def test_recons_and_what_was_seen_are_looked_at_in_one_go(images: Tensor, first: str) -> None:
    seen, mask = View(images), FocalMask(blobs(64, 64))
    recon = View.of_recons(torch.cat((images.flip(3), 1 - images)), seen)
    views = [seen, recon] if first == "seen" else [recon, seen]
    found = {len(view.rgb): view.get(brightness) for view in views}
    assert SIZES == [12]
    assert torch.equal(found[4], images.mean((1, 2, 3)))
    assert torch.equal(found[8], View(torch.cat((images.flip(3), 1 - images))).rgb.mean((1, 2, 3)))
    near, _ = recon.get(nearness, seen.repeated(2), mask.repeated(2))
    own, light = seen.get(nearness, seen, mask)
    assert SIZES == [12, 12]
    assert torch.equal(own, torch.zeros(4)) and torch.equal(light, found[4])
    expected = ((recon.rgb - images.repeat(2, 1, 1, 1)).abs() * mask.pixels.repeat(2, 1, 1)[:, None]).mean((1, 2, 3))
    assert torch.equal(near, expected)


def test_later_recons_take_what_is_known_of_what_was_seen(images: Tensor) -> None:
    seen = View(images)
    first, second = (View.of_recons(recons, seen) for recons in (images.flip(2), images.flip(3)))
    for view in (second, first, seen):
        view.get(brightness)
    assert SIZES == [4, 8]
    assert seen.repeated(3).get(brightness).shape == (12,)
    assert SIZES == [4, 8]


def test_what_is_known_of_recons_is_freed_with_them(images: Tensor) -> None:
    """Otherwise a GPU would keep the recons of many tiles until the collector comes."""
    gc.disable()
    try:
        seen, mask = View(images), FocalMask(blobs(64, 64))
        recon = View.of_recons(torch.cat((images.flip(3), 1 - images)), seen)
        repeated = seen.repeated(2)
        recon.get(nearness, repeated, mask.repeated(2))
        seen.get(nearness, seen, mask)
        freed = [ref(item) for item in (recon, repeated, recon.get(brightness))]
        del recon, repeated
        assert [item() for item in freed] == [None, None, None]
        seen.get(brightness)
        freed = [ref(seen)]
        del seen
        assert freed[0]() is None
    finally:
        gc.enable()


def test_what_is_forgotten_is_derived_again_and_frees_its_memory(images: Tensor) -> None:
    seen = View(images)
    recon = View.of_recons(torch.cat((images.flip(3), 1 - images)), seen)
    bright, gray, own = recon.get(brightness), recon.get(luma), seen.get(luma)
    assert own.untyped_storage().nbytes() == own.numel() * 4, "what was seen holds nothing of the recons"
    expected, large = gray.clone(), ref(gray)
    del gray
    recon.forget()
    assert large() is None
    assert recon.get(brightness) is bright
    assert seen.get(luma) is own
    assert torch.equal(recon.get(luma), expected)


@pytest.mark.parametrize("metric_id", METRICS)
def test_every_metric_scores_recons_beside_what_was_seen_as_alone(metric_id: str, networks: Networks) -> None:
    mask = FocalMask(blobs(96, 96))
    original = View(lit(photos(96, 96), mask.pixels))
    kind = {"gray": "gray", "identity": "identity"}.get(METRICS[metric_id].perturbations, "hue_set_120")
    seen = original if kind == "identity" else View(perturb(kind, original.rgb, mask.pixels))  # type: ignore[arg-type]
    usual = Prototypes((torch.arange(8.0) * 45 + 20).expand(4, -1), torch.arange(4))
    metric, recons = load_metric(metric_id), [seen.rgb, seen.rgb.roll(1, 3), 0.5 * seen.rgb + 0.2]

    def case(recon: View, taps: int) -> Case:
        many = Prototypes(*(item.repeat(taps, *[1] * (item.ndim - 1)) for item in usual))
        baseline = View(original.rgb.roll(1, 2).repeat(taps, 1, 1, 1))
        return Case(
            original.repeated(taps), seen.repeated(taps), recon, mask.repeated(taps), networks, baseline, many
        )  # fmt: skip

    alone = torch.cat([metric(case(View(recon), 1)) for recon in recons])
    original, seen = View(original.rgb), View(seen.rgb) if seen is not original else original
    together = metric(case(View.of_recons(torch.cat(recons), seen), 3))
    torch.testing.assert_close(together, alone, rtol=2e-5, atol=2e-5, equal_nan=True)


@pytest.mark.parametrize("metric_id", METRICS)
def test_every_metric_takes_recons_that_are_being_optimized(metric_id: str, networks: Networks) -> None:
    """Whoever climbs a metric must learn that it has no gradient, and not meet an error."""
    mask = FocalMask(blobs(96, 96))
    original = View(lit(photos(96, 96), mask.pixels))
    recon = View((original.rgb * 0.9).requires_grad_())
    usual = Prototypes((torch.arange(8.0) * 45 + 20).expand(4, -1), torch.arange(4))
    case = Case(original, original, recon, mask, networks, View(original.rgb), usual)
    assert load_metric(metric_id)(case).shape == (4,)
