"""What the workflows install: pins that agree with pyproject.toml; the steps without torch run with the light ones."""

from __future__ import annotations

import filecmp
import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from githubserver import HEAD, serve
from packaging.requirements import Requirement
from pullrequests import PLAIN, Forge

ROOT = Path(__file__).parents[1]
PINS = ROOT / ".github" / "constraints"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# What pip says when an index did not answer any of its tries.
NO_ANSWER = re.compile(r"Retry\(total=0,.* connection broken by|Could not fetch URL .*: connection error")


# --- The pins


def pinned(name: str) -> list[Requirement]:
    """The pins of a file, once for each range of Python versions."""
    lines = (PINS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line.removesuffix("\\")) for line in lines if re.match(r"[a-z0-9]", line)]


def wanted(name: str) -> list[Requirement]:
    """What pyproject.toml asks of a file of pins."""
    groups = PROJECT["dependency-groups"]
    lines = PROJECT["project"]["dependencies"] + groups["build"]
    if name == "test":
        lines = lines + PROJECT["project"]["optional-dependencies"]["test"]
    if name == "light":
        lines = [line for line in groups["light"] if isinstance(line, str)] + groups["build"]
    return [Requirement(line) for line in lines]


def test_the_groups_repeat_what_the_project_declares() -> None:
    groups = PROJECT["dependency-groups"]
    assert groups["light"][0] == {"include-group": "build"}
    assert set(groups["light"][1:]) <= set(PROJECT["project"]["dependencies"])
    assert groups["build"] == PROJECT["build-system"]["requires"]
    assert not {"torch", "torchvision", "transformers", "datasets"} & {pin.name for pin in pinned("light")}


@pytest.mark.parametrize("name", ["light", "all", "test"])
def test_every_pin_is_one_release_with_hashes_and_fits(name: str) -> None:
    """T12."""
    pins = pinned(name)
    for wish in wanted(name):
        found = [pin for pin in pins if pin.name == wish.name]
        assert found, f"{wish.name} is not pinned: run .github/scripts/lock"
        for pin in found:
            (release,) = pin.specifier
            assert wish.specifier.contains(release.version), f"{pin} is not {wish}: run .github/scripts/lock"
    text = (PINS / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.findall(r"^[a-z0-9][^\s=]*==\S+.*(?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?)+$", text, re.M)
    assert len(entries) == len(pins)
    # Wheels alone, as a source distribution would fetch build tools without pins; and from the reader's own index.
    options = [line for line in text.splitlines() if re.match(r"-", line)]
    assert options == ["--only-binary :all:"] and "://" not in text


def test_all_files_pin_the_same_releases() -> None:
    """T12."""
    names = ("light", "all", "test")
    light, everything, tests = ({(pin.name, str(pin.specifier)) for pin in pinned(name)} for name in names)
    assert light <= everything <= tests


# --- The steps


def steps(file: str, job: str) -> list[dict[str, str]]:
    """The shell steps of a job."""
    text = (ROOT / ".github" / "workflows" / file).read_text(encoding="utf-8")
    return [step for step in yaml.safe_load(text)["jobs"][job]["steps"] if "run" in step]


# The jobs that install the light pins, and the step of each that runs the tool.
LIGHT = {
    ("submission.yml", "scope"): "Find the submission that changes",
    ("submission-comment.yml", "comment"): "Render the comment",
    ("leaderboard.yml", "build"): "Build the board",
}


@dataclass(frozen=True)
class Light:
    """An environment with what the workflows install for their steps without torch.

    Attributes:
        folder: of its own; holds nothing but the environment, `venv`, and a link to the checkout, `base`.
        review: what `invbench ci review` wrote of the submission `mean`, in the environment of the tests.
    """

    folder: Path
    review: Path

    def run(self, *command: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command with this environment's programs first, and no other environment's packages."""
        own = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
        own |= {"PATH": f"{self.folder / 'venv' / 'bin'}:{os.environ['PATH']}"} | variables
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd or self.folder, env=own, timeout=300)

    def bash(self, text: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the text of a step as a runner does."""
        return self.run("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text, cwd=cwd, **variables)

    def step(self, file: str, job: str, cwd: Path, **variables: str) -> None:
        """Run the step of a job that uses the tool; it must succeed."""
        (text,) = [step["run"] for step in steps(file, job) if step.get("name") == LIGHT[file, job]]
        done = self.bash(text, cwd, **variables)
        assert done.returncode == 0, done.stderr


def install(light: Light, done: subprocess.CompletedProcess[str]) -> None:
    """Fail if an installation did; where no package registry answers, skip, but not where changes are judged."""
    if done.returncode == 0:
        return
    said = (done.stdout + done.stderr).strip()
    if NO_ANSWER.search(said) and not os.environ.get("CI"):
        pytest.skip(f"no package registry answers: {said[-300:]}")
    pytest.fail(said[-3000:])


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Light:
    """Install by the lines of the workflows themselves, one after the other into one environment."""
    light = Light(tmp_path_factory.mktemp("light"), tmp_path_factory.mktemp("review") / "review.json")
    (light.folder / "base").symlink_to(ROOT)
    subprocess.run([sys.executable, "-m", "venv", str(light.folder / "venv")], check=True)
    command = ["-m", "cli", "ci", "review", "submissions/mean", "--base", "submissions", "--author", "", "--out"]
    review = subprocess.Popen(
        [sys.executable, *command, str(light.review)], cwd=ROOT
    )  # takes a minute, so it runs meanwhile
    try:
        install(light, light.run("pip", "install", "--upgrade", "pip"))
        for file, job in LIGHT:
            lines = [step["run"] for step in steps(file, job) if "pip install" in step["run"]]
            assert len(lines) == 1 and "constraints/light.txt" in lines[0]
            install(light, light.bash(lines[0], light.folder if "base/" in lines[0] else ROOT))
        assert review.wait(300) == 0
    finally:
        review.kill()
        review.wait()
    return light


@pytest.mark.nightly
def test_the_group_asks_for_no_more_than_the_pins_and_brings_no_torch(light: Light) -> None:
    done = light.run("pip", "install", "--no-index", "--group", f"{ROOT / 'pyproject.toml'}:light")
    assert done.returncode == 0, done.stderr
    done = light.run("python", "-c", "import benchmark, torch")
    assert done.returncode == 1 and "No module named 'torch'" in done.stderr
    listed = json.loads(light.run("pip", "list", "--format=json").stdout)
    names = {re.sub(r"[-_.]+", "-", package["name"]).lower() for package in listed}
    assert names - {"pip", "setuptools", "invbench"} <= {pin.name for pin in pinned("light")}


@pytest.mark.nightly
def test_the_submission_that_changes_is_found(light: Light, tmp_path: Path) -> None:
    forge = Forge(tmp_path)
    (tmp_path / "base").symlink_to(ROOT)
    head, output = forge.pull((PLAIN, "submissions/mine/submission.toml", b"id = 'mine'\n")), tmp_path / "output"
    where = {"GITHUB_SERVER_URL": f"file://{tmp_path}", "GITHUB_REPOSITORY": "origin", "GITHUB_OUTPUT": str(output)}
    light.step("submission.yml", "scope", tmp_path, BASE=forge.base, HEAD=head, **where)
    assert output.read_text() == "id=mine\n"


@pytest.mark.nightly
def test_the_comment_is_rendered_from_a_review(light: Light, tmp_path: Path) -> None:
    (tmp_path / "review").mkdir()
    (tmp_path / "review" / "review.json").write_bytes(light.review.read_bytes())
    (tmp_path / "changed").write_text("submissions/mean/submission.toml\0")
    light.step("submission-comment.yml", "comment", tmp_path, RUNNER_TEMP=str(tmp_path), HEAD_SHA="a" * 40)
    text = (tmp_path / "comment.md").read_text(encoding="utf-8")
    assert (
        text.startswith("<!-- invbench review -->\n")
        and "mini@1" in text
        and "| **`mean`** |" in " ".join(text.split())
    )


@pytest.mark.nightly
def test_the_comment_is_posted(light: Light, tmp_path: Path) -> None:
    (tmp_path / "number").write_text("17\n")
    (tmp_path / "text").write_text("<!-- invbench review -->\n")
    command = ["invbench", "ci", "post", "number", "text", "--repository", "o/r", "--head", HEAD]
    with serve() as pulls:
        done = light.run(*command, cwd=tmp_path, GITHUB_API_URL=pulls.url, NO_PROXY="127.0.0.1")
    assert done.returncode == 0 and len(pulls.written) == 1, done.stderr


@pytest.mark.nightly
def test_the_board_is_built(light: Light, tmp_path: Path) -> None:
    light.step("leaderboard.yml", "build", tmp_path, RUNNER_TEMP=str(tmp_path))
    assert (tmp_path / "board" / "index.html").is_file()
    text = (tmp_path / "board" / "board.json").read_text(encoding="utf-8")
    assert all(f'"{path.name}"' in text for path in (ROOT / "submissions").iterdir() if path.is_dir())


@pytest.mark.nightly
def test_a_committed_submission_is_valid(light: Light) -> None:
    done = light.run("invbench", "validate", str(ROOT / "submissions" / "modular_per_tap"))
    assert (done.returncode, done.stdout) == (0, "modular_per_tap: valid\n"), done.stderr


@pytest.mark.nightly
def test_the_schemas_are_those_in_the_docs(light: Light, tmp_path: Path) -> None:
    done = light.run("invbench", "docs", "schemas", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in (ROOT / "docs" / "schemas").iterdir())
    assert filecmp.cmpfiles(tmp_path, ROOT / "docs" / "schemas", names, shallow=False)[0] == names
