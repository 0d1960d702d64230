"""A suite over sample photographs whose networks a local Hub serves, and `invbench suite lock` run and killed on it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubserver import HubServer
from networks import SMALL, Case, build, publish

__all__ = ["FIRST", "SECOND", "Place", "open_place"]

FIRST, SECOND = "somebody/vit", "somebody/detr"
HEAD = """
schema_version = 1
name = "small"
version = 1
title = "two small networks"
summary = "photographs"
perturbations = ["identity", "hue_set_0"]
report = ["psnr", "lpips_alex"]
audit_images = 1
layer_images = 8
bootstrap_resamples = 100
bootstrap_seed = 1

[axes]
detail = ["frc"]
shape = ["contour_f"]
color = ["color_transfer"]

[dataset]
source = "coco"
split = "val2017"
images = 24
salt = "small:"
share = [0.05, 0.6]
resize = "pillow-bilinear"
description = "photographs"
"""


@dataclass(frozen=True)
class Place:
    """A folder with a suite, whose first network is named without a commit, and the Hub of its networks.

    Attributes:
        hf: the cache of the Hub's client.
        cache: that of invbench.
    """

    folder: Path
    data: Path
    hub: HubServer
    suite: Path

    @property
    def hf(self) -> Path:
        return self.folder / "hf"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def lock(self) -> Path:
        return self.folder / "small-1.lock.json"

    def start(self, *arguments: object, limit: int | None = None, **more: str) -> subprocess.Popen[str]:
        """Start the installed `invbench suite`; `limit` is how many bytes a file that it writes can have."""
        command = [str(Path(sys.executable).parent / "invbench"), "suite", *map(str, arguments)]
        environment = os.environ | self.hub.environment(self.hf) | {"INVBENCH_CACHE": str(self.cache)} | more
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=environment,
            preexec_fn=None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )

    def run(self, *arguments: object, **more: Any) -> tuple[int, str, str]:
        """Exit code, output and messages of a command on the photographs."""
        process = self.start(*arguments, self.suite, "--data-dir", self.data, **more)
        out, messages = process.communicate(timeout=3600)
        return process.returncode, out, messages

    def kill_once(self, moment: Callable[[], bool], *, timeout_s: float = 600) -> str:
        """Kill `suite lock` as soon as something holds; its messages so far."""
        process = self.start("lock", self.suite, "--data-dir", self.data)
        until = time.monotonic() + timeout_s
        while not moment() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        assert process.poll() is None, process.communicate()
        process.kill()
        return process.communicate()[1]

    def chunks(self) -> list[Path]:
        """The tiles of yardsticks that are kept in the cache."""
        return list(self.cache.glob("runs/*/0*.npz"))

    def tiles(self) -> int:
        """How many these are."""
        return len(self.chunks())


def target_text(case: Case, source: str, number: int) -> str:
    taps = list(case.shapes)[:2]
    lines = ", ".join(f'{{ name = "{tap}", stage = "any", depth = {n} }}' for n, tap in enumerate(taps))
    return (
        f'\n[[targets]]\nid = "{case.family}"\ntitle = "some"\nfamily = "{case.family}"\nsource = {{ {source} }}\n'
        f"input_size = {list(case.size)}\ntaps = [{lines}]\n"
    )


@contextmanager
def open_place(folder: Path, data: Path) -> Iterator[Place]:
    """Serve two small networks with random weights and write a suite of both."""
    vit, detr = (next(case for case in SMALL if case.family == family) for family in ("vit", "detr"))
    with HubServer() as hub:
        commits = {}
        for repo_id, case in ((FIRST, vit), (SECOND, detr)):
            network = publish(case, build(case), folder / "networks" / case.family)
            commits[repo_id] = hub.add_repo(repo_id, {path.name: path for path in sorted(network.iterdir())})
        suite = folder / "small.toml"
        text = target_text(vit, f'repo_id = "{FIRST}"', 0)
        text += target_text(detr, f'repo_id = "{SECOND}", revision = "{commits[SECOND]}"', 1)
        suite.write_text(HEAD + text, encoding="utf-8")
        yield Place(folder, data, hub, suite)
