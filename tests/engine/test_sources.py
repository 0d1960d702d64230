"""Suites of one's own over other sources of images: a dataset on the Hub, and ImageNet in class folders."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hubserver import HubServer

from benchmark.files.paths import SUITES
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import load_lock

Invbench = Callable[..., "object"]
PREPARED = {"resize": "pillow-bilinear"}


def suite_text(name: str, dataset: str, **lists: str) -> str:
    """Return the text of mini@1 with another name and dataset, and mini-vit as its only target."""
    text = (SUITES / "mini-1.toml").read_text()
    text = text.replace('name = "mini"', f'name = "{name}"').replace(
        "schema_version = 1", "schema_version = 1\ndraft = true"
    )
    text = re.sub(r"\[dataset\].*?(?=\n# A small conv)", f"[dataset]\n{dataset}\n", text, flags=re.DOTALL)
    targets = re.findall(r"\[\[targets\]\].*?(?=\n\[\[targets\]\]|\Z)", text, flags=re.DOTALL)
    text = text.partition("[[targets]]")[0] + next(item for item in targets if 'id = "mini-vit"' in item)
    text = re.sub(r"audit_images = \[.*?\]", "audit_images = 1", text)
    for field, value in lists.items():
        text = re.sub(rf"^{field} = \[.*?\]$", f"{field} = {value}", text, flags=re.DOTALL | re.MULTILINE)
    return text


def succeed(done: object) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.nightly
def test_a_frozen_copy_on_the_hub_scores_like_the_suite_itself(
    invbench: Invbench, hub: HubServer, hub_environment: dict[str, str], tmp_path: Path
) -> None:
    succeed(invbench("suite", "export", "mini@1", "--out", "frozen.parquet"))
    assert pq.read_table(tmp_path / "frozen.parquet").num_rows == 128
    commit = hub.add_repo("somebody/scenes", {"data/test.parquet": tmp_path / "frozen.parquet"}, "dataset")
    dataset = (
        f'source = "hub"\nrepo_id = "somebody/scenes"\nrevision = "{commit}"\nfiles = ["data/test.parquet"]\n'
        'images = 128\nresize = "pillow-bilinear"\ndescription = "the scenes of mini@1"'
    )
    (tmp_path / "copy.toml").write_text(suite_text("frozen-copy", dataset))
    drafted = succeed(invbench("suite", "lock", "copy.toml", "--draft", **hub_environment))
    assert "not pinned: file somebody/scenes/data/test.parquet" in drafted
    ridge = ("eval", "--submission", "ridge", "--target", "mini-vit", "--limit", "8", "--json")
    mine = json.loads(succeed(invbench(*ridge, "--suite", "copy.toml", "--out", "mine", **hub_environment)))
    official = json.loads(succeed(invbench(*ridge, "--out", "official")))
    assert (mine["draft"], official["draft"]) == (True, False)
    assert {a: score["value"] for a, score in mine["overall"].items()} == {
        a: score["value"] for a, score in official["overall"].items()
    }
    by_cell, mine_by_cell = (
        {
            (cell["tap"], cell["perturbation"], cell["metric"]): cell["value"]
            for cell in record["cells"]
            # What colors are usual is known of the embedded images alone.
            if cell["metric"] != "prototype_pull"
        }
        for record in (official, mine)
    )
    assert mine_by_cell == by_cell
    page = (tmp_path / "mine/board/index.html").read_text()
    assert "frozen-copy" in page


@pytest.mark.nightly
def test_photographs_without_masks_are_changed_and_scored_as_whole_frames(
    invbench: Invbench, assets: Path, tmp_path: Path
) -> None:
    source = assets / "imagenet_sample"
    if not source.is_dir():
        pytest.skip(f"no photographs in {source}; set INVBENCH_TEST_ASSETS")
    photographs = sorted(source.glob("*.JPEG"))
    for path in photographs:
        folder = tmp_path / "val" / path.name.partition("_")[0]
        folder.mkdir(parents=True)
        shutil.copy(path, folder / path.name)
    dataset = (
        f'source = "imagenet"\nsalt = "test:"\npool = {len(photographs)}\nimages = 16\n'
        'resize = "pillow-bilinear"\ndescription = "one of each class"'
    )
    text = suite_text("frames", dataset, report=json.dumps(load_suite("imagenet@1").report), shape='["edge_f"]')
    (tmp_path / "frames.toml").write_text(text)
    here = ("--data-dir", "val")
    succeed(invbench("suite", "lock", "frames.toml", *here))
    lock = load_lock(load_suite(str(tmp_path / "frames.toml")))
    assert (lock.gaps, len(lock.images), len(lock.perturbed)) == ((), 16, 7)
    assert len(set(lock.perturbed.values())) == 7
    succeed(invbench("suite", "check", "frames.toml", *here))
    record = json.loads(
        succeed(invbench("eval", "--suite", "frames.toml", *here, "--submission", "copy", "--limit", "8", "--json"))
    )
    assert record["overall"]["shape"]["parts"] == {"edge_f": 1}
    scored = {cell["metric"]: cell["scored"] for cell in record["cells"] if cell["perturbation"] == "hue_set_120"}
    assert scored["color_retention"] > 0
    next((tmp_path / "val").glob("*/*.JPEG")).unlink()
    done = invbench("suite", "check", "frames.toml", *here)
    assert done.returncode == 2
    assert "holds 99 photographs" in done.stderr
