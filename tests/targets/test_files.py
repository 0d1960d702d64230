"""Which files of a network are read: weights in one file or in shards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from families import spec_of
from networks import SMALL, build, publish
from safetensors.torch import load_file, save_file

from benchmark.errors import IntegrityError, SpecError
from benchmark.files.canonical import canonical_json, sha256_file
from benchmark.targets import load_target
from benchmark.targets.files import digest_weights, find_files, find_weights, hash_weights, read_index

VIT = next(case for case in SMALL if case.family == "vit")
INDEX = "model.safetensors.index.json"


@pytest.fixture
def vit(tmp_path: Path, randomize: Callable[..., Any]) -> Path:
    return publish(VIT, randomize(build(VIT)), tmp_path / "vit")


def split(folder: Path, count: int) -> dict[str, str]:
    """Split the weights as `save_pretrained(max_shard_size=...)` does; return where each tensor lies."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = [f"model-{n + 1:05d}-of-{count:05d}.safetensors" for n in range(count)]
    where = {tensor: names[n % count] for n, tensor in enumerate(sorted(weights))}
    for name in names:
        save_file({t: w for t, w in weights.items() if where[t] == name}, folder / name, metadata={"format": "pt"})
    write_index(folder, where)
    return where


def write_index(folder: Path, where: object) -> None:
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where}))


@pytest.mark.parametrize("count", [1, 3])
def test_shards_give_the_network_of_the_whole_file(vit: Path, count: int, cpu: torch.device) -> None:
    images = torch.rand(2, 3, *VIT.size)
    whole = load_target(spec_of(VIT), vit, cpu).predict(images).logits
    split(vit, count)
    target = load_target(spec_of(VIT), vit, cpu)
    assert not target.headless
    assert torch.equal(target.predict(images).logits, whole)


def test_what_transformers_shards_is_read(vit: Path, tmp_path: Path, cpu: torch.device) -> None:
    model = build(VIT)
    (vit / "model.safetensors").unlink()
    model.save_pretrained(vit, max_shard_size="20KB")
    assert (vit / INDEX).is_file() and len(find_weights(vit)) > 1
    assert torch.equal(load_target(spec_of(VIT), vit, cpu).model.classifier.weight, model.classifier.weight)


def test_the_files_that_are_read_are_named_and_hashed(vit: Path) -> None:
    (vit / "README.md").write_text("#")
    (vit / "processor_config.json").write_text("{}")
    whole = sha256_file(vit / "model.safetensors")
    assert hash_weights(vit) == whole == digest_weights({"model.safetensors": whole, "config.json": "0" * 64})
    assert [path.name for path in find_files(vit)] == ["config.json", "model.safetensors", "preprocessor_config.json"]
    (vit / "preprocessor_config.json").unlink()
    split(vit, 2)
    shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    assert [path.name for path in find_files(vit)] == ["config.json", INDEX, *shards, "processor_config.json"]
    first = hash_weights(vit)
    hashes = {path.name: sha256_file(path) for path in find_files(vit)}
    assert digest_weights(hashes) == first != whole
    assert digest_weights(dict(reversed(hashes.items()))) == first
    assert digest_weights(hashes | {shards[1]: "0" * 64}) != first
    assert canonical_json({name: hashes[name] for name in shards}).count(":") == 2


def test_shards_that_are_not_as_the_index_says_are_refused(vit: Path, cpu: torch.device) -> None:
    where = split(vit, 2)
    tensor, name = next(iter(where.items()))
    other = next(file for file in where.values() if file != name)

    def refused(index: object, match: str, error: type[Exception]) -> None:
        write_index(vit, index)
        with pytest.raises(error, match=match):
            load_target(spec_of(VIT), vit, cpu)

    refused(where | {tensor: other}, f"tensor '{tensor}' is not where", IntegrityError)
    refused({t: f for t, f in where.items() if t != tensor}, f"tensor '{tensor}' is not where", IntegrityError)
    refused(where | {"more": name}, "tensor 'more' is not where", IntegrityError)
    refused(where | {tensor: "absent.safetensors"}, r"absent\.safetensors: absent, but .* names it", SpecError)
    refused(where | {tensor: "../vit.safetensors"}, r"index\.json: tensor .* not in a safetensors file", SpecError)
    refused(where | {tensor: "pytorch_model.bin"}, "not in a safetensors file", SpecError)
    refused({}, "'weight_map' is not an object", SpecError)
    refused([1], "'weight_map' is not an object", SpecError)
    refused({f"t{n}": f"s{n}.safetensors" for n in range(1001)}, "names more than 1,000 files", SpecError)
    (vit / INDEX).write_text("{")
    with pytest.raises(SpecError, match=r"index\.json: not valid JSON"):
        load_target(spec_of(VIT), vit, cpu)
    (vit / INDEX).unlink()
    with pytest.raises(SpecError, match=r"no model\.safetensors, nor"):
        find_weights(vit)


def test_a_damaged_shard_is_named(vit: Path, cpu: torch.device) -> None:
    split(vit, 2)
    path = vit / "model-00002-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=r"model-00002-of-00002\.safetensors: not a whole safetensors file"):
        load_target(spec_of(VIT), vit, cpu)


def test_a_network_larger_than_its_shards_is_refused(vit: Path, cpu: torch.device) -> None:
    split(vit, 2)
    config = json.loads((vit / "config.json").read_text())
    (vit / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1000}))
    with pytest.raises(IntegrityError, match=r"missing keys|larger network than its weights hold"):
        load_target(spec_of(VIT), vit, cpu)


def test_an_index_is_read_by_shard(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text(
        json.dumps({"weight_map": {"b": "2.safetensors", "a": "1.safetensors", "c": "2.safetensors"}})
    )
    assert read_index(tmp_path / INDEX) == {"1.safetensors": ("a",), "2.safetensors": ("b", "c")}
