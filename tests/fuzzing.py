"""Chances of what may be wrong with a submission or record, and a folder to try them in."""

from __future__ import annotations

import copy
import inspect
import json
import math
import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from forge import write_submission
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.errors import UserError
from benchmark.submissions.submission import CODE

CPU_SECONDS = 20
GROWTH_MIB = 600
FEW = 1 / 50
planned: list[int] = []


def fuzz(examples: int) -> Callable[[Any], Any]:
    """Run a test with so many chances every night, and with a few of them otherwise; the same in every run."""
    planned.append(examples)

    def decorate(test: Any) -> Any:
        def repeat(share: float, **fixtures: Any) -> None:
            def once(chance: Chance) -> None:
                start = time.process_time()
                test(chance=chance, **fixtures)
                assert time.process_time() - start < CPU_SECONDS

            limits = settings(
                max_examples=math.ceil(examples * share), deadline=None, derandomize=True, database=None,
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            limits(given(chance=st.integers(0, 2**64 - 1).map(Chance))(once))()

        names = [name for name in inspect.signature(test).parameters if name != "chance"]
        repeat.__name__, repeat.__module__ = test.__name__, test.__module__
        repeat.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in ("share", *names)]
        )
        few, many = pytest.param(FEW, id="few"), pytest.param(1, id="many", marks=pytest.mark.nightly)
        return pytest.mark.parametrize("share", [few, many])(repeat)

    return decorate


class Sandbox:
    """A folder with one submission to play with, and things around it that must not change."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "submissions"
        self.own = self.root / "own"
        (folder / "cwd").mkdir()
        write_submission(self.root / "other")
        (folder / "canary").write_text("sings")
        self.before = self.tree()

    def tree(self) -> dict[str, bytes | None]:
        paths = (path for path in self.folder.rglob("*") if not path.is_relative_to(self.own))
        return {str(path): path.read_bytes() if path.is_file() else None for path in paths}

    def fresh(self) -> Path:
        shutil.rmtree(self.own, ignore_errors=True)
        self.own.mkdir()
        return self.own


@contextmanager
def refused() -> Iterator[None]:
    """Let errors for users pass, which are one line each, and no other."""
    said = "nothing"
    try:
        yield
    except UserError as error:
        said = str(error)
    assert 0 < len(said) < 5000


def bomb(folder: Path) -> None:
    """Put code there that leaves traces if anybody runs it."""
    (folder / CODE).write_text(f"open({str(folder.parents[1] / 'executed')!r}, 'w').close()\nraise SystemExit(99)\n")


NASTY = (
    "", " ", "a", "<b>x</b>", "../..", "/etc/passwd", "javascript:x", "https://example.org/", "mini@1", "coco@1", "nul",
    "\u202e", "\u200b", "\x00", "\x1b[31m", "\n", "a" * 3000, "{{ 7 * 7 }}", "modular_per_tap", "ridge", "copy",
    "own", "other",
    "complete", "partial", "a" * 40, "f" * 64, "mini-vit", "encoder.0", "identity", "ssim", "é", "\U0001f600", "|", "`",
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 1e308, 5e-324, 0.5, 1.5, -0.5, -0.0,
    math.nan, math.inf, -math.inf, [], {}, [[]], [{}], "2025-01-01", "\ud800",
)  # fmt: skip
PIECES = (
    'id = "own"', "=", "[", "]", "{", "}", "[[", "]]", '"', "'", '"""', "'''", ".", ",", "#", "\n", "\r\n", "\\u0000",
    "\\", "0x", "1_0", "1e", "inf", "nan", "true", "2025-01-01", "12:00", "weights", "a.b", "a", "\t", "\ufeff",
)  # fmt: skip
NAMES = (
    "README.md",
    "history.toml",
    "setup.py",
    "records/mini@1/record.json",
    "records/mini@1/scores.parquet",
    "records/coco@1/record.json",
    "records/x",
    "a/b/c/d",
    "weights.bin",
    "__init__.py",
    "<b>",
    "a\nb",
    "records/mini@1/superseded/0123456789abcdef/record.json",
    "records/mini@1/receipts/rescored-0123456789ab.json",
)


class Chance(random.Random):
    """Draws what may be wrong with a submission or record."""

    def text(self, most: int = 12) -> str:
        return "".join(
            chr(self.choice((self.randrange(32, 127), self.randrange(0xD800)))) for _ in range(self.randrange(most))
        )

    def value(self, depth: int = 2) -> Any:
        kind = self.randrange(12 if depth else 8)
        if kind < 5:
            return self.choice(NASTY)
        if kind < 8:
            return (self.text(), self.randrange(-5, 200), self.uniform(-2, 2))[kind - 5]
        children = range(self.randrange(4))
        if kind < 10:
            return [self.value(depth - 1) for _ in children]
        return {str(self.value(0)): self.value(depth - 1) for _ in children}

    def alike(self, value: Any) -> Any:
        """Return another value of the same type."""
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            return self.choice((value + 1, value - 1, 0, -1, 10**6))
        if isinstance(value, float):
            return self.choice((value * 1.01, value + 0.1, -value, 0.0, 1.0, 1e300))
        if isinstance(value, str):
            return self.choice([item for item in NASTY if isinstance(item, str)])
        if isinstance(value, list):
            return self.sample(value, self.randrange(len(value) + 1))
        return value if value else 0.5

    def mutated(self, content: Any, least: int = 0) -> Any:
        """Return a tree of dictionaries and lists with things replaced, dropped, renamed, doubled or exchanged."""
        content = copy.deepcopy(content)
        for _ in range(self.randint(least, 3)):
            node = content
            for _ in range(self.randint(0, 7)):
                children = node.values() if isinstance(node, dict) else node
                inner = [child for child in children if isinstance(child, dict | list) and child]
                if not inner:
                    break
                node = self.choice(inner)
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                continue
            key, other, kind = self.choice(keys), self.choice(keys), self.randrange(10)
            if kind < 4:
                node[key] = self.alike(node[key])
            elif kind < 6:
                node[key] = self.value()
            elif kind == 6:
                node.pop(key)
            elif kind == 7:
                node[key], node[other] = node[other], node[key]
            elif isinstance(node, list):
                node.insert(key, copy.deepcopy(node[key]))
            else:
                node[str(self.value(0))[:70]] = node.pop(key) if kind == 8 else copy.deepcopy(node[key])
        return content

    def bytes(self) -> bytes:
        if self.random() < 0.5:
            return self.randbytes(self.randrange(300))
        return "".join(self.choice((self.choice(PIECES), self.text(8))) for _ in range(self.randrange(30))).encode()


def toml(value: Any) -> str:
    """Return a value as TOML, as far as TOML can say it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(k))} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return "null" if value is None else json.dumps(value)


def change_table(table: pa.Table, schema: pa.Schema, chance: Chance) -> pa.Table:
    rows = table.to_pylist()
    for _ in range(chance.randint(1, 3)):
        at, name = chance.randrange(len(rows)), chance.choice(schema.names)
        kind, value = chance.randrange(6), chance.value(0)
        if kind == 0:
            rows.pop(at)
        elif kind == 1:
            rows.insert(at, dict(rows[at - 1]))
        elif kind == 2:
            rows[at - 1][name], rows[at][name] = rows[at][name], rows[at - 1][name]
        elif name == "value":
            rows[at][name] = value if isinstance(value, float) else None
        elif name == "png":
            rows[at][name] = rows[at][name][: chance.randrange(40)] + chance.bytes()
        else:
            rows[at][name] = (
                None if value is None and name == "reason" else str(value).encode(errors="replace").decode()
            )
    return pa.Table.from_pylist(rows, schema=schema)
