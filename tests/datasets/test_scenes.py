"""The scene generator keeps its promises."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import islice
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation

from benchmark.datasets.scenes import (
    CANONICAL_HUE_DEG,
    CATEGORIES,
    FOCAL_SHARE,
    HUE_JITTER_DEG,
    MIN_VISIBLE_PX,
    UNUSUAL_DEG,
    Instance,
    Purpose,
    Scene,
    iter_scenes,
    make_background,
    make_scene,
    read_photo,
)

PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


def hue_distance(item: Instance) -> float:
    """How far the hue of an object is from its category's canonical one, in degrees, [0, 180]."""
    return abs((item.hue_deg - CANONICAL_HUE_DEG[item.category] + 180) % 360 - 180)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [make_scene("train", 5, index) for index in range(400)]


@pytest.fixture(scope="module")
def unseen() -> list[Scene]:
    """Scenes of the law that training does not follow."""
    return [make_scene(purpose, 5, index) for index in range(130) for purpose in PURPOSES[1:]]


def test_the_same_address_gives_the_same_bytes() -> None:
    for purpose in PURPOSES:
        first, again = make_scene(purpose, 3, 17), make_scene(purpose, 3, 17)
        assert first.image.tobytes() == again.image.tobytes()
        assert first.instance_map.tobytes() == again.instance_map.tobytes()
        assert first.instances == again.instances


def test_purpose_seed_and_index_all_matter() -> None:
    addresses = [(purpose, seed, index) for purpose in PURPOSES for seed in (3, 4) for index in (17, 18)]
    scenes = [make_scene(*address) for address in addresses]
    assert len({scene.image.tobytes() for scene in scenes}) == len(addresses)
    assert len({scene.instance_map.tobytes() for scene in scenes}) == len(addresses)


@settings(max_examples=25, deadline=None)
@given(purpose=st.sampled_from(PURPOSES), seed=st.integers(0, 2**63), index=st.integers(0, 2**40))
def test_every_address_has_a_scene(purpose: Purpose, seed: int, index: int) -> None:
    scene = make_scene(purpose, seed, index)
    assert scene.image.shape == (96, 96, 3)
    assert scene.instance_map.max() == len(scene.instances) <= 3
    assert scene.image.std() > 2
    assert all(item.canonical <= (hue_distance(item) < HUE_JITTER_DEG + 1e-9) for item in scene.instances)


def test_the_stream_can_start_anywhere() -> None:
    later = next(iter_scenes("train", 3, start=2))
    assert later.image.tobytes() == list(islice(iter_scenes("train", 3), 3))[2].image.tobytes()


def test_golden_scene() -> None:
    scene = make_scene("test", 2413, 0)
    digest = hashlib.sha256(scene.instance_map.tobytes()).hexdigest()
    assert digest == GOLDEN_MAP
    assert [item.category for item in scene.instances] == GOLDEN_CATEGORIES


GOLDEN_MAP = "70a12165cb4f14e0c12926f28897b71f07d7c990da0a4eaf7522f027a0ed271c"
GOLDEN_CATEGORIES = ["box", "box", "ring"]


def test_masks_and_boxes_are_exact(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert set(np.unique(scene.instance_map)) <= set(range(len(scene.instances) + 1))
        for k, item in enumerate(scene.instances, start=1):
            rows, columns = np.nonzero(scene.instance_map == k)
            assert rows.size >= MIN_VISIBLE_PX
            assert item.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_category_masks_are_disjoint_and_cover_the_objects(scenes: list[Scene]) -> None:
    for scene in scenes[:100]:
        stacked = np.stack([scene.category_mask(name) for name in CATEGORIES])
        assert stacked.sum(0).max() == 1
        assert np.array_equal(stacked.any(0), scene.instance_map > 0)


def test_the_focal_category_has_the_stated_share(scenes: list[Scene]) -> None:
    for scene in scenes:
        areas = {name: scene.category_mask(name).sum() for name in CATEGORIES}
        focal = scene.category_mask(scene.focal_category)
        assert focal.sum() == max(areas.values())
        assert FOCAL_SHARE[0] <= focal.mean() <= FOCAL_SHARE[1]


def test_training_hues_are_canonical_nine_times_in_ten(scenes: list[Scene]) -> None:
    items = [item for scene in scenes for item in scene.instances]
    share = np.mean([item.canonical for item in items])
    assert abs(share - 0.9) < 4 * np.sqrt(0.09 / len(items))
    assert max(hue_distance(item) for item in items if item.canonical) <= HUE_JITTER_DEG + 1e-9
    strays = [item.hue_deg for item in items if not item.canonical]
    assert np.histogram(strays, bins=4, range=(0, 360))[0].min() > 0.1 * len(strays)


def test_half_of_the_unseen_focal_objects_are_unusual(unseen: list[Scene]) -> None:
    focal = [item for scene in unseen for item in scene.instances if item.category == scene.focal_category]
    others = [item for scene in unseen for item in scene.instances if item.category != scene.focal_category]
    for items, share in ((focal, 0.5), (others, 0.9)):
        canonical = np.mean([item.canonical for item in items])
        assert abs(canonical - share) < 4 * np.sqrt(share * (1 - share) / len(items))
        assert max(hue_distance(item) for item in items if item.canonical) <= HUE_JITTER_DEG + 1e-9
    away = [hue_distance(item) for item in focal if not item.canonical]
    assert min(away) >= UNUSUAL_DEG - 1e-9
    assert np.histogram(away, bins=4, range=(60, 180))[0].min() > 0.18 * len(away)
    assert min(hue_distance(item) for item in others if not item.canonical) < UNUSUAL_DEG


def test_focal_objects_of_one_scene_are_drawn_alone(unseen: list[Scene]) -> None:
    kinds = [{i.canonical for i in scene.instances if i.category == scene.focal_category} for scene in unseen]
    assert {True, False} in kinds


def test_painted_pixels_wear_the_stated_hue(scenes: list[Scene]) -> None:
    from skimage.color import rgb2hsv
    from skimage.morphology import erosion

    for scene in scenes[:50]:
        hues = rgb2hsv(scene.image)[..., 0] * 360
        for k, item in enumerate(scene.instances, start=1):
            inner = erosion(scene.instance_map == k, np.ones((3, 3), bool))
            away = np.abs((hues[inner] - item.hue_deg + 180) % 360 - 180)
            assert np.median(away) < 2


def test_categories_and_counts_are_even(scenes: list[Scene]) -> None:
    counts = Counter(item.category for scene in scenes for item in scene.instances)
    assert set(counts) == set(CATEGORIES)
    assert max(counts.values()) < 2 * min(counts.values())
    assert set(Counter(len(scene.instances) for scene in scenes)) == {1, 2, 3}


def test_training_and_test_backgrounds_share_no_pixel() -> None:
    from skimage import data

    whole = data.chelsea()
    train, test = read_photo("chelsea", "train"), read_photo("chelsea", "test")
    assert all(np.array_equal(read_photo("chelsea", purpose), test) for purpose in PURPOSES[1:])
    assert train.shape[1] + test.shape[1] == whole.shape[1]
    assert np.array_equal(np.concatenate([train, test], axis=1), whole)


def test_a_quarter_of_the_backgrounds_are_photographs_in_named_groups(scenes: list[Scene], unseen: list[Scene]) -> None:
    for drawn in (scenes, unseen):
        groups = [scene.group for scene in drawn if scene.group]
        assert abs(len(groups) / len(drawn) - 0.25) < 4 * np.sqrt(0.1875 / len(drawn))
        assert len(set(groups)) == 11
        assert all(group.startswith("photo:") for group in groups)


def test_backgrounds_are_drawn_once_and_last() -> None:
    """Also where a layout was refused: about every fifth scene."""
    for index in range(120):
        pixels, group = make_background("test", 8, index)
        scene = make_scene("test", 8, index)
        assert scene.group == group
        if group:
            free = ~binary_dilation(scene.instance_map > 0, iterations=4)
            assert np.array_equal(scene.image[free], np.rint(pixels[free] * 255).astype(np.uint8))


def test_training_alone_sees_the_training_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photographs and the colors of leaves: with red training strips and blue others no background is mixed."""
    red, blue = (np.full((120, 150, 3), color, np.uint8) for color in ((200, 20, 20), (20, 20, 200)))
    monkeypatch.setattr(
        "benchmark.datasets.scenes.read_photo", lambda _name, purpose: red if purpose == "train" else blue
    )
    for purpose in PURPOSES:
        for index in range(20):
            pixels, _ = make_background(purpose, 2, index)
            assert np.all((pixels[..., 0] > pixels[..., 2]) == (purpose == "train"))
