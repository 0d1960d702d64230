"""Fixtures shared by all tests: the embedded suite, its samples, one torch thread, a cache of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hubserver import HubServer
from selection import pytest_collection_modifyitems as pytest_collection_modifyitems

from benchmark.content.content import Content
from benchmark.datasets.base import Sample
from benchmark.metrics.case import Networks
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import load_lock
from benchmark.suites.spec import Suite

# One thread a process, also in those that tests start: several test processes run side by side.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a shell: the processes that tests interrupt would inherit that they ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

Invbench = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def cpu() -> torch.device:
    """The CPU."""
    return torch.device("cpu")


@pytest.fixture(scope="session")
def mini() -> Suite:
    """The suite mini@1."""
    return load_suite("mini@1")


@pytest.fixture(scope="session")
def content(mini: Suite) -> Content:
    """The networks and images of mini@1."""
    return Content(mini, load_lock(mini))


@pytest.fixture(scope="session")
def samples(content: Content) -> list[Sample]:
    """The frozen images of mini@1."""
    return [content.images.load(index, (96, 96)) for index in range(len(content.images.ids))]


class Labels:
    """Gives four probabilities that depend on the coarse layout of one color channel."""

    def __init__(self, channel: int, *, exclusive_labels: bool) -> None:
        self.channel, self.exclusive_labels = channel, exclusive_labels

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        channel = images[:, self.channel : self.channel + 1]
        logits = 20 * (torch.nn.functional.adaptive_avg_pool2d(channel, 2).flatten(1) - 0.45)
        return logits.softmax(1) if self.exclusive_labels else logits.sigmoid()


class Pooled:
    """Stands in for the network of LPIPS: its features are pooled luma."""

    def features(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [torch.nn.functional.avg_pool2d(images, side) for side in (2, 8)]

    def distance(self, first: list[torch.Tensor], second: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack([(a - b).square().mean((1, 2, 3)) for a, b in zip(first, second, strict=True)]).sum(0)


@pytest.fixture(scope="session")
def networks() -> Networks:
    """Small deterministic networks, one for everything that a metric may ask."""
    return Networks(Labels(1, exclusive_labels=False), Pooled())


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real data; a test that needs something absent there is skipped."""
    return Path(os.environ.get("INVBENCH_TEST_ASSETS", Path(__file__).parents[2] / "shared" / "assets"))


@pytest.fixture
def images(samples: list[Sample]) -> torch.Tensor:
    """The first four frozen images, float32 RGB (4, 3, 96, 96) in [0, 1]."""
    return torch.stack([torch.from_numpy(s.image).permute(2, 0, 1).float() / 255 for s in samples[:4]])


TOKEN = "hf_of_the_owner"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A local server that speaks the Hub's protocol; `TOKEN` may write as user `owner`."""
    with HubServer(tokens={TOKEN: "owner"}) as server:
        yield server


@pytest.fixture
def hub_environment(hub: HubServer, tmp_path: Path) -> dict[str, str]:
    """The variables of a process whose Hub is `hub`, with a cache of its own, logged in."""
    return hub.environment(tmp_path / "hf", token=TOKEN)


@pytest.fixture
def invbench(tmp_path: Path) -> Invbench:
    """Run the installed command in an empty folder with a cache of its own."""

    def run(*arguments: str, timeout: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
        command = Path(sys.executable).parent / "invbench"
        own = {"INVBENCH_CACHE": str(tmp_path / "cache"), "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
        env = os.environ | own | environment
        return subprocess.run(
            [str(command), *arguments], capture_output=True, text=True, cwd=tmp_path, env=env, timeout=timeout
        )

    return run
