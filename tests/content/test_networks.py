"""Networks on the Hub: which of their files are asked for, whatever layout they have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hubclient import CONFIG, WEIGHTS, digest, run, run_one, sent, step

from benchmark.content.content import Content, empty_lock
from benchmark.content.networks import choose_files
from benchmark.content.pins import find_gaps
from benchmark.errors import IntegrityError
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Source, Suite

SHARDS = {f"model-0000{n}-of-00002.safetensors": bytes([n]) * 4096 for n in (1, 2)}
INDEX = json.dumps({"metadata": {}, "weight_map": {f"w{n}": name for n, name in enumerate(SHARDS)}}).encode()
PREPROCESSOR = {"preprocessor_config.json": b"{}"}
LAYOUTS: dict[str, dict[str, bytes]] = {
    "usual": {"config.json": CONFIG, "model.safetensors": WEIGHTS} | PREPROCESSOR,
    "processor": {"config.json": CONFIG, "model.safetensors": WEIGHTS, "processor_config.json": b"{}"},
    "timm": {"config.json": CONFIG, "model.safetensors": WEIGHTS},
    "shards": {"config.json": CONFIG, "model.safetensors.index.json": INDEX} | SHARDS | PREPROCESSOR,
}
LOAD = "fetch_network"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_read_is_fetched_and_no_more(hub: Any, tmp_path: Path, layout: str) -> None:
    files = LAYOUTS[layout]
    commit = hub.add_repo("me/net", files | {"README.md": b"#", "pytorch_model.bin": b"\x80", "vocab.json": b"{}"})
    load = step(LOAD, "me/net", commit)
    (folder,) = run(hub, tmp_path, load)
    assert {path.name for path in Path(folder["value"]).iterdir()} == set(files)
    assert set(choose_files([*files, "README.md", "vocab.json", "onnx/model.safetensors"])) == set(files)
    sizes = run_one(hub, tmp_path, "list_sizes", "me/net", commit)["value"]
    assert {name: sizes[name] for name in files} == {name: len(content) for name, content in files.items()}
    hub.log.clear()
    assert run(hub, tmp_path, load, HF_HUB_OFFLINE="1") == [folder]
    assert run(hub, tmp_path, load) == [folder]
    assert sent(hub) == [], "what a commit lacks is not asked for again"
    assert run_one(hub, tmp_path, "is_network_cached", "me/net", commit) == {"value": True}


def test_of_two_files_with_a_mean_the_one_that_is_read_is_fetched(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", LAYOUTS["usual"] | {"processor_config.json": b"{}"})
    folder = run_one(hub, tmp_path, LOAD, "me/net", commit)["value"]
    assert not (Path(folder) / "processor_config.json").exists()


def test_a_whole_file_goes_before_shards(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", LAYOUTS["shards"] | LAYOUTS["usual"])
    folder = run_one(hub, tmp_path, LOAD, "me/net", commit)["value"]
    assert {path.name for path in Path(folder).iterdir()} == set(LAYOUTS["usual"])


def test_without_any_weights_the_usual_file_is_named(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", {"config.json": CONFIG, "pytorch_model.bin": b"\x80"})
    outcome = run_one(hub, tmp_path, LOAD, "me/net", commit)
    assert "NotFoundError" in outcome["kinds"] and outcome["where"].endswith("/model.safetensors")
    assert "only weights in this format are read" in outcome["text"]


@pytest.mark.parametrize("name", ["../../evil.safetensors", "/etc/passwd", "a/b.safetensors", "x.bin", "", 3, None])
def test_an_index_leads_nowhere_else(hub: Any, tmp_path: Path, name: object) -> None:
    index = json.dumps({"weight_map": {"w": name}}).encode()
    commit = hub.add_repo("me/net", {"config.json": CONFIG, "model.safetensors.index.json": index})
    outcome = run_one(hub, tmp_path, LOAD, "me/net", commit)
    assert "SpecError" in outcome["kinds"] and "not in a safetensors file" in outcome["text"]
    assert outcome["where"].endswith("model.safetensors.index.json")


def test_offline_half_of_the_shards_is_no_network(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", LAYOUTS["shards"])
    some = [name for name in LAYOUTS["shards"] if name != "model-00002-of-00002.safetensors"]
    run_one(hub, tmp_path, "fetch_files", "me/net", commit, some)
    (outcome,) = run(hub, tmp_path, step(LOAD, "me/net", commit), HF_HUB_OFFLINE="1")
    assert outcome["where"].endswith("/model-00002-of-00002.safetensors")
    assert run_one(hub, tmp_path, "is_network_cached", "me/net", commit) == {"value": False}


def test_what_was_fetched_by_other_means_serves_offline(hub: Any, tmp_path: Path) -> None:
    """Whoever downloads a whole repository of timm's has no note that it lacks a file for the preprocessing."""
    commit = hub.add_repo("me/net", LAYOUTS["timm"])
    run_one(hub, tmp_path, "fetch_files", "me/net", commit, list(LAYOUTS["timm"]))
    (outcome,) = run(hub, tmp_path, step(LOAD, "me/net", commit), HF_HUB_OFFLINE="1")
    assert "value" in outcome


def test_a_shard_is_compared_with_its_pin(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", LAYOUTS["shards"])
    pins = {name: digest(content) for name, content in LAYOUTS["shards"].items()}
    assert "value" in run_one(hub, tmp_path, LOAD, "me/net", commit, sha256=pins)
    pins["model-00002-of-00002.safetensors"] = digest(b"other")
    outcome = run_one(hub, tmp_path, LOAD, "me/net", commit, sha256=pins)
    assert "IntegrityError" in outcome["kinds"] and "model-00002-of-00002" in outcome["where"]


def on_the_hub(mini: Suite, family: str = "vit") -> Suite:
    target = mini.target("mini-vit").model_copy(
        update={"family": family, "source": Source(repo_id="me/net", revision="0" * 40)}
    )
    return mini.model_copy(update={"targets": (target,), "judge": None})


def gaps_of(suite: Suite, *names: str) -> set[str]:
    lock = empty_lock(suite).model_copy(update={"files": {f"me/net/{name}": "0" * 64 for name in names}})
    return {gap.removeprefix("file me/net/") for gap in find_gaps(suite, lock) if gap.startswith("file ")}


def test_a_lock_is_whole_with_either_layout(mini: Suite) -> None:
    suite, timm = on_the_hub(mini), on_the_hub(mini, "timm_vit")
    usual = ("config.json", "model.safetensors", "preprocessor_config.json")
    assert gaps_of(suite) == set(usual)
    assert gaps_of(suite, *usual) == gaps_of(suite, *usual[:2], "processor_config.json") == set()
    assert gaps_of(suite, *LAYOUTS["shards"]) == set()
    assert gaps_of(suite, "config.json", "model.safetensors.index.json", usual[2]) == {"model.safetensors"}
    assert gaps_of(timm) == set(usual[:2])
    assert gaps_of(timm, *usual[:2]) == set()
    assert gaps_of(suite, *usual[:2]) == {"preprocessor_config.json"}


def test_a_pinned_file_that_is_not_read_is_told(mini: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that pins the other file for the preprocessing was made of another network."""
    suite = on_the_hub(mini)
    for name, content in LAYOUTS["usual"].items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr("benchmark.content.content.fetch_network", lambda *_: tmp_path)
    pins = {f"me/net/{name}": digest(content) for name, content in LAYOUTS["usual"].items()}

    def network(files: dict[str, str], gaps: tuple[str, ...] = ()) -> Path:
        lock = Lock(suite=suite.id, suite_digest=suite.digest, files=files, images={}, perturbed={}, gaps=gaps)
        return Content(suite, lock).network(suite.targets[0].source)

    assert network(pins) == tmp_path
    for gaps in ((), ("images",)):
        with pytest.raises(IntegrityError, match=r"'me/net/processor_config\.json' is missing"):
            network(pins | {"me/net/processor_config.json": "0" * 64}, gaps)
    with pytest.raises(IntegrityError, match=r"'me/net/model\.safetensors' is not pinned"):
        network({name: pin for name, pin in pins.items() if "safetensors" not in name})
