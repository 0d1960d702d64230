"""Networks of every family at published size, with random weights, through the whole engine on real photographs."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch
from hubserver import HubServer
from networks import FULL, Case, build, publish
from safetensors.torch import load_file

from benchmark.content.content import empty_lock
from benchmark.engine.memory import predict_peak_bytes
from benchmark.files.canonical import sha256_file
from benchmark.inverses.base import save_inverse
from benchmark.inverses.mean import MeanInverse
from benchmark.inverses.spec import InverseConfig
from benchmark.suites.catalog import load_suite
from benchmark.suites.spec import Source, TapSpec, TargetSpec
from benchmark.targets import FAMILIES

Invbench = Callable[..., "object"]


def own_target(case: Case) -> TargetSpec:
    """A target of a family that only suites of one's own have."""
    depth = max(1, len(case.shapes) - 1)
    taps = tuple(
        TapSpec(name=name, stage=name.split(".")[0], depth=round(place / depth, 3))
        for place, name in enumerate(case.shapes)
    )
    name = case.family.replace("_", "-")
    source = Source(repo_id="somebody/net")
    return TargetSpec(id=name, title=name, family=case.family, source=source, input_size=case.size, taps=taps)


# By family, the targets of coco@1 and others: the suite of the test takes their text, with the first, a middle and the
# last tap.
TARGETS = {case.family: own_target(case) for case in FULL}
TARGETS |= {target.family: target for target in load_suite("coco@1").targets}
SUITE = """
schema_version = 1
name = "full-size"
version = 1
draft = true
title = "one network at its published size"
summary = "eight photographs"
perturbations = ["identity", "hue_set_0", "hue_set_120", "hue_set_240", "hue_shift_120", "hue_shift_240", "gray"]
report = ["psnr", "ssim", "spectral_ev"]
audit_images = 1
layer_images = 8
judged_images = 8
bootstrap_resamples = 100
bootstrap_seed = 1

[axes]
detail = ["frc"]
shape = ["contour_f", "fg_transfer"]
color = ["color_transfer"]

[dataset]
source = "coco"
split = "val2017"
images = 8
salt = "full-size:"
share = [0.05, 0.6]
resize = "pillow-bilinear"
description = "photographs"

[[targets]]
"""


def target_text(family: str, repo_id: str, commit: str) -> str:
    target = TARGETS[family]
    middle = len(target.taps) // 2
    taps = [{"name": t.name, "stage": t.stage, "depth": t.depth} for t in (target.taps[i] for i in (0, middle, -1))]
    lines = [", ".join(f"{key} = {json.dumps(value)}" for key, value in tap.items()) for tap in taps]
    return (
        f'id = "{target.id}"\ntitle = "{target.title}"\nfamily = "{family}"\n'
        f'source = {{ repo_id = "{repo_id}", revision = "{commit}" }}\n'
        f"input_size = {list(target.input_size)}\ntaps = [{', '.join(f'{{ {line} }}' for line in lines)}]\n"
    )


def mean_inverse(case: Case, weights: Path, taps: tuple[str, ...], folder: Path) -> None:
    config = InverseConfig(
        method="mean",
        target=TARGETS[case.family].id,
        target_sha256=sha256_file(weights),
        input_size=case.size,
        taps={name: case.shapes[name] for name in taps},
    )
    inverse = MeanInverse(config)
    inverse.fit([torch.full((1, 3, *case.size), 0.4)])
    save_inverse(inverse, folder)


def used_bytes(case: Case, weights: Path) -> int:
    """What a target keeps of a checkpoint: all but parts that it does not have, such as SigLIP's text tower."""
    module, name = FAMILIES[case.family].split(":")
    unused = getattr(import_module(module), name).unused
    return sum(tensor.nbytes for key, tensor in load_file(weights).items() if not key.startswith(unused))


@pytest.mark.nightly
@pytest.mark.parametrize("case", FULL, ids=lambda case: case.family)
def test_a_network_of_published_size_goes_through_the_engine(
    case: Case, invbench: Invbench, hub: HubServer, hub_environment: dict[str, str], assets: Path, tmp_path: Path
) -> None:
    data = assets / "coco_val2017_sample"
    if not data.is_dir():
        pytest.skip(f"no photographs in {data}; set INVBENCH_TEST_ASSETS")
    assert case.shapes.keys() == {tap.name for tap in TARGETS[case.family].taps}
    network = publish(case, build(case), tmp_path / "network")
    commit = hub.add_repo("somebody/net", {path.name: path for path in network.iterdir()})
    suite = tmp_path / "full-size.toml"
    suite.write_text(SUITE + target_text(case.family, "somebody/net", commit))
    read = load_suite(str(suite))
    mean_inverse(case, network / "model.safetensors", read.targets[0].tap_names, tmp_path / "mean")
    read.lock_path.write_text(empty_lock(read).model_dump_json())
    done = invbench(
        "eval", "--inverse", "mean", "--suite", str(suite), "--data-dir", str(data), "--json", **hub_environment
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["status"], record["draft"], record["images"]) == ("complete", True, 8)
    scored = {cell["metric"]: cell["scored"] for cell in record["cells"] if cell["perturbation"] == "identity"}
    assert scored["frc"] == scored["psnr"] == 8
    run = record["run"]
    predicted = predict_peak_bytes(read, read.targets[0]) + used_bytes(case, network / "model.safetensors")
    assert predicted == pytest.approx(run["peak_memory_mib"] * 2**20, rel=0.25)
    print(f"{case.family}: {run['wall_s']} s, {run['peak_memory_mib']} MiB, {run['ms_per_recon']} ms a recon")
