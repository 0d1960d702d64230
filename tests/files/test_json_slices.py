"""Large JSON files in slices: the same values as Python's reader at every block size, and faults by their place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.files import json_slices
from benchmark.files.json_slices import iter_slices

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def gather(path: Path, items: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in iter_slices(path, items):
        if isinstance(part.value, list):
            assert len(part.value) <= items and part.start == len(found.get(part.key, []))
            found[part.key] = found.get(part.key, []) + part.value
        else:
            found[part.key] = part.value
    return found


@given(st.dictionaries(st.text(), VALUES), st.integers(1, 40), st.integers(1, 3), st.sampled_from([None, 1]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_slices_are_what_is_written_wherever_blocks_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: dict[str, Any], block: int, items: int, indent: int | None
) -> None:
    monkeypatch.setattr(json_slices, "BLOCK", block)
    path = tmp_path / "a.json"
    text = json.dumps(content, indent=indent, ensure_ascii=block % 2 == 0)
    path.write_text(text + "\n" * (block % 3), encoding="utf-8" if block % 5 else "utf-8-sig")
    assert gather(path, items) == content


@pytest.mark.parametrize("block", [1, 3, 1 << 22])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no { at character 0"),
        ("[1]", "no { at character 0"),
        ('{"a": [1, 2', "no , or ] at character 11"),
        ('{"a": [1, 2]', "no , or } at character 12"),
        ('{"a": [1, 2,]}', "at character 12"),
        ('{"a": 1,}', "at character 8"),
        ('{"a" 1}', "no : at character 5"),
        ('{"a": [{"b": 1}, {"b": }]}', "Expecting value at character 23"),
        ('{"a": 1} {', "more than one value at character 9"),
        ('{"a": 1, "a": 2}', "'a' is not a key, or stands twice"),
        ("{5: 1}", "5 is not a key"),
        ('{"a": [NaN]}', "NaN is not a number of JSON"),
        ('{"a": [-Infinity]}', "-Infinity is not a number of JSON"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
    ],
)  # fmt: skip
def test_faults_are_named_by_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, text: str, message: str
) -> None:
    monkeypatch.setattr(json_slices, "BLOCK", block)
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message.replace("{", r"\{").replace("]", r"\]")):
        list(iter_slices(path))


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": [1]}', encoding="utf-16")
    with pytest.raises(ValueError, match="utf-8"):
        list(iter_slices(path))
