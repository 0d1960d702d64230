"""A real network on real photographs: the whole way from a file to a label is the one it was trained for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.suites.spec import Source, TapSpec, TargetSpec
from benchmark.targets import load_target
from benchmark.targets.judge import load_judge

# Names that two classes share, by the class's WordNet id.
SHARED = {
    "n02012849": 134, "n03126707": 517, "n03710637": 638, "n03710721": 639,  # crane, maillot
    "n02113186": 264, "n02963159": 474,  # cardigan
}  # fmt: skip


def label_of(path: Path, names: dict[int, str]) -> int:
    """Return the label of a photograph named `<wnid>_<label>.JPEG`: the class whose first name that is."""
    wnid, name = path.stem.split("_", 1)
    if wnid in SHARED:
        return SHARED[wnid]
    wanted = name.replace("_", " ").casefold()
    (label,) = [label for label, text in names.items() if text.split(",")[0].casefold() == wanted]
    return label


def read(path: Path) -> torch.Tensor:
    """Return a photograph as the suites see it: 224x224, bilinear, antialiased, aspect not kept."""
    with Image.open(path) as file:
        image = file.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


@pytest.mark.slow
def test_a_real_vit_knows_real_photographs(assets: Path, cpu: torch.device) -> None:
    folder, photographs = assets / "hub/vit-tiny-patch16-224", sorted((assets / "imagenet_sample").glob("*.JPEG"))
    if not folder.is_dir() or not photographs:
        pytest.skip(f"no network or photographs below {assets}")
    taps = tuple(TapSpec(name=name, stage="any", depth=0) for name in ("embeddings", "encoder.11"))
    spec = TargetSpec(
        id="vit-tiny", title="ViT-Ti/16", family="vit", source=Source(repo_id="nobody/nothing"),
        input_size=(224, 224), taps=taps,
    )  # fmt: skip
    target, judge = load_target(spec, folder, cpu), load_judge(folder, cpu)
    labels = torch.tensor([label_of(path, target.model.config.id2label) for path in photographs])
    images = torch.stack([read(path) for path in photographs])
    with torch.inference_mode():
        logits = torch.cat([target.predict(batch).logits for batch in images.split(25)])
        last = target.features(images[:2])["encoder.11"]
        head = target.model.classifier(target.model.vit.layernorm(last.tensor)[:, 0])
        torch.testing.assert_close(judge(images[:25]), logits[:25].softmax(1), rtol=1e-3, atol=1e-5)
    assert last.grid == (14, 14)
    assert torch.allclose(head, logits[:2], atol=1e-4)
    right = int((logits.argmax(1) == labels).sum())
    print(f"top-1: {right} of {len(photographs)}")
    assert right >= 0.75 * len(photographs)
