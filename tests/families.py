"""Whether the taps of a target are the states of the network that was saved, exactly."""

from __future__ import annotations

from typing import Any

import torch
from networks import Case
from torch import Tensor

from benchmark.suites.spec import Source, TapSpec, TargetSpec
from benchmark.targets.base import Target

__all__ = ["check", "spec_of"]


def spec_of(case: Case) -> TargetSpec:
    taps = tuple(TapSpec(name=name, stage="any", depth=0) for name in case.shapes)
    return TargetSpec(
        id=case.family,
        title=case.family,
        family=case.family,
        source=Source(repo_id="nobody/nothing"),
        input_size=case.size,
        taps=taps,
    )


def states(case: Case, model: Any, images: Tensor) -> tuple[list[Tensor], Tensor | None]:
    """Return the hidden states of the network that was saved, and what its last layer norm makes of the last."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in case.normalization)
    x = (images - mean) / std
    if case.family == "clip":
        tower = model.vision_model
        out = tower(x, output_hidden_states=True)
        return list(out.hidden_states), None
    if case.family == "mae":
        model.config.mask_ratio = model.vit.config.mask_ratio = 0.0
        noise = torch.linspace(0, 1, case.shapes["embeddings"][0] - 1).expand(len(x), -1)
        out = model.vit(x, noise=noise, output_hidden_states=True)
        return list(out.hidden_states), out.last_hidden_state
    if case.family.startswith("timm_"):
        return timm_states(case, model, x)
    body = {"siglip": "vision_model", "dinov2": "", "dinov2_registers": ""}.get(case.family, case.family)
    body = getattr(model, body) if body else model
    out = body(x, output_hidden_states=True)
    return list(out.hidden_states), out.last_hidden_state


def timm_states(case: Case, model: Any, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """What timm's own `forward_intermediates` gives, and its normed last state."""
    if case.family == "timm_swin":
        final, found = model.forward_intermediates(x)
        found = [state.permute(0, 2, 3, 1) for state in found]
        merged = [stage.downsample(state) for stage, state in zip(model.layers[1:], found, strict=False)]
        states = [model.patch_embed(x), *merged, found[-1]]
        return [state.flatten(1, 2) for state in states], final.flatten(1, 2)
    final, found = model.forward_intermediates(x, output_fmt="NLC", return_prefix_tokens=True)
    embedded = model.norm_pre(model._pos_embed(model.patch_embed(x)))
    return [embedded, *(torch.cat((prefix, patches), 1) for patches, prefix in found)], final


def last_norm(target: Target) -> torch.nn.Module:
    prefix = {"timm_vit": "timm_model.", "timm_swin": "timm_model."}.get(target.spec.id, "")
    names = (
        "layernorm",
        f"{target.spec.id}.layernorm",
        "post_layernorm",
        "vision_model.post_layernorm",
        f"{prefix}norm",
    )
    return next(m for name, m in target.model.named_modules() if name in names)


def check_detr(case: Case, model: Any, found: dict[str, Tensor], images: Tensor) -> None:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in case.normalization)
    # The target has this convolution see its channels last, which changes last bits.
    hook = model.model.input_projection.register_forward_pre_hook(
        lambda _, inputs: (inputs[0].contiguous(memory_format=torch.channels_last),)
    )
    out = model((images - mean) / std, output_hidden_states=True)
    hook.remove()
    encoder, decoder = out.encoder_hidden_states, out.decoder_hidden_states
    depth = len(encoder) - 1
    assert torch.equal(found["backbone"].flatten(2).transpose(1, 2), encoder[0])
    for i in range(depth):
        assert torch.equal(found[f"encoder.{i}"], encoder[i + 1])
        if i < depth - 1:
            assert torch.equal(found[f"decoder.{i}"], model.model.decoder.layernorm(decoder[i + 1]))
            assert not torch.allclose(found[f"decoder.{i}"], decoder[i + 1], atol=0.05)
    assert torch.equal(found[f"decoder.{depth - 1}"], out.last_hidden_state)
    assert torch.equal(found["prediction"], torch.cat([out.logits, out.pred_boxes], -1))


def check(case: Case, model: Any, target: Target, count: int) -> None:
    images = torch.rand(count, 3, *case.size)
    with torch.inference_mode():
        features = target.features(images)
        found = {name: item.tensor for name, item in features.items()}
        assert {name: tuple(t.shape[1:]) for name, t in found.items()} == case.shapes
        assert all(t.dtype == torch.float32 for t in found.values())
        assert features[next(iter(case.shapes))].grid == case.grid
        if case.family == "detr":
            check_detr(case, model, found, images)
            return
        hidden, normed = states(case, model, images)
        assert len(hidden) == len(found)
        if case.family == "resnet":
            assert all(torch.equal(own, state) for own, state in zip(found.values(), hidden, strict=True))
            return
        *early, last = found
        for i, name in enumerate(early):
            assert torch.equal(found[name], hidden[i]), name
        if normed is None:
            assert torch.equal(found[last], hidden[-1])
        else:
            assert torch.equal(last_norm(target)(found[last]), normed)
            assert not torch.allclose(found[last], normed, atol=0.05)
