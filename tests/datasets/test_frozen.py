"""Frozen files give back the scenes they were made of, as the same samples that fresh scenes become."""

from __future__ import annotations

import colorsys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from benchmark.datasets.base import Sample
from benchmark.datasets.frozen import freeze_scenes, open_frozen, sample_of
from benchmark.datasets.scenes import CANONICAL_HUE_DEG, CATEGORIES, Scene, make_scene
from benchmark.errors import IntegrityError, SpecError
from benchmark.files.paths import PACKAGE
from benchmark.suites.spec import FrozenData, Suite

SEED = 2413


@pytest.fixture(scope="module")
def frozen_scenes() -> list[Scene]:
    return [make_scene("test", SEED, index) for index in range(128)]


def focal_kinds(scene: Scene) -> set[bool]:
    return {item.canonical for item in scene.instances if item.category == scene.focal_category}


def assert_equal(one: Sample, other: Sample) -> None:
    for field in fields(Sample):
        assert np.array_equal(getattr(one, field.name), getattr(other, field.name)), field.name


def lab_hue(rgb: tuple[float, float, float]) -> float:
    """CIELAB hue angle of one sRGB color under D65, in degrees: IEC 61966-2-1 and CIE 15."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    rows = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    xyz = [sum(a * c for a, c in zip(row, linear, strict=True)) for row in rows]
    ratios = [value / white for value, white in zip(xyz, (0.9505, 1.0, 1.089), strict=True)]
    x, y, z = (t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29 for t in ratios)
    return float(np.degrees(np.arctan2(200 * (y - z), 500 * (x - y))) % 360)


def test_samples_are_the_scenes(samples: list[Sample], mini: Suite, frozen_scenes: list[Scene]) -> None:
    assert [sample.id for sample in samples] == [f"scene-{i:04d}" for i in range(mini.dataset.images)]
    assert len(samples) == 128
    for sample, scene in zip(samples, frozen_scenes, strict=True):
        assert_equal(sample, sample_of(scene, sample.id))


def test_the_frozen_seed_is_the_first_that_is_balanced() -> None:
    """As many images with canonical as with unusual focal objects (4 apart at most), 30 to 34 photographs."""

    def balanced(seed: int) -> bool:
        scenes = [make_scene("test", seed, index) for index in range(128)]
        kinds = [focal_kinds(scene) for scene in scenes]
        apart = kinds.count({True}) - kinds.count({False})
        return abs(apart) <= 4 and abs(sum(bool(scene.group) for scene in scenes) - 32) <= 2

    assert [balanced(seed) for seed in range(2412, SEED + 1)] == [False] * (SEED - 2412) + [True]


def test_a_sample_states_what_its_scene_holds(frozen_scenes: list[Scene]) -> None:
    for scene in frozen_scenes:
        sample = sample_of(scene, "here")
        assert sample.image is scene.image
        assert np.array_equal(sample.focal_mask, scene.category_mask(scene.focal_category))
        assert CATEGORIES[sample.category] == sample.focal_category == scene.focal_category
        assert sample.boxes == tuple(item.box for item in scene.instances)
        assert sample.labels == tuple(sorted({CATEGORIES.index(item.category) for item in scene.instances}))
        assert sample.group == (scene.group or "here")
        kinds = focal_kinds(scene)
        assert sample.canonical is (None if len(kinds) == 2 else kinds == {True})


def test_prototypes_are_the_canonical_hues_in_cielab(frozen_scenes: list[Scene]) -> None:
    for scene in frozen_scenes[:20]:
        sample = sample_of(scene, "here")
        pixels = scene.image[sample.focal_mask] / 255
        saturation, value = np.mean([colorsys.rgb_to_hsv(*pixel)[1:] for pixel in pixels.tolist()], axis=0)
        hues = [lab_hue(colorsys.hsv_to_rgb(CANONICAL_HUE_DEG[name] / 360, saturation, value)) for name in CATEGORIES]
        away = (np.array(sample.prototypes_deg) - hues + 180) % 360 - 180
        assert np.abs(away).max() < 0.05
        assert all(0 <= hue < 360 for hue in sample.prototypes_deg)


def test_canonical_objects_are_near_their_prototype_and_unusual_ones_are_not(frozen_scenes: list[Scene]) -> None:
    from skimage.color import rgb2lab

    away: dict[bool | None, list[float]] = {True: [], False: [], None: []}
    for scene in frozen_scenes:
        sample = sample_of(scene, "here")
        a, b = rgb2lab(scene.image[sample.focal_mask]).mean(0)[1:]
        hue = np.degrees(np.arctan2(b, a))
        away[sample.canonical].append(abs((hue - sample.prototypes_deg[sample.category] + 180) % 360 - 180))
    assert max(away[True]) < 20
    assert min(away[False]) > 20


def test_freezing_round_trips(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    freeze_scenes(tmp_path / "a.parquet", seed=1, count=12)
    freeze_scenes(tmp_path / "b.parquet", seed=1, count=12)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    spec = FrozenData(source="frozen", path="a.parquet", images=12, description="twelve scenes")
    images = open_frozen(spec, tmp_path)
    scenes = [make_scene("test", 1, index) for index in range(12)]
    for index, scene in enumerate(scenes):
        assert_equal(images.load(index, (96, 96)), sample_of(scene, f"scene-{index:04d}"))
    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    for row, scene in zip(rows, scenes, strict=True):
        assert row["group"] == (scene.group or row["id"])
        assert row["canonical_hue_deg"] == [CANONICAL_HUE_DEG[item.category] for item in scene.instances]
        assert row["hues_deg"] == pytest.approx([item.hue_deg for item in scene.instances])
        assert row["canonical"] == [item.canonical for item in scene.instances]
    with pytest.raises(SpecError, match=r"a\.parquet: image 'scene-0002' is 96x96, not 96x128"):
        images.load(2, (96, 128))


def test_wrong_files_are_refused(tmp_path: Path, mini: Suite) -> None:
    with pytest.raises(SpecError, match=r"no\.parquet: no such file"):
        open_frozen(mini.dataset.model_copy(update={"path": "no.parquet"}), tmp_path)
    with pytest.raises(IntegrityError, match="holds 128 images, the suite says 5"):
        open_frozen(mini.dataset.model_copy(update={"images": 5}), PACKAGE)
