"""A small suite of all three targets, its lock, and records as claims want them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claiming import enter_claim, evidence_of, lock_for, small_suite

from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Suite
from leaderboard.data.claims.reading import Evidence

Give = Callable[..., Evidence]


@pytest.fixture(scope="session")
def few() -> Suite:
    """mini@1 with 48 images."""
    return small_suite(load_suite("mini@1"))


@pytest.fixture(scope="session")
def pins(few: Suite) -> Lock:
    """Its lock: 24 groups of two images."""
    return lock_for(few)


@pytest.fixture
def give(few: Suite, pins: Lock, tmp_path: Path) -> Give:
    """Return a function from submissions (name: options of `enter_claim`) to the evidence of their records."""

    def _give(**submissions: dict[str, Any]) -> Evidence:
        for name, options in submissions.items():
            enter_claim(few, pins, tmp_path / "submissions", name, **options)
        return evidence_of(few, pins, tmp_path / "submissions")

    return _give
