"""The trial table: answers of known effect on the images of a file."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from benchmark.datasets.base import Sample
from benchmark.diagnostics.batteries_trial import TRIAL, read_images, score_trial
from benchmark.errors import SpecError
from benchmark.suites.spec import Suite

if TYPE_CHECKING:
    import subprocess


def write(path: Path, samples: list[Sample]) -> Path:
    def png(pixels: object) -> dict[str, bytes]:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        return {"bytes": buffer.getvalue()}

    rows = [{"id": s.id, "image": png(s.image), "focal_mask": png(s.focal_mask.astype("uint8") * 255)} for s in samples]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_images_are_read_whatever_else_the_file_holds(samples: list[Sample], tmp_path: Path) -> None:
    path = write(tmp_path / "images.parquet", samples[:3])
    read = read_images(path, 2)
    assert [sample.id for sample in read] == [sample.id for sample in samples[:2]]
    for found, sample in zip(read, samples, strict=False):
        assert (found.image == sample.image).all()
        assert (found.focal_mask == sample.focal_mask).all()
    with pytest.raises(SpecError, match="holds 3 images; 4 are needed"):
        read_images(path, 4)
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": [1]}), other)
    with pytest.raises(SpecError, match="is not a Parquet file of images and focal masks"):
        read_images(other)
    other.write_bytes(b"no")
    with pytest.raises(SpecError, match="is not a Parquet file of images and focal masks"):
        read_images(other)


@pytest.mark.nightly
def test_the_trial_on_eight_images(mini: Suite, samples: list[Sample], cpu: torch.device) -> None:
    scored = score_trial(mini, samples[:8], cpu)
    assert scored.names[: len(TRIAL)] == tuple(TRIAL)
    assert scored.names[-1] == "another image"
    for metric in mini.ranked_metrics:
        means = scored.means(metric)
        assert means["copy"][0] == pytest.approx(1, abs=1e-6)
        assert means["own mean color"][0] == pytest.approx(0, abs=1e-6)
        assert means["thumbnail 8"][0] < means["thumbnail 24"][0] < means["thumbnail 48"][0] < 1
        assert means["blur sigma 1"][0] > means["blur sigma 4"][0]
        assert abs(means["another image"][0]) < 0.15
    assert scored.means("color_transfer")["half chroma"][0] == pytest.approx(0.836, abs=0.05)
    assert scored.means("frc")["half chroma"][0] == pytest.approx(1, abs=0.01)


@pytest.mark.nightly
def test_the_command(
    samples: list[Sample], tmp_path: Path, invbench: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    path = write(tmp_path / "images.parquet", samples[:64])
    done = invbench("bench", "batteries", "--trial", str(path), "--json", "--threads", "1", timeout=900)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert rows["copy"]["frc"] == pytest.approx([1, 0], abs=1e-6)
    assert rows["blur sigma 2"]["frc"][0] == pytest.approx(0.734, abs=0.05)
