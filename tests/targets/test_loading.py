"""Files of a network may come from anyone: they are taken whole or refused in one line, and never act."""

from __future__ import annotations

import json
import pickle
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import save_network
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    DetrConfig,
    DetrForObjectDetection,
    Dinov2Config,
    Dinov2Model,
    SwinConfig,
    SwinForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from benchmark.errors import IntegrityError, NotFoundError, SpecError, UserError
from benchmark.suites.spec import Source, TapSpec, TargetSpec
from benchmark.targets import load_target
from benchmark.targets.base import Target

FILES = {"config.json", "model.safetensors", "preprocessor_config.json"}
ACTS = {"socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec", "pickle.find_class"}
HOOKED: list[list[tuple[str, str]]] = []
SIZES: dict[str, tuple[int, int]] = {"vit": (32, 32), "detr": (64, 96), "swin": (32, 32), "dinov2": (28, 28)}


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    for events in HOOKED:
        if event in ACTS or event == "open":
            events.append((event, str(arguments[0])))


sys.addaudithook(_audit)


@contextmanager
def nothing_acts(folder: Path) -> Iterator[None]:
    """Only the three files of the folder are opened; nothing connects, runs or is unpickled."""
    events: list[tuple[str, str]] = []
    HOOKED.append(events)
    try:
        yield
    finally:
        HOOKED.remove(events)
    opened = {Path(name).name for event, name in events if event == "open" and name.startswith(str(folder))}
    assert opened <= FILES
    assert [event for event in events if event[0] in ACTS] == []


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, randomize: Callable[..., Any]) -> dict[str, Path]:
    """Small networks of some families."""
    torch.manual_seed(0)
    small = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    models = {
        "vit": ViTForImageClassification(ViTConfig(**small, intermediate_size=32, image_size=32, patch_size=8)),
        "dinov2": Dinov2Model(Dinov2Config(**small, image_size=42, patch_size=14)),
        "swin": SwinForImageClassification(
            SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4)
        ),
        "detr": DetrForObjectDetection(
            DetrConfig(
                use_timm_backbone=True, backbone="test_resnet", d_model=16, encoder_layers=1, decoder_layers=1,
                encoder_ffn_dim=16, decoder_ffn_dim=16, encoder_attention_heads=2, decoder_attention_heads=2,
            )
        ),
    }  # fmt: skip
    return {name: save_network(randomize(model), tmp_path_factory.mktemp(name)) for name, model in models.items()}


@pytest.fixture
def vit(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A small ViT that the test may spoil."""
    return shutil.copytree(folders["vit"], tmp_path / "vit")


def load(family: str, folder: Path, tap: str | None = None, size: tuple[int, int] | None = None) -> Target:
    taps = (TapSpec(name=tap or ("encoder.1" if family in ("vit", "dinov2") else "prediction"), stage="any", depth=0),)
    if tap is None and family == "swin":
        taps = (TapSpec(name="stage.1", stage="any", depth=0),)
    spec = TargetSpec(
        id=family,
        title=family,
        family=family,
        source=Source(repo_id="nobody/nothing"),
        input_size=size or SIZES[family],
        taps=taps,
    )
    return load_target(spec, folder, torch.device("cpu"))


def refused(family: str, folder: Path, match: str, error: type[UserError] = UserError) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with nothing_acts(folder), pytest.raises(error, match=match) as caught:
        load(family, folder)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 1000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "KiB"


def change(folder: Path, name: str = "config.json", **values: object) -> None:
    text = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(text | values))


@pytest.mark.parametrize("family", SIZES)
def test_a_network_loads_frozen_and_in_evaluation_mode(folders: dict[str, Path], family: str) -> None:
    with nothing_acts(folders[family]):
        target = load(family, folders[family])
    assert not target.model.training
    assert not any(parameter.requires_grad for parameter in target.model.parameters())
    assert {parameter.dtype for parameter in target.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_pointer_of_git_lfs_is_named(folders: dict[str, Path], tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(folders["vit"], tmp_path / "vit")
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    refused("vit", folder, rf"vit/{name}: is a pointer of Git LFS, .* \(fetch it: git lfs pull; or, from the Hub: hf d")


CONFIGS: dict[str, object] = {
    "model_type": "bert", "hidden_size": "many", "intermediate_size": 2**20, "num_hidden_layers": 2**20,
    "num_attention_heads": 7, "patch_size": 0, "image_size": [32], "layer_norm_eps": "small", "hidden_act": "evil",
    "num_channels": 4, "id2label": [1, 2], "attention_probs_dropout_prob": "x", "qkv_bias": "x",
}  # fmt: skip


@pytest.mark.parametrize("key", CONFIGS)
def test_a_wrong_value_in_the_configuration_is_told_by_its_file(vit: Path, key: str) -> None:
    change(vit, **{key: CONFIGS[key]})
    refused("vit", vit, r"(config\.json|model\.safetensors): ")


@pytest.mark.parametrize("value", [10**12, 2**20, -1, 0, 3.5, None, [], {}, True, "1"])
@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "image_size", "patch_size"])
def test_absurd_sizes_cost_neither_memory_nor_a_traceback(vit: Path, key: str, value: object) -> None:
    change(vit, **{key: value})
    refused("vit", vit, r"(config\.json|model\.safetensors): |no tap")


@pytest.mark.parametrize(
    ("family", "key", "value"),
    [
        ("swin", "depths", [2**20] * 2), ("swin", "depths", [2**6] * 2**6),
        ("swin", "depths", [10**400]), ("swin", "depths", [-1, 1]), ("swin", "window_size", 2**20),
        ("swin", "embed_dim", 2**20), ("swin", "num_heads", [0, 0]), ("dinov2", "mlp_ratio", 2**20),
        ("dinov2", "image_size", 2**20), ("dinov2", "layerscale_value", "x"),
        ("detr", "num_queries", 2**20), ("detr", "d_model", 2**20), ("detr", "decoder_layers", 2**20),
        ("detr", "position_embedding_type", "learned"), ("detr", "backbone_config", {"model_type": "bert"}),
        ("detr", "backbone_config", {"model_type": "timm_backbone", "backbone": "resnet50"}),
        ("detr", "backbone_config", {"model_type": "timm_backbone", "backbone": "no_such_network"}),
        ("detr", "backbone_config", {"model_type": "timm_backbone", "backbone": "hf-hub:someone/something"}),
        ("detr", "backbone_config", {"model_type": "timm_backbone", "backbone": "local-dir:/tmp/x"}),
        ("detr", "backbone_config", {"model_type": "resnet", "hidden_sizes": [2**20] * 4}),
    ],
)  # fmt: skip
def test_absurd_sizes_of_other_families_too(
    folders: dict[str, Path], tmp_path: Path, family: str, key: str, value: object
) -> None:
    folder = shutil.copytree(folders[family], tmp_path / family)
    change(folder, **{key: value})
    refused(family, folder, r"(config\.json|model\.safetensors): ")


@pytest.mark.parametrize(
    "values",
    [
        {"auto_map": {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}},
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
        {"transformers_weights": "evil.bin"},
        {"fusion_config": {"patch_embeddings": True}},
        {"vision": {"nested": [{"checkpoint_path": "evil.bin"}]}},
        {"backbone": "hf-hub:someone/something"},
    ],
)
def test_what_would_act_is_refused(vit: Path, values: dict[str, object]) -> None:
    (vit / "evil.py").write_text("raise SystemExit('ran')")
    change(vit, **values)
    refused("vit", vit, r"config\.json: '\w+' is not", SpecError)


def test_how_to_run_is_not_for_the_file_to_say(vit: Path) -> None:
    images = torch.rand(1, 3, 32, 32)
    expected = load("vit", vit).predict(images).logits
    change(
        vit, dtype="float16", torch_dtype="evil", attn_implementation="someone/kernels", return_dict=False,
        _attn_implementation="someone/kernels", _attn_implementation_internal="someone/kernels",
        output_attentions=True, output_hidden_states=True, name_or_path="someone/else",
    )  # fmt: skip
    with nothing_acts(vit):
        target = load("vit", vit)
    assert torch.equal(target.predict(images).logits, expected)


def test_a_backbone_of_timm_is_never_fetched(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["detr"], tmp_path / "detr")
    config = json.loads((folder / "config.json").read_text())
    del config["backbone_config"]
    config |= {"use_timm_backbone": True, "use_pretrained_backbone": True, "backbone": "test_resnet"}
    (folder / "config.json").write_text(json.dumps(config))
    with nothing_acts(folder):
        target = load("detr", folder)
    images = torch.rand(1, 3, 64, 96)
    assert torch.equal(target.predict(images).logits, load("detr", folders["detr"]).predict(images).logits)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "1", "[" * 100_000, '{"model_type": NaN}', '{"hidden_size": 1' + "0" * 5000 + "}", "\udcff"]
)
@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_malformed_json_is_told_by_its_file(vit: Path, name: str, text: str) -> None:
    (vit / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    refused("vit", vit, rf"/{name}: not (valid JSON|a JSON object)", SpecError)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_absent_files_are_told(vit: Path, name: str) -> None:
    (vit / name).unlink()
    refused("vit", vit, f"{name}: absent", SpecError)
    (vit / name).mkdir()
    refused("vit", vit, f"{name}: absent", SpecError)
    (vit / name).rmdir()
    (vit / name).write_text(" " * (2**24 + 1))
    refused("vit", vit, f"{name}: larger than 16 MiB", SpecError)


@pytest.mark.parametrize(
    "values",
    [
        {"image_mean": [0.5, 0.5]}, {"image_mean": None}, {"image_mean": "half"}, {"image_mean": [0.5, 0.5, "x"]},
        {"image_std": [0.5] * 4}, {"image_std": [0.5, 0.5, 0]}, {"image_std": [0.5, 0.5, -1]},
        {"image_std": [0.5, 0.5, 1e999]}, {"image_std": [True, True, True]}, {"do_normalize": False},
        {"do_rescale": False}, {"rescale_factor": 1.0}, {"rescale_factor": "x"},
    ],
)  # fmt: skip
def test_a_preprocessing_that_would_be_misapplied_is_refused(vit: Path, values: dict[str, object]) -> None:
    path = vit / "preprocessor_config.json"
    settings = json.loads(path.read_text()) | values
    path.write_text(json.dumps(settings).replace("Infinity", "1e999"))
    refused("vit", vit, r"preprocessor_config\.json: ('image_|asks for another)", SpecError)


class Evil:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_pickled_weights_are_never_read(vit: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for name in ("pytorch_model.bin", "adapter_model.bin", "training_args.bin"):
        (vit / name).write_bytes(pickle.dumps(Evil(mark)))
    (vit / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "someone/something"}))
    with nothing_acts(vit):
        load("vit", vit)
    (vit / "model.safetensors").unlink()
    refused("vit", vit, r"no model\.safetensors, nor .*index\.json \(pickled weights are never read\)", SpecError)
    assert not mark.exists()


def spoil(folder: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_partly_random_network_is_refused(vit: Path) -> None:
    whole = (vit / "model.safetensors").read_bytes()
    spoil(vit, lambda weights: weights.pop("classifier.bias"))
    refused("vit", vit, r"model\.safetensors: missing keys: classifier\.bias", IntegrityError)
    (vit / "model.safetensors").write_bytes(whole)
    spoil(vit, lambda weights: weights.update({"classifier.bias": torch.zeros(7)}))
    refused("vit", vit, r"model\.safetensors: mismatched keys: classifier\.bias", IntegrityError)
    (vit / "model.safetensors").write_bytes(whole)
    spoil(vit, lambda weights: weights.update({"text_model.weight": torch.zeros(7)}))
    refused("vit", vit, r"model\.safetensors: unexpected keys: text_model\.weight", IntegrityError)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_weights_that_are_not_finite_are_refused(vit: Path, bad: float, dtype: torch.dtype) -> None:
    spoil(vit, lambda weights: weights.update({"classifier.bias": torch.tensor([0, bad], dtype=dtype)}))
    refused("vit", vit, r"model\.safetensors: tensor 'classifier\.bias' is not finite", IntegrityError)


def test_quantized_weights_are_refused(vit: Path) -> None:
    spoil(vit, lambda weights: weights.update({"classifier.bias": torch.zeros(2, dtype=torch.int8)}))
    refused("vit", vit, r"tensor 'classifier\.bias' has the number type I8", IntegrityError)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_file_of_weights_is_refused(vit: Path, kept: int) -> None:
    whole = (vit / "model.safetensors").read_bytes()
    (vit / "model.safetensors").write_bytes(whole[:kept])
    refused("vit", vit, r"model\.safetensors: not a whole safetensors file", IntegrityError)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_become_float32(vit: Path, dtype: torch.dtype) -> None:
    spoil(vit, lambda weights: weights.update({name: weights[name].to(dtype) for name in weights}))
    stored = load_file(vit / "model.safetensors")
    target = load("vit", vit)
    assert {parameter.dtype for parameter in target.model.parameters()} == {torch.float32}
    assert torch.equal(target.model.classifier.weight, stored["classifier.weight"].float())


def test_a_network_that_does_not_suit_the_target_is_told_at_once(vit: Path) -> None:
    with pytest.raises(SpecError, match=r"config\.json: the network does not take 48x32 images: ValueError: "):
        load("vit", vit, size=(48, 32))
    with pytest.raises(SpecError, match=r"target 'vit' has no tap 'encoder\.2' \(taps: embeddings, encoder\.0, enc"):
        load("vit", vit, tap="encoder.2")
    with pytest.raises(SpecError, match=r"describes a 'vit', not a 'swin'"):
        load("swin", vit)
    with pytest.raises(NotFoundError, match=r"unknown target family 'vitt' \(did you mean 'vit'\?\)"):
        load("vitt", vit, tap="x", size=(32, 32))
    change(vit, "preprocessor_config.json", image_std=[1e-30] * 3)
    change(vit, "preprocessor_config.json", image_mean=[1e38] * 3)
    with pytest.raises(SpecError, match=r"not finite at 'encoder\.1'"):
        load("vit", vit)


def test_the_loaded_network_outlives_its_files(vit: Path) -> None:
    images = torch.rand(1, 3, 32, 32)
    target = load("vit", vit)
    expected = target.predict(images).logits
    path = vit / "model.safetensors"
    path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(target.predict(images).logits, expected)
