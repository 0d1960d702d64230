"""Texts that no reader of declarations takes have a message of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import SpecError
from benchmark.files.declarations import Frozen, read_json, read_toml
from benchmark.files.fields import Count


class Number(Frozen):
    """Holds one number."""

    number: int


class Small(Frozen):
    """Holds one number in a range."""

    number: Count


@pytest.mark.parametrize(("read", "text"), [(read_json, '{"number": 1}'), (read_toml, "number = 1")])
@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_a_byte_order_mark_is_named(tmp_path: Path, read: Callable[..., Any], text: str, coding: str) -> None:
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8")
    assert read(path, Number).number == 1
    path.write_bytes((b"\xfe\xff" if coding == "utf-16-be" else b"") + text.encode(coding))
    with pytest.raises(SpecError, match="begins with a byte order mark"):
        read(path, Number)


@pytest.mark.parametrize("digits", [300, 5000])
def test_a_huge_integer_is_not_written_out(tmp_path: Path, digits: int) -> None:
    path = tmp_path / "file"
    path.write_text(f'{{"number": 1{"0" * digits}}}', encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        read_json(path, Small)
    assert len(str(caught.value)) < 400 + len(str(path))
