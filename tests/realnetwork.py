"""A real network from a Hub to the board, on real photographs: `python tests/realnetwork.py docs/real-network.md`.

Writes the page, and beside it its figures as JSON. The network and the photographs are those of the test assets.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubserver import HubServer

from benchmark.files.canonical import sha256_file

__all__ = ["METHODS", "REPO", "SUITE", "TARGET", "Walk", "find_assets", "go", "open_walk", "write_page"]

HERE = Path(__file__).parent
REPO, SUITE, TARGET = "somebody/vit-tiny-patch16-224", "vit-tiny-dev", "vit-tiny"
METHODS = ("mean", "ridge", "modular", "end_to_end")
"""What the page is about; the first two are fitted in closed form, the others as `tests/recipes/` says."""

SOURCES = {"coco": "coco_val2017_sample/val2017", "imagenet": "imagenet_sample"}
NEEDED = ("hub/vit-tiny-patch16-224", "coco_val2017_sample", "lpips/alexnet_features.safetensors", "imagenet_sample")


def find_assets() -> Path:
    """The folder of the test assets, as the tests find it; raises FileNotFoundError, which names what it lacks."""
    folder = Path(os.environ.get("INVBENCH_TEST_ASSETS", HERE.parents[1] / "shared" / "assets"))
    for name in NEEDED:
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder / name} is absent; set INVBENCH_TEST_ASSETS")
    return folder


@dataclass(frozen=True)
class Walk:
    """A folder in which a suite over photographs is locked, trained for and evaluated.

    Attributes:
        suite: the suite's file; its lock lies beside it.
        data: the COCO photographs with their annotations, of which the suite evaluates some.
        photographs: folder of all photographs, those that the suite evaluates included; trainings leave these out.
        hub: serves the network.
    """

    folder: Path
    suite: Path
    data: Path
    photographs: Path
    hub: HubServer
    environment: dict[str, str]

    def run(self, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        """Run the installed `invbench` in the folder, with more variables in its environment."""
        command = [str(Path(sys.executable).parent / "invbench"), *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, env=self.environment | more, timeout=7200
        )

    def do(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a command that has to succeed."""
        done = self.run(*arguments)
        assert done.returncode == 0, (arguments, done.stderr)
        return done

    @property
    def weights(self) -> Path:
        """The network in Hub layout."""
        return self.data.parent / NEEDED[0]

    @property
    def here(self) -> tuple[object, ...]:
        """The options that name the suite and its photographs."""
        return ("--suite", self.suite, "--data-dir", self.data)

    def lock(self) -> None:
        """Install the perceptual network, and lock and check the suite."""
        self.do("data", "lpips", self.data.parent / "lpips/alexnet_features.safetensors")
        for verb in ("lock", "check"):
            self.do("suite", verb, self.suite, "--data-dir", self.data)

    def evaluated(self) -> list[Path]:
        """The photographs that the suite evaluates, by its lock."""
        lock = json.loads((self.folder / f"{SUITE}-1.lock.json").read_text(encoding="utf-8"))
        return [self.data / f"val2017/{name.partition('@')[0]}.jpg" for name in lock["images"]]

    def split(self, method: str) -> dict[str, int]:
        """Number of photographs of each kind; those that are evaluated are known by the SHA-256 of their files."""
        hashes = {name: [sha256_file(path) for path in sorted((self.photographs / name).iterdir())] for name in SOURCES}
        evaluated = {sha256_file(path) for path in self.evaluated()}
        everything = [found for each in hashes.values() for found in each]
        left_out = sum(found in evaluated for found in everything)
        config = json.loads((self.folder / method / "config.json").read_text(encoding="utf-8"))
        samples = config["training"]
        training = samples.get("photographs", samples["samples"])
        return {name: len(found) for name, found in hashes.items()} | {
            "evaluated": len(evaluated),
            "left_out": left_out,
            "held_out": len(everything) - left_out - training,
            "training": training,
        }

    def train(self, method: str, *options: object) -> str:
        """Train an inverse on all photographs that the suite does not evaluate; the messages of the command."""
        recipe = HERE / f"recipes/{method}-{TARGET}.toml"
        if recipe.exists():
            options = ("--recipe", recipe, *options)
        return self.do(
            "train", "inverse", method, "--target", TARGET, "--out", method, "--train-data", self.photographs,
            "--workers", 0, "--threads", 1, *self.here, *options,
        ).stderr  # fmt: skip

    def evaluate(self, method: str, *options: object) -> None:
        """Evaluate a trained inverse; the site is written, too."""
        self.do("eval", "--inverse", method, *self.here, *options)

    def record_folder(self, method: str) -> Path:
        """The folder of a record."""
        return self.folder / f"invbench-results/{method}/records/{SUITE}@1"

    def record(self, method: str) -> dict[str, Any]:
        """The content of a `record.json`."""
        return json.loads((self.record_folder(method) / "record.json").read_text(encoding="utf-8"))


@contextmanager
def open_walk(
    folder: Path, assets: Path, change: Callable[[str], str] = str, most: int | None = None
) -> Iterator[Walk]:
    """Serve the network from a Hub of its own and write the suite, its text changed by `change`.

    Args:
        most: how many photographs of each source lie in `photographs`; None: all.
    """
    weights = assets / NEEDED[0]
    with HubServer() as hub:
        commit = hub.add_repo(REPO, {path.name: path for path in sorted(weights.iterdir())})
        environment = os.environ | hub.environment(folder / "hf") | {"INVBENCH_CACHE": str(folder / "cache")}
        suite, photographs = folder / f"{SUITE}.toml", folder / "photographs"
        template = (HERE / f"suites/{SUITE}.toml").read_text(encoding="utf-8")
        suite.write_text(change(template.replace("REVISION", commit)), encoding="utf-8")
        for name, source in SOURCES.items():
            (photographs / name).mkdir(parents=True, exist_ok=True)
            for path in sorted((assets / source).iterdir())[:most]:
                if not (photographs / name / path.name).exists():
                    (photographs / name / path.name).symlink_to(path.resolve())
        yield Walk(folder, suite, assets / "coco_val2017_sample", photographs, hub, environment)


def go(walk: Walk) -> None:
    """Lock, train and evaluate every method; what was interrupted resumes."""
    walk.lock()
    for method in METHODS:
        walk.train(method)
    for method in METHODS:
        walk.evaluate(method, "--threads", 1)


def write_page(walk: Walk, page: Path) -> None:
    """Write the page, and its figures beside it, from the records of a walk."""
    from realnetworkpage import collect_figures, render_page

    figures = collect_figures(walk, METHODS)
    text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
    page.with_suffix(".json").write_text(text, encoding="utf-8")
    page.write_text(render_page(figures), encoding="utf-8")


if __name__ == "__main__":
    place = Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else Path(tempfile.mkdtemp(prefix="real-network-"))
    print(f"everything lies in {place}; with it as second argument the same command resumes", file=sys.stderr)
    place.mkdir(exist_ok=True)
    with open_walk(place, find_assets()) as opened:
        go(opened)
        write_page(opened, Path(sys.argv[1]))
