"""The workflows as data, and their shell steps as a runner executes them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))


def workflow(name: str) -> dict[Any, Any]:
    return yaml.safe_load((GITHUB / "workflows" / name).read_text(encoding="utf-8"))


def jobs() -> list[tuple[str, str, dict[str, Any]]]:
    return [(path.name, name, job) for path in WORKFLOWS for name, job in workflow(path.name)["jobs"].items()]


def steps() -> list[tuple[str, str, dict[str, Any]]]:
    return [(file, name, step) for file, name, job in jobs() for step in job["steps"]]


def text_of(file: str, job: str, name: str) -> str:
    """The shell text of a step, by its name."""
    (found,) = [step["run"] for f, j, step in steps() if (f, j) == (file, job) and step.get("name") == name]
    return found


def bash(text: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the text of a step as a runner does: bash -eo pipefail on a file."""
    script = folder / "step.sh"
    script.write_text(text, encoding="utf-8")
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        capture_output=True, text=True, cwd=folder, env=os.environ | environment, timeout=300,
    )  # fmt: skip
