"""Networks in other layouts than the usual one go the whole way: locked, evaluated, and compared with the lock."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hubserver import HubServer
from networks import SMALL, Case, build, publish
from safetensors.torch import load_file, save_file

from benchmark.inverses.base import save_inverse
from benchmark.inverses.mean import MeanInverse
from benchmark.inverses.spec import InverseConfig
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import load_lock
from benchmark.targets.files import hash_weights

Invbench = Callable[..., "object"]
SUITE = """
schema_version = 1
name = "layouts"
version = 1
title = "a small network in another layout"
summary = "eight photographs"
perturbations = ["identity", "hue_set_0"]
report = ["psnr"]
audit_images = 1
layer_images = 8
bootstrap_resamples = 100
bootstrap_seed = 1

[axes]
detail = ["frc"]
shape = ["contour_f"]
color = ["color_transfer"]

[dataset]
source = "coco"
split = "val2017"
images = 8
salt = "layouts:"
share = [0.05, 0.6]
resize = "pillow-bilinear"
description = "photographs"

[[targets]]
id = "some"
title = "some"
"""


def shard(folder: Path) -> None:
    """As transformers 5 writes a large network: shards with an index, and mean and std in the processor's file."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = [f"model-{n + 1:05d}-of-00002.safetensors" for n in range(2)]
    where = {tensor: names[n % 2] for n, tensor in enumerate(sorted(weights))}
    for name in names:
        save_file({t: w for t, w in weights.items() if where[t] == name}, folder / name, metadata={"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": settings}))


def mean_inverse(case: Case, network: Path, taps: tuple[str, ...], folder: Path) -> None:
    config = InverseConfig(
        method="mean",
        target="some",
        target_sha256=hash_weights(network),
        input_size=case.size,
        taps={name: case.shapes[name] for name in taps},
    )
    inverse = MeanInverse(config)
    inverse.fit([torch.full((1, 3, *case.size), 0.4)])
    save_inverse(inverse, folder)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["vit", "timm_vit"])
def test_a_network_is_locked_and_evaluated_whatever_its_layout(
    family: str, invbench: Invbench, hub: HubServer, hub_environment: dict[str, str], assets: Path, tmp_path: Path
) -> None:
    data = assets / "coco_val2017_sample"
    if not data.is_dir():
        pytest.skip(f"no photographs in {data}; set INVBENCH_TEST_ASSETS")
    case = next(case for case in SMALL if case.family == family)
    network = publish(case, build(case), tmp_path / "network")
    if family == "vit":
        shard(network)
    commit = hub.add_repo("somebody/net", {path.name: path for path in network.iterdir()})
    taps = list(case.shapes)[:2]
    lines = ", ".join(f'{{ name = "{tap}", stage = "any", depth = {n} }}' for n, tap in enumerate(taps))
    text = f'family = "{family}"\nsource = {{ repo_id = "somebody/net", revision = "{commit}" }}\n'
    suite = tmp_path / "layouts-1.toml"
    suite.write_text(SUITE + text + f"input_size = {list(case.size)}\ntaps = [{lines}]\n")
    mean_inverse(case, network, tuple(taps), tmp_path / "mean")

    def do(*arguments: str) -> object:
        done = invbench(*arguments, **hub_environment)
        assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
        return done

    do("suite", "lock", str(suite), "--data-dir", str(data))
    lock = load_lock(load_suite(str(suite)))
    assert lock.gaps == ()
    own = {name.removeprefix("somebody/net/") for name in lock.files if name.startswith("somebody/")}
    assert own == {path.name for path in network.iterdir()}
    done = do("eval", "--inverse", "mean", "--suite", str(suite), "--data-dir", str(data), "--json")
    record = json.loads(done.stdout)  # type: ignore[attr-defined]
    assert (record["status"], record["draft"]) == ("complete", False)
    shards = sorted(name for name in lock.files if name.endswith(".safetensors"))
    damaged = lock.model_copy(update={"files": lock.files | {shards[-1]: "0" * 64}})
    load_suite(str(suite)).lock_path.write_text(damaged.model_dump_json())
    done = invbench("eval", "--inverse", "mean", "--suite", str(suite), "--data-dir", str(data), **hub_environment)
    assert done.returncode == 3 and shards[-1].split("/")[-1] in done.stderr  # type: ignore[attr-defined]
