"""Every step of the recipes in CONTRIBUTING.md is carried out, in a copy of the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from benchmark.inverses.base import load_inverse
from benchmark.inverses.code import load_code
from benchmark.submissions.submission import load_submission_folder
from benchmark.targets.taps import Features

ROOT = Path(__file__).parents[1]
COPIED = (
    "CITATION.cff", "benchmark", "cli.py", "docs", "invbench", "leaderboard", "pyproject.toml", "submissions", "tests",
)  # fmt: skip
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
IN_FULL = (ROOT / "docs" / "submitting.md").read_text(encoding="utf-8")
PLACE = re.compile(r"`([^`]+)`, (new|below|above|from)(?: `([^`]+)`)?:")
# The command as installed, but of the copy; evaluations only look at eight images of one target.
COMMAND = """#!/bin/sh
case "$*" in
  eval*--target*) set -- "$@" --limit 8 ;;
  eval*) set -- "$@" --limit 8 --target mini-swin ;;
esac
exec {python} -m invbench "$@"
"""

Run = Callable[[str], str]


@dataclass(frozen=True)
class Block:
    """A code block of a recipe; `place` is the line that says where it goes, for all but shell blocks."""

    language: str
    text: str
    place: str


def blocks(heading: str, page: str = PAGE) -> list[Block]:
    """Return the blocks below a heading, up to the next one of any level."""
    section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", outside(page), re.M | re.S)
    assert section, heading
    lines = page[section.start(1) : section.end(1)].split("\n")
    found, start = [], None
    for number, line in enumerate(lines):
        if line.startswith("```") and start is None:
            start = number
        elif line == "```" and start is not None:
            before = [text for text in lines[:start] if text]
            text = "\n".join(lines[start + 1 : number]) + "\n"
            found.append(Block(lines[start].removeprefix("```"), text, before[-1] if before else ""))
            start = None
    return found


def outside(text: str) -> str:
    """Return a page with the content of its code blocks blanked, so that comments are not taken for headings."""
    return re.sub(r"^```.*?^```$", lambda block: re.sub(r"[^\n]", " ", block[0]), text, flags=re.M | re.S)


def put(root: Path, block: Block) -> None:
    """Write a block where the line before it says."""
    match = PLACE.fullmatch(block.place)
    assert match, f"nothing says where this goes: {block.text[:80]}"
    name, verb, anchor = match.groups()
    path = root / name
    if verb == "new":
        assert not path.exists() and path.parent.is_dir(), name
        path.write_text(block.text, encoding="utf-8")
        return
    assert not path.is_symlink()
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    (place,) = [number for number, line in enumerate(lines) if line.strip() == anchor]
    if verb == "from":
        del lines[place:]
    lines.insert(place + (verb == "below"), block.text)
    path.write_text("".join(lines), encoding="utf-8")


def follow(heading: str, root: Path, run: Run, page: str = PAGE) -> str:
    """Carry out the blocks of a recipe; return what its commands printed."""
    printed = ""
    for block in blocks(heading, page):
        if block.language == "sh":
            printed += run(block.text)
        elif block.language != "text":
            put(root, block)
    return printed


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout; large assets are links, which no recipe writes to."""

    def copy(source: str, destination: str) -> None:
        path = Path(source)
        if path.suffix in {".safetensors", ".parquet"} and "assets" in path.parts:
            Path(destination).symlink_to(path)
        else:
            shutil.copy(source, destination)

    root = tmp_path / "checkout"
    root.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, copy_function=copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, root / name)
    return root


@pytest.fixture
def run(checkout: Path, tmp_path: Path) -> Run:
    """Run a shell block in the copy, as a reader would."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "invbench"
    command.write_text(COMMAND.format(python=sys.executable))
    command.chmod(0o755)
    path = os.pathsep.join([str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PATH": path, "PYTHONPATH": str(checkout), "HF_HUB_OFFLINE": "1"}
    own |= {"INVBENCH_CACHE": str(tmp_path / "cache"), "HF_HOME": str(tmp_path / "hf")}

    def execute(text: str) -> str:
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", text],
            capture_output=True, text=True, cwd=checkout, env=os.environ | own, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return execute


@pytest.mark.nightly
def test_a_method_of_the_package_is_submitted(checkout: Path, run: Run) -> None:
    printed = follow("Submit a method", checkout, run)
    folder = checkout / "submissions" / "my-ridge"
    assert printed.count("my-ridge: valid") == 2
    assert (folder / "records" / "mini@1" / "record.json").is_file()
    assert "git push -u origin submit/my-ridge" in printed
    assert "submissions/my-ridge/records/mini@1/audit.parquet" in printed
    assert "submissions/my-ridge/weights/mini-swin/model.safetensors" in printed


@pytest.mark.nightly
def test_an_architecture_of_ones_own_is_submitted(checkout: Path, run: Run) -> None:
    printed = follow("With an architecture of your own", checkout, run)
    assert printed.count("my-net: valid") == 2
    assert "my-net (partial)" in printed
    assert "submissions/my-net/inverse.py" in printed


@pytest.mark.slow
def test_an_architecture_with_weights_is_trained_and_evaluated(checkout: Path, run: Run, cpu: torch.device) -> None:
    folder = checkout / "submissions" / "my-net"
    folder.mkdir()
    shorter = IN_FULL.replace("steps = 300", "steps = 6").replace("batch_size = 8", "batch_size = 2")
    follow("An architecture of your own", checkout, run, shorter)
    submission = load_submission_folder(folder)
    load_code(folder / "inverse.py", trained=True)
    for target in ("mini-detr", "mini-vit", "mini-swin"):
        inverse = load_inverse(submission.weights[target].directory(folder), cpu)
        assert inverse.config.training["steps"] == 6
        features = {tap: Features(torch.rand(2, *shape)) for tap, shape in inverse.config.taps.items()}
        assert {recon.shape for recon in inverse.invert(features).values()} == {(2, 3, 96, 96)}
    assert "my-net (partial)" in run("invbench eval --submission submissions/my-net --trust-code")


@pytest.mark.slow
def test_an_inverse_that_needs_gradients_is_evaluated(checkout: Path, run: Run) -> None:
    (checkout / "submissions" / "my-descent").mkdir()
    follow("Gradients", checkout, run, IN_FULL.replace("STEPS = 100", "STEPS = 1"))
    assert "my-descent (partial)" in run("invbench eval --submission submissions/my-descent --trust-code")


@pytest.mark.slow
def test_a_metric_is_added(checkout: Path, run: Run) -> None:
    printed = follow("Add a metric", checkout, run)
    assert "### `mae`: Mean absolute error" in (checkout / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert re.search(r"[2-9] passed", printed) and "failed" not in printed
    suite = checkout / "benchmark" / "suites" / "mini-1.toml"
    (checkout / "own.toml").write_text(suite.read_text(encoding="utf-8").replace('"psnr", ', '"psnr", "mae", '))
    assert re.search(r"^mae +\(report\) +lower", run("invbench list metrics --suite own.toml"), re.M)


@pytest.mark.nightly
def test_a_target_is_added(checkout: Path, run: Run) -> None:
    printed = follow("Add a target", checkout, run)
    assert "1 passed" in printed
    assert re.search(r"^deit-tiny +encoder\.11 +encoder +1$", printed, re.M)


@pytest.mark.nightly
def test_a_suite_is_added(checkout: Path, run: Run) -> None:
    printed = follow("Add a suite", checkout, run)
    (digest,) = re.findall(r"^digest +([0-9a-f]{64})$", printed, re.M)
    assert f'RELEASED["tiny@1"] = "{digest}"' in PAGE
    assert re.search(r"lock +whole", printed)
    assert " passed" in printed and " failed" not in printed


def test_every_block_is_carried_out_or_says_where_it_goes() -> None:
    headings = re.findall(r"^#+ (.+)$", outside(PAGE), re.M)
    own = [block for heading in headings[1:] for block in blocks(heading)]
    tested = set(re.findall(r'follow\("(.+?)", checkout, run\)', Path(__file__).read_text(encoding="utf-8")))
    assert tested == {heading for heading in headings[1:] if blocks(heading)}
    assert len(own) + len(blocks(headings[0])) == PAGE.count("\n```") / 2
    for block in own:
        assert block.language in {"sh", "text"} or PLACE.fullmatch(block.place), block.place


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "README.md", "docs/submitting.md", "docs/design.md"])
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\((?!https:)(.+?)\)", outside((ROOT / name).read_text(encoding="utf-8"))):
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
            assert anchor in [re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in headings], target
