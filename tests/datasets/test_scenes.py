"""The scene generator keeps its promises."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from benchmark.datasets.base import Sample
from benchmark.datasets.frozen import freeze_scenes, open_frozen
from benchmark.datasets.scenes import (
    CANONICAL_HUE_DEG,
    CATEGORIES,
    FOCAL_SHARE,
    HUE_JITTER_DEG,
    MIN_VISIBLE_PX,
    Scene,
    iter_scenes,
    make_scene,
    read_photo,
)
from benchmark.errors import IntegrityError, SpecError
from benchmark.files.paths import PACKAGE
from benchmark.suites.spec import FrozenData, Suite


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [make_scene("train", 5, index) for index in range(600)]


def test_the_same_address_gives_the_same_bytes() -> None:
    for split in ("train", "test"):
        first, again = make_scene(split, 3, 17), make_scene(split, 3, 17)
        assert first.image.tobytes() == again.image.tobytes()
        assert first.instance_map.tobytes() == again.instance_map.tobytes()
        assert first.instances == again.instances


def test_split_seed_and_index_all_matter() -> None:
    addresses = [("train", 3, 17), ("test", 3, 17), ("train", 4, 17), ("train", 3, 18)]
    assert len({make_scene(*address).image.tobytes() for address in addresses}) == 4  # type: ignore[arg-type]


def test_the_stream_can_start_anywhere() -> None:
    later = next(iter_scenes("train", 3, start=2))
    assert later.image.tobytes() == list(islice(iter_scenes("train", 3), 3))[2].image.tobytes()


def test_golden_scene() -> None:
    scene = make_scene("test", 2416, 0)
    digest = hashlib.sha256(scene.instance_map.tobytes()).hexdigest()
    assert digest == GOLDEN_MAP
    assert [item.category for item in scene.instances] == GOLDEN_CATEGORIES


GOLDEN_MAP = "df8e084b765057eaa316ffa4ab41ac282d2c65a021e100602bbd7ef388518417"
GOLDEN_CATEGORIES = ["cross"]


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


def test_hues_are_canonical_nine_times_in_ten(scenes: list[Scene]) -> None:
    items = [item for scene in scenes for item in scene.instances]
    share = np.mean([item.canonical for item in items])
    assert abs(share - 0.9) < 4 * np.sqrt(0.09 / len(items))
    for item in items:
        away = abs((item.hue_deg - CANONICAL_HUE_DEG[item.category] + 180) % 360 - 180)
        assert away <= HUE_JITTER_DEG or not item.canonical
    strays = [item.hue_deg for item in items if not item.canonical]
    assert np.histogram(strays, bins=4, range=(0, 360))[0].min() > 0.1 * len(strays)


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
    assert train.shape[1] + test.shape[1] == whole.shape[1]
    assert np.array_equal(np.concatenate([train, test], axis=1), whole)


def test_frozen_samples_are_the_scenes(samples: list[Sample], mini: Suite) -> None:
    assert [sample.id for sample in samples] == [f"scene-{i:04d}" for i in range(mini.dataset.images)]
    assert len(samples) == 128
    for index in (0, 31, 127):
        scene = make_scene("test", 2416, index)
        assert np.array_equal(samples[index].image, scene.image)
        assert np.array_equal(samples[index].focal_mask, scene.category_mask(scene.focal_category))
        assert samples[index].boxes == tuple(item.box for item in scene.instances)
        assert samples[index].labels == tuple(sorted({CATEGORIES.index(i.category) for i in scene.instances}))


def test_the_frozen_seed_is_the_first_with_hues_as_stated() -> None:
    def canonical_share(seed: int) -> float:
        items = [item for index in range(128) for item in make_scene("test", seed, index).instances]
        return float(np.mean([item.canonical for item in items]))

    assert [abs(canonical_share(seed) - 0.9) < 0.005 for seed in range(2412, 2417)] == [False] * 4 + [True]


def test_freezing_round_trips(tmp_path: Path) -> None:
    freeze_scenes(tmp_path / "a.parquet", seed=1, count=3)
    freeze_scenes(tmp_path / "b.parquet", seed=1, count=3)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    spec = FrozenData(source="frozen", path="a.parquet", images=3, description="three scenes")
    images = open_frozen(spec, tmp_path)
    assert np.array_equal(images.load(2, (96, 96)).image, make_scene("test", 1, 2).image)
    with pytest.raises(SpecError, match=r"a\.parquet: image 'scene-0002' is 96x96, not 96x128"):
        images.load(2, (96, 128))


def test_wrong_files_are_refused(tmp_path: Path, mini: Suite) -> None:
    with pytest.raises(SpecError, match=r"no\.parquet: no such file"):
        open_frozen(mini.dataset.model_copy(update={"path": "no.parquet"}), tmp_path)
    with pytest.raises(IntegrityError, match="holds 128 images, the suite says 5"):
        open_frozen(mini.dataset.model_copy(update={"images": 5}), PACKAGE)
