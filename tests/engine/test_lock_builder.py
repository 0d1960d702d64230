"""`invbench suite lock` from an empty cache: plan, kills at any point, gaps with what to do, full disks, no network."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from locking import FIRST, SECOND, Place, open_place

from benchmark.engine.lock_builder import known_pins
from benchmark.errors import SpecError
from benchmark.files.canonical import sha256_file
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import load_lock


@pytest.fixture
def place(assets: Path, tmp_path: Path) -> Iterator[Place]:
    data = assets / "coco_val2017_sample"
    if not data.is_dir():
        pytest.skip(f"no photographs in {data}; set INVBENCH_TEST_ASSETS")
    with open_place(tmp_path, data) as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_lock_that_is_killed_while_fetching_measuring_and_writing_goes_on(place: Place) -> None:
    hub, weights = place.hub, f"/lfs/{sha256_file(place.folder / 'networks/detr/model.safetensors')}"
    hub.fail(weights, "GET", stall=600)
    fetched = place.kill_once(lambda: any(one.path == weights and one.method == "GET" for one in list(hub.log)))
    assert "to fetch: " in fetched and "lpips_alex" in fetched
    hub.faults.clear()
    moved = hub.add_repo(FIRST, {"README.md": b"moved"})
    hub.log.clear()

    measured = place.kill_once(lambda: place.tiles() >= 1)
    assert not any(f"{FIRST}/resolve" in one.path and one.method == "GET" for one in hub.log)
    kept = place.tiles()

    def blocked() -> bool:
        """Whether all is measured and a lock that cannot be written has been waited for; see the pipe in its place."""
        if place.tiles() < 4:
            return False
        if not place.lock.exists():
            os.mkfifo(place.lock)
        return place.tiles() == 6 and time.time() - max(path.stat().st_mtime for path in place.chunks()) > 2

    written = place.kill_once(blocked)
    assert f"{min(kept, 3)} of 3 tiles were computed before" in written and "computed before" not in measured
    place.lock.unlink()
    hub.log.clear()
    code, out, messages = place.run("lock")
    assert (code, out) == (0, f"{place.lock}\n"), messages
    assert messages.count("3 of 3 tiles were computed before") == 2
    assert all("agent-harnesses" in one.path for one in hub.log)
    lock = load_lock(load_suite(str(place.suite)))
    assert lock.gaps == () and lock.revisions[FIRST] != moved
    assert place.run("check") == (0, "small@1: 9 files and 48 images are as pinned\n", "")
    assert not list(place.cache.glob("runs/*"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_plan_stops_before_anything_is_fetched_and_names_what_cannot_be_had(place: Place) -> None:
    code, out, messages = place.run("lock", "--plan", "--json")
    assert (code, messages) == (0, "")
    plan = json.loads(out)
    parts = {part["name"]: part for part in plan["parts"]}
    networks = place.folder / "networks"
    assert [parts[name]["files"] for name in ("images", "vit", "detr")] == [0, 3, 3]
    assert parts["vit"]["bytes"] == sum(path.stat().st_size for path in (networks / "vit").iterdir())
    assert plan["fetch_bytes"] == sum(part["bytes"] for part in parts.values())
    assert plan["fetch_s"] == round(plan["fetch_bytes"] / plan["bytes_per_s"], 1)
    assert (plan["sizes"], plan["unscored"]) == ([[32, 32], [64, 96]], ["lpips_alex"])
    assert not place.lock.exists() and not list(place.hf.rglob("*.safetensors"))

    place.hub.repos["models", SECOND].gated = True
    code, _, messages = place.run("lock")
    assert code == 2 and messages.splitlines()[-1].startswith("Error: ") and SECOND in messages.splitlines()[-1]
    assert "log in" in messages and "cannot be had" in messages
    assert not place.lock.exists() and not list(place.hf.rglob("*.safetensors"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_offline_a_network_without_a_commit_names_the_field_and_all_is_there_once_fetched(place: Place) -> None:
    code, out, messages = place.run("lock", HF_HUB_OFFLINE="1")
    assert (code, out) == (2, "")
    assert (
        "HF_HUB_OFFLINE" in messages and f"state 'revision' beside repo_id = \"{FIRST}\" in {place.suite}" in messages
    )

    code, out, messages = place.run("lock", "--draft")
    assert code == 0 and f"not pinned: revision of {FIRST} (run: invbench suite lock {place.suite}" in out
    assert f"not pinned: file {SECOND}/config.json (run: invbench suite lock {place.suite})" in out

    code, _, messages = place.run("lock", limit=30_000)
    assert code == 2 and "free some space" in messages.splitlines()[-1]
    code, out, messages = place.run("lock", "--json")
    assert code == 0, messages
    told = json.loads(out)
    assert (told["lock"], told["gaps"]) == (str(place.lock), [])
    text = place.lock.read_text()
    code, _, messages = place.run("lock", HF_HUB_OFFLINE="1")
    assert code == 2 and "state 'revision'" in messages and place.lock.read_text() == text
    assert place.run("check", HF_HUB_OFFLINE="1")[0] == 0


def test_a_draft_forgets_what_its_suite_does_not_name_any_more(tmp_path: Path) -> None:
    whole = load_suite("coco@1")
    (tmp_path / "coco-1.toml").write_text(
        Path(str(whole._file)).read_text().replace("bootstrap_seed = ", "bootstrap_seed = 1")
    )
    stale = {"openai/clip-vit-base-patch16/config.json": "0" * 64, "annotations/instances_train2017.json": "0" * 64}
    lock = load_lock(whole)
    revisions = {"openai/clip-vit-base-patch16": "0" * 40, "facebook/detr-resnet-50": "1" * 40}
    changed = lock.model_copy(update={"files": lock.files | stale, "revisions": revisions})
    (tmp_path / "coco-1.lock.json").write_text(changed.model_dump_json())
    known = known_pins(load_suite(str(tmp_path / "coco-1.toml")))
    assert known.files == lock.files and known.revisions == {}
    text = (tmp_path / "coco-1.toml").read_text().replace('"lpips_alex",', "")
    (tmp_path / "coco-1.toml").write_text(text)
    assert known_pins(load_suite(str(tmp_path / "coco-1.toml"))).files.keys() == lock.files.keys() - {
        "lpips/alexnet",
        "lpips/heads",
    }
    (tmp_path / "coco-1.lock.json").write_text(changed.model_dump_json()[:1000])
    with pytest.raises(SpecError, match=r"coco-1\.lock\.json"):
        known_pins(load_suite(str(tmp_path / "coco-1.toml")))
