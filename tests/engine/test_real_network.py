"""A real pretrained network, from a Hub to the board: fetched, locked, inverted and scored on real photographs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from realnetwork import REPO, Walk, find_assets, open_walk

from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import load_lock


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """Serve the network, lock the suite, fit `ridge` and `mean` on half of the photographs, score others."""
    try:
        assets = find_assets()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    with open_walk(tmp_path_factory.mktemp("vit-tiny"), assets) as walk:
        walk.lock()
        for method, images in (("ridge", 16), ("mean", 8)):
            walk.do("train", "inverse", method, "--target", "vit-tiny", "--out", method, *walk.here)
            walk.evaluate(method, "--limit", images)
        yield walk


@pytest.mark.nightly
@pytest.mark.timeout(1500)
class TestTheWholeWay:
    """What the way of a real network leaves behind."""

    def test_the_lock_is_whole_and_pins_the_network(self, place: Walk) -> None:
        lock = load_lock(load_suite(str(place.suite)))
        assert lock.gaps == ()
        assert f"{REPO}/model.safetensors" in lock.files
        assert "annotations/instances_val2017.json" in lock.files
        assert len(lock.images) == 48
        assert all(name.endswith("@224x224") for name in lock.images)

    def test_training_and_evaluation_share_no_photograph(self, place: Walk) -> None:
        config = json.loads((place.folder / "ridge/config.json").read_text())
        assert config["training"]["data"] == "44 photographs that vit-tiny-dev@1 does not evaluate"
        assert (config["target_repo_id"], len(config["target_revision"])) == (REPO, 40)

    def test_the_record_is_a_draft(self, place: Walk) -> None:
        record = place.record("ridge")
        assert (record["status"], record["draft"], record["images"]) == ("partial", True, 16)

    def test_shallow_features_hold_more_than_deep_ones(self, place: Walk) -> None:
        found, names = place.record("ridge")["targets"]["vit-tiny"]["taps"], load_suite(str(place.suite)).targets[0]
        taps = [found[name] for name in names.tap_names]
        detail = [tap["axes"]["detail"]["value"] for tap in taps]
        assert detail[0] > 0.5
        assert detail == sorted(detail, reverse=True)
        color = [tap["axes"]["color"]["value"] for tap in taps]
        assert color[0] > 0.8 > color[-1]

    def test_an_inverse_that_looks_beats_the_mean_image(self, place: Walk) -> None:
        ridge, mean = (place.record(name)["overall"] for name in ("ridge", "mean"))
        for axis in ("detail", "shape", "color"):
            assert ridge[axis]["low"] > mean[axis]["high"], axis

    def test_the_board_shows_the_reconstructions(self, place: Walk) -> None:
        board = place.folder / "invbench-results/board"
        page = "".join(path.read_text() for path in board.rglob("*.html"))
        for text in ("vit-tiny-dev", "draft", "ViT-Ti/16", "encoder.11"):
            assert text in page
        shown = set(re.findall(r'src="(?:\.\./)?(images/[^"]+\.png)"', page))
        assert len(shown) > 20
        assert all((board / name).is_file() for name in shown)

    def test_the_same_command_gives_the_same_digest_offline(self, place: Walk) -> None:
        before = len(place.hub.log)
        done = place.run(
            "eval", "--inverse", "mean", "--limit", 8, "--suite", place.suite, "--data-dir", place.data, "--json",
            "--out", "again", HF_HUB_OFFLINE="1",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["digest"] == place.record("mean")["digest"]
        assert len(place.hub.log) == before

    def test_a_changed_photograph_stops_the_evaluation(self, place: Walk, tmp_path: Path) -> None:
        shutil.copytree(place.data, tmp_path / "coco")
        lock = load_lock(load_suite(str(place.suite)))
        changed = int(sorted(lock.images)[5].partition("@")[0])
        photograph = tmp_path / f"coco/val2017/{changed:012d}.jpg"
        from PIL import Image

        photograph.chmod(0o644)
        with Image.open(photograph) as image:
            pixels = np.array(image.convert("RGB"))
        pixels[:64] = 255 - pixels[:64]
        Image.fromarray(pixels).save(photograph, quality=95)
        done = place.run("suite", "check", place.suite, "--data-dir", tmp_path / "coco")
        assert done.returncode == 3
        assert f"image '{changed:012d}@224x224' is different" in done.stderr

    def test_another_network_under_the_same_commit_is_refused(self, place: Walk, tmp_path: Path) -> None:
        lock = json.loads((place.folder / "vit-tiny-dev-1.lock.json").read_text())
        lock["files"][f"{REPO}/model.safetensors"] = "0" * 64
        (tmp_path / "vit-tiny-dev-1.lock.json").write_text(json.dumps(lock))
        shutil.copy(place.suite, tmp_path / "vit-tiny-dev.toml")
        done = place.run(
            "eval", "--inverse", "mean", "--suite", tmp_path / "vit-tiny-dev.toml", "--data-dir", place.data
        )
        assert done.returncode == 3
        assert "model.safetensors" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
