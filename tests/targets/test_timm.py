"""Checkpoints of timm: ViTs and Swins, old and new layouts; what their configuration may not do."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from families import check, spec_of
from networks import SMALL, Case, build, publish
from safetensors.torch import load_file, save_file

from benchmark.errors import IntegrityError, SpecError
from benchmark.suites.spec import Source, TapSpec, TargetSpec
from benchmark.targets import load_target

VIT, SWIN = (next(case for case in SMALL if case.family == family) for family in ("timm_vit", "timm_swin"))
Network = tuple[Any, Path]


@pytest.fixture
def vit(tmp_path: Path, randomize: Callable[..., Any]) -> Network:
    model = randomize(build(VIT))
    return model, publish(VIT, model, tmp_path / "vit")


@pytest.fixture
def swin(tmp_path: Path, randomize: Callable[..., Any]) -> Network:
    model = randomize(build(SWIN))
    return model, publish(SWIN, model, tmp_path / "swin")


def change(folder: Path, **values: object) -> None:
    text = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(text | values))


def one_tap(case: Case) -> TargetSpec:
    tap = TapSpec(name=list(case.shapes)[-1], stage="any", depth=0)
    source = Source(repo_id="nobody/nothing")
    return TargetSpec(id="x", title="x", family=case.family, source=source, input_size=case.size, taps=(tap,))


def test_the_answer_is_that_of_timm(vit: Network, swin: Network, cpu: torch.device) -> None:
    for case, (model, folder) in ((VIT, vit), (SWIN, swin)):
        images = torch.rand(2, 3, *case.size)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in case.normalization)
        with torch.inference_mode():
            expected = model((images - mean) / std)
            assert torch.equal(load_target(spec_of(case), folder, cpu).predict(images).logits, expected)


def test_what_the_wrapper_saves_is_read_too(vit: Network, tmp_path: Path, cpu: torch.device) -> None:
    """`save_pretrained` of transformers states a model type, labels, and a file for the preprocessing."""
    from transformers import TimmWrapperConfig, TimmWrapperForImageClassification

    model, folder = vit
    config = TimmWrapperConfig.from_dict(json.loads((folder / "config.json").read_text()))
    wrapper = TimmWrapperForImageClassification(config)
    wrapper.timm_model.load_state_dict(model.state_dict())
    wrapper.save_pretrained(tmp_path / "saved")
    settings = {"image_mean": VIT.normalization[0], "image_std": VIT.normalization[1]}
    (tmp_path / "saved/preprocessor_config.json").write_text(json.dumps(settings))
    check(VIT, model, load_target(spec_of(VIT), tmp_path / "saved", cpu), 2)


@pytest.mark.parametrize("classes", [0, 3])
def test_a_checkpoint_without_a_head_gives_features(vit: Network, cpu: torch.device, classes: int) -> None:
    model, folder = vit
    weights = load_file(folder / "model.safetensors")
    save_file({n: w for n, w in weights.items() if not n.startswith("head.")}, folder / "model.safetensors")
    change(folder, num_classes=classes)
    target = load_target(spec_of(VIT), folder, cpu)
    check(VIT, model, target, 2)
    with pytest.raises(SpecError, match="no head of its own"):
        target.predict(torch.rand(1, 3, *VIT.size))


def test_half_a_head_is_refused(vit: Network, cpu: torch.device) -> None:
    _, folder = vit
    weights = load_file(folder / "model.safetensors")
    save_file({n: w for n, w in weights.items() if n != "head.bias"}, folder / "model.safetensors")
    with pytest.raises(IntegrityError, match=r"missing keys: .*head\.bias"):
        load_target(spec_of(VIT), folder, cpu)


def test_a_swin_in_the_layout_of_earlier_versions_is_the_same(swin: Network, cpu: torch.device) -> None:
    """Merging named after the stage before, a head without `fc`, and tables that are computed now."""
    model, folder = swin
    old: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        renamed = re.sub(r"^layers\.(\d+)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample", name)
        old[renamed.replace("head.fc.", "head.")] = tensor
    for name, table in model.named_buffers():
        old[name] = table.contiguous()
    assert "layers.0.downsample.reduction.weight" in old and any(name.endswith("attn_mask") for name in old)
    save_file(old, folder / "model.safetensors")
    target = load_target(spec_of(SWIN), folder, cpu)
    check(SWIN, model, target, 2)
    assert target.predict(torch.rand(1, 3, *SWIN.size)).logits.shape == (1, 3)


def test_tables_that_no_checkpoint_holds_do_not_depend_on_how_timm_is_loaded(
    swin: Network, cpu: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier versions of timm leave them as the memory happened to be."""
    from timm.models import swin_transformer

    model, folder = swin

    def spoil(self: Any) -> None:
        for name, table in self.named_buffers(recurse=False):
            self.get_buffer(name).copy_(torch.zeros_like(table))

    kinds = (swin_transformer.WindowAttention, swin_transformer.SwinTransformerBlock)
    expected = dict(model.named_buffers())
    load = load_target
    with monkeypatch.context() as patch:
        from benchmark.targets import network

        original = network.load_network

        def spoiled(*arguments: Any, **options: Any) -> Any:
            loaded = original(*arguments, **options)
            for module in loaded.modules():
                if isinstance(module, kinds):
                    spoil(module)
            return loaded

        patch.setattr("benchmark.targets.base.load_network", spoiled)
        target = load(spec_of(SWIN), folder, cpu)
    for name, table in target.model.timm_model.named_buffers():
        assert torch.equal(table, expected[name]), name
    check(SWIN, model, target, 2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"architecture": "resnet18"}, "larger network|'resnet18' is not a VisionTransformer"),
        ({"architecture": "hf-hub:someone/something"}, "not the plain name of an architecture"),
        ({"architecture": "local-dir:/tmp/x"}, "not the plain name of an architecture"),
        ({"architecture": "no_such_network"}, "no_such_network"),
        ({"architecture": "vit_giant_patch14_224"}, "larger network than its weights hold"),
        ({"architecture": 3}, r"config\.json: "),
        ({"architecture": None}, r"config\.json: |larger network"),
        ({"model_args": {"pretrained": True}}, "'model_args' is not supported"),
        ({"pretrained_cfg_overlay": {"file": "evil.bin"}}, "'pretrained_cfg_overlay' is not supported"),
        ({"model_type": "vit"}, "describes a 'vit', not a 'timm_wrapper'"),
        ({"num_classes": 4}, r"mismatched keys: .*head"),
        ({"num_classes": "many"}, r"config\.json: "),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    vit: Network, cpu: torch.device, monkeypatch: pytest.MonkeyPatch, values: dict[str, object], message: str
) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("something connects")

    monkeypatch.setattr(socket.socket, "connect", connect)
    change(vit[1], **values)
    with pytest.raises((SpecError, IntegrityError), match=message) as caught:
        load_target(spec_of(VIT), vit[1], cpu)
    assert "\n" not in str(caught.value)


def test_what_timm_says_of_its_weights_is_not_followed(
    vit: Network, cpu: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pretrained_cfg` may name files and addresses; only mean and std are read."""
    model, folder = vit
    evil = {"url": "http://127.0.0.1:9/x", "file": str(tmp_path / "evil.bin"), "hf_hub_id": "someone/something"}
    told = json.loads((folder / "config.json").read_text())["pretrained_cfg"]
    change(folder, pretrained_cfg=told | evil | {"custom_load": True})
    monkeypatch.setattr(timm.models, "load_pretrained", None, raising=False)
    check(VIT, model, load_target(spec_of(VIT), folder, cpu), 2)


def test_each_architecture_has_its_family(vit: Network, swin: Network, cpu: torch.device) -> None:
    with pytest.raises(SpecError, match=r"config\.json: 'test_vit' is not a SwinTransformer of timm"):
        load_target(one_tap(VIT).model_copy(update={"family": "timm_swin"}), vit[1], cpu)
    with pytest.raises(SpecError, match=r"config\.json: 'swin_of_tests' is not a VisionTransformer of timm"):
        load_target(one_tap(SWIN).model_copy(update={"family": "timm_vit"}), swin[1], cpu)
