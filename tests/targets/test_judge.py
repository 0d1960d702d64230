"""The judge: any image classifier of transformers, at the size that it was trained for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import save_network
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import (
    ResNetConfig,
    ResNetForImageClassification,
    SwinConfig,
    SwinForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from benchmark.errors import IntegrityError, SpecError, UserError
from benchmark.suites.spec import Suite
from benchmark.targets.judge import load_judge


@pytest.fixture
def swin(tmp_path: Path, randomize: Callable[..., Any]) -> Path:
    torch.manual_seed(0)
    config = SwinConfig(
        image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4, num_labels=5
    )
    return save_network(randomize(SwinForImageClassification(config)), tmp_path / "swin", mean=(0.4, 0.5, 0.6))


def change(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def test_images_are_resized_to_what_the_judge_was_trained_for(swin: Path, cpu: torch.device) -> None:
    judge = load_judge(swin, cpu)
    model = SwinForImageClassification.from_pretrained(swin).eval()
    images = torch.rand(2, 3, 48, 64)
    small = F.interpolate(images, size=(32, 32), mode="bilinear", antialias=True, align_corners=False)
    mean = torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1)
    with torch.inference_mode():
        expected = model((small - mean) / 0.5).logits.softmax(1)
        assert judge.exclusive_labels
        assert torch.equal(judge(images), expected)
        assert torch.equal(judge(small), expected)


def test_a_judge_without_a_size_sees_images_as_they_are(tmp_path: Path, cpu: torch.device) -> None:
    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=4,
        problem_type="multi_label_classification",
    )  # fmt: skip
    model = ResNetForImageClassification(config).eval()
    judge = load_judge(save_network(model, tmp_path), cpu)
    images = torch.rand(2, 3, 48, 64)
    with torch.inference_mode():
        assert not judge.exclusive_labels
        # The judge has its images in another order of the memory: the last bits may differ.
        expected = model((images - 0.5) / 0.5).logits.sigmoid()
        torch.testing.assert_close(judge(images), expected, rtol=1e-5, atol=1e-6)


def test_the_counter_of_batch_norm_may_be_absent(tmp_path: Path, cpu: torch.device) -> None:
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1], layer_type="basic")
    folder = save_network(ResNetForImageClassification(config).eval(), tmp_path)
    images = torch.rand(1, 3, 32, 32)
    expected = load_judge(folder, cpu)(images)
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "num_batches_tracked" not in name}
    assert len(kept) < len(weights)
    save_file(kept, folder / "model.safetensors")
    assert torch.equal(load_judge(folder, cpu)(images), expected)


def test_gradients_flow_through_the_judge(swin: Path, cpu: torch.device) -> None:
    images = torch.rand(1, 3, 48, 64, requires_grad=True)
    load_judge(swin, cpu)(images)[0, 0].backward()
    assert images.grad is not None and images.grad.abs().sum() > 0


def test_the_embedded_judge_loads(mini: Suite, images: torch.Tensor, cpu: torch.device) -> None:
    assert mini.judge is not None
    assert load_judge(mini.judge.directory(), cpu)(images).shape == (4, 8)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"model_type": "bert"}, "'bert' is not an image classifier of transformers"),
        ({"model_type": "timm_wrapper", "architecture": "resnet18"}, "'timm_wrapper' is not an image classifier"),
        ({"model_type": "timm_wrapper", "architecture": "hf-hub:a/b"}, "'architecture' is not the plain name"),
        ({"model_type": ["swin"]}, "is not an image classifier"),
        ({"model_type": None}, "'None' is not an image classifier"),
        ({"model_type": "vit"}, "model.safetensors: |config.json: "),
        ({"auto_map": {"AutoModelForImageClassification": "evil.Model"}}, "'auto_map' is not supported"),
        ({"quantization_config": {"quant_method": "gptq"}}, "'quantization_config' is not supported"),
        ({"num_channels": 4}, "model.safetensors: mismatched keys"),
        ({"image_size": 2**20}, "'image_size' is not within 1 to 4096"),
        ({"image_size": [32, "x"]}, "config.json: "),
        ({"id2label": {"0": "a"}}, "model.safetensors: |config.json: "),
    ],
)
def test_what_is_no_classifier_is_refused(swin: Path, cpu: torch.device, values: dict[str, object], match: str) -> None:
    change(swin, **values)
    with pytest.raises(UserError, match=match):
        load_judge(swin, cpu)


def test_a_judge_that_is_not_whole_is_refused(swin: Path, tmp_path: Path, cpu: torch.device) -> None:
    vit = ViTForImageClassification(
        ViTConfig(hidden_size=24, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32)
    )
    other = save_network(vit, tmp_path / "vit")
    shutil.copy(other / "model.safetensors", swin / "model.safetensors")
    with pytest.raises(IntegrityError, match=r"missing keys: swin\."):
        load_judge(swin, cpu)
    (swin / "model.safetensors").unlink()
    with pytest.raises(SpecError, match=r"no model\.safetensors"):
        load_judge(swin, cpu)
