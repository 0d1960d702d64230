"""A real pretrained network, from a Hub to the board: fetched, locked, inverted and scored on real photographs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hubserver import HubServer

from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import load_lock

Command = Callable[..., "subprocess.CompletedProcess[str]"]
REPO = "somebody/vit-tiny-patch16-224"


@dataclass(frozen=True)
class Place:
    """A folder in which the whole way was gone once: the suite, its results, and how to run more commands."""

    folder: Path
    suite: Path
    data: Path
    run: Command
    hub: HubServer

    def record(self, name: str) -> dict[str, Any]:
        path = self.folder / f"invbench-results/{name}/records/vit-tiny-dev@1/record.json"
        return json.loads(path.read_text())


@pytest.fixture(scope="module")
def place(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Serve the network, lock the suite, fit `ridge` and `mean` on half of the photographs, score others."""
    weights, data = assets / "hub/vit-tiny-patch16-224", assets / "coco_val2017_sample"
    perceptual = assets / "lpips/alexnet_features.safetensors"
    for needed in (weights, data, perceptual):
        if not needed.exists():
            pytest.skip(f"{needed} is absent; set INVBENCH_TEST_ASSETS")
    folder = tmp_path_factory.mktemp("vit-tiny")
    with HubServer() as hub:
        commit = hub.add_repo(REPO, {path.name: path for path in weights.iterdir()})
        environment = os.environ | hub.environment(folder / "hf") | {"INVBENCH_CACHE": str(folder / "cache")}

        def run(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
            command = [str(Path(sys.executable).parent / "invbench"), *map(str, arguments)]
            return subprocess.run(
                command, capture_output=True, text=True, cwd=folder, env=environment | more, timeout=900
            )

        suite = folder / "vit-tiny-dev.toml"
        template = (Path(__file__).parents[1] / "suites/vit-tiny-dev.toml").read_text()
        suite.write_text(template.replace("REVISION", commit))
        here = ("--suite", suite, "--data-dir", data)
        for arguments in (
            ("data", "lpips", perceptual),
            ("suite", "lock", suite, "--data-dir", data),
            ("suite", "check", suite, "--data-dir", data),
            ("train", "inverse", "ridge", "--target", "vit-tiny", "--out", "ridge", *here),
            ("train", "inverse", "mean", "--target", "vit-tiny", "--out", "mean", *here),
            ("eval", "--inverse", "mean", "--limit", 8, *here),
            ("eval", "--inverse", "ridge", "--limit", 16, *here),
        ):
            done = run(*arguments)
            assert done.returncode == 0, (arguments, done.stderr)
        yield Place(folder, suite, data, run, hub)


@pytest.mark.nightly
@pytest.mark.timeout(1500)
class TestTheWholeWay:
    """What the way of a real network leaves behind."""

    def test_the_lock_is_whole_and_pins_the_network(self, place: Place) -> None:
        lock = load_lock(load_suite(str(place.suite)))
        assert lock.gaps == ()
        assert f"{REPO}/model.safetensors" in lock.files
        assert "annotations/instances_val2017.json" in lock.files
        assert len(lock.images) == 48
        assert all(name.endswith("@224x224") for name in lock.images)

    def test_training_and_evaluation_share_no_photograph(self, place: Place) -> None:
        config = json.loads((place.folder / "ridge/config.json").read_text())
        assert config["training"]["data"] == "48 photographs that vit-tiny-dev@1 does not evaluate"
        assert (config["target_repo_id"], len(config["target_revision"])) == (REPO, 40)

    def test_the_record_is_a_draft(self, place: Place) -> None:
        record = place.record("ridge")
        assert (record["status"], record["draft"], record["images"]) == ("partial", True, 16)

    def test_shallow_features_hold_more_than_deep_ones(self, place: Place) -> None:
        found, names = place.record("ridge")["targets"]["vit-tiny"]["taps"], load_suite(str(place.suite)).targets[0]
        taps = [found[name] for name in names.tap_names]
        detail = [tap["axes"]["detail"]["value"] for tap in taps]
        assert detail[0] > 0.5
        assert detail == sorted(detail, reverse=True)
        color = [tap["axes"]["color"]["value"] for tap in taps]
        assert color[0] > 0.8 > color[-1]

    def test_an_inverse_that_looks_beats_the_mean_image(self, place: Place) -> None:
        ridge, mean = (place.record(name)["overall"] for name in ("ridge", "mean"))
        for axis in ("detail", "shape", "color"):
            assert ridge[axis]["low"] > mean[axis]["high"], axis

    def test_the_board_shows_the_reconstructions(self, place: Place) -> None:
        board = place.folder / "invbench-results/board"
        page = "".join(path.read_text() for path in board.rglob("*.html"))
        for text in ("vit-tiny-dev", "draft", "ViT-Ti/16", "encoder.11"):
            assert text in page
        shown = set(re.findall(r'src="(?:\.\./)?(images/[^"]+\.png)"', page))
        assert len(shown) > 20
        assert all((board / name).is_file() for name in shown)

    def test_the_same_command_gives_the_same_digest_offline(self, place: Place) -> None:
        before = len(place.hub.log)
        done = place.run(
            "eval", "--inverse", "mean", "--limit", 8, "--suite", place.suite, "--data-dir", place.data, "--json",
            "--out", "again", HF_HUB_OFFLINE="1",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["digest"] == place.record("mean")["digest"]
        assert len(place.hub.log) == before

    def test_a_changed_photograph_stops_the_evaluation(self, place: Place, tmp_path: Path) -> None:
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

    def test_another_network_under_the_same_commit_is_refused(self, place: Place, tmp_path: Path) -> None:
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
