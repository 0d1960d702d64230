"""`invbench eval` with another arithmetic than that of official scores, and of other images than all."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

Invbench = Callable[..., "subprocess.CompletedProcess[str]"]
FEW = ("--target", "mini-swin", "--limit", "8", "--threads", "1")


@pytest.mark.nightly
def test_what_was_made_to_explore_is_marked_and_never_verified(invbench: Invbench) -> None:
    done = invbench("eval", "--submission", "ridge", "--precision", "bf16", "--micro-batch", "4", *FEW, "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["precision"], record["run"]["micro_batch"]) == ("bfloat16", {"mini-swin": 4})
    refused = invbench("verify", "invbench-results/ridge", "--threads", "1")
    assert refused.returncode == 2
    assert refused.stderr.endswith(
        "invbench-results/ridge/records/mini@1: was made to explore, in another arithmetic than official scores "
        "(evaluate without --precision and --compile)\n"
    )


@pytest.mark.nightly
def test_a_record_of_few_images_and_the_audit_images_is_verified(invbench: Invbench) -> None:
    where = ("--target", "mini-swin", "--threads", "1", "--json")
    done = invbench("eval", "--submission", "mean", "--limit", "1", "--with-audit", *where)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 5
    done = invbench("verify", "invbench-results/mean", "--threads", "1", "--json")
    assert done.returncode == 0, done.stderr
    receipt = json.loads(done.stdout)
    assert (receipt["agrees"], receipt["images"]) == (True, 5)
    assert all(found["unmatched"] == 0 for found in receipt["differences"].values())


def test_audit_images_are_asked_for_beside_a_limit(invbench: Invbench) -> None:
    done = invbench("eval", "--submission", "mean", "--with-audit")
    assert done.returncode == 2
    assert "--with-audit goes with --limit" in done.stderr


@pytest.mark.parametrize("option", [("--precision", "bf16"), ("--compile",), ("--micro-batch", "4")])
def test_every_record_is_evaluated_in_the_official_arithmetic(invbench: Invbench, option: tuple[str, ...]) -> None:
    done = invbench("eval", "--all", "--overwrite", *option)
    assert done.returncode == 2
    assert f"--all goes without {option[0]}" in done.stderr
