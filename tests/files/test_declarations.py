"""Declarations that would take much time or memory to read, or that readers take differently, are told in one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import SpecError
from benchmark.files.declarations import Frozen, read_json, read_toml, refuse_twin_keys
from benchmark.files.fields import Count
from benchmark.files.paths import PACKAGE

TEXTS: dict[str, tuple[str, str]] = {
    "lists in lists": ("a = " + "[" * 100_000, "is nested too deeply"),
    "tables in tables": ("a = " + "{a = " * 100_000, "is nested too deeply"),
    "a key of very many parts": ("a." * 400_000 + "a = 1", "a key has too many parts"),
    "a table of very many parts": ("[" + "a . " * 200_000 + "a]", "a key has too many parts"),
    "quoted parts": ('"a".' * 200_000 + "a = 1", "a key has too many parts"),
    "an array of very many parts": ("[[" + "'a'." * 200_000 + "a]]", "a key has too many parts"),
    "very many keys": ("\n".join(f"a{number}=1" for number in range(100_000)), "field 'id'"),
    "very many items": (f"authors = [{'1,' * 140_000}]", "field 'id'"),
    "more items than allowed": (f"authors = [{'1,' * 400_000}]", "more than the 150,000 items"),
    "more lines than allowed": ("\n" * 900_000, "more than the 150,000 items"),
    "a long word": ("a" * 999_999, "not valid TOML"),
    "long words": (("a" * 50 + " ") * 19_000, "not valid TOML"),
    "many quotes": ('"' * 999_999, "not valid TOML"),
    "many spaces": ("a" + " " * 999_000, "not valid TOML"),
    "a long decimal number": (f"id = {'9' * 900_000}", "holds a number of more than 4,300 digits"),
    "a long hexadecimal number": (f"id = 0x{'f' * 900_000}", "a number of more than 77 digits"),
    "a long fraction": (f"id = {'1' * 900_000}.5", "not inf"),
    "a key twice": ('id = "a"\nid = "b"', "not valid TOML"),
    "no text": ("id = '\udcff'", "is not UTF-8: byte 7 is no text"),
    "a byte order mark": ("\ufeffid = 'a'", "begins with a byte order mark"),
    "a null byte": ("id = 'a\0b'", "not valid TOML"),
    "a day that is none": ("id = 2025-99-99", "not valid TOML"),
    "half a surrogate": ('id = "\\ud800"', "not valid TOML"),
    "nothing": ("", "field 'id': Field required"),
}

RECORDS: dict[str, tuple[str, str]] = {
    "objects in objects": ('{"a":' * 5_000_000, "is nested too deeply"),
    "arrays in arrays": ('{"cells":' + "[" * 20_000_000, "is nested too deeply"),
    "cells without end": (f'{{"cells": [{"0," * 10_000_000}0]}}', "more than the 150,000 items"),
    "many cells": (f'{{"cells": [{"0," * 140_000}0]}}', "field 'suite': Field required"),
    "many unknown fields": (f"{{{','.join(f'{chr(34)}a{n}{chr(34)}:1' for n in range(140_000))}}}", "field 'suite'"),
    "a field twice": ('{"suite": "a@1", "suite": "b@1"}', "field 'suite_digest': Field required"),
    "a long number": (f'{{"images": {"9" * 30_000_000}}}', "holds a number of more than 4,300 digits"),
    "a long text": (f'{{"suite": "{"a" * 31_000_000}"}}', "field 'suite'"),
    "not a number": ('{"images": NaN}', "field 'suite'"),
    "a byte order mark before a record": ('\ufeff{"suite": "mini@1"}', "begins with a byte order mark"),
    "larger than allowed": (" " * 33_000_000, "larger than the 32,000,000 bytes"),
}

PROBE = """
import resource, sys, time
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
from benchmark.errors import UserError
from benchmark.records.record import load_record
from benchmark.submissions.validate import validate
for name in sorted(Path(sys.argv[1]).iterdir()):
    start = time.process_time()
    if (name / "record.json").exists():
        try:
            load_record(name)
            found = []
        except UserError as error:
            found = [error.message]
    else:
        found = [item.message for item in validate(name) if item.severity == "error"]
    peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
    print(name.name, f"{time.process_time() - start:.2f}", f"{peak:.0f}", *found, sep="\\t", flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells its peak memory through /proc")
def test_texts_cannot_take_much_time_or_memory(tmp_path: Path) -> None:
    for file, texts in (("submission.toml", TEXTS), ("record.json", RECORDS)):
        for name, (text, _) in texts.items():
            folder = tmp_path / name.replace(" ", "-")
            folder.mkdir()
            (folder / file).write_bytes(text.encode(errors="surrogateescape"))
    command = [sys.executable, "-c", PROBE, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=500, cwd=PACKAGE.parent)
    assert found.returncode == 0, found.stderr
    lines = {line.split("\t")[0]: line.split("\t")[1:] for line in found.stdout.splitlines()}
    assert len(lines) == len(TEXTS | RECORDS)
    for name, (_, message) in (TEXTS | RECORDS).items():
        seconds, peak, *said = lines[name.replace(" ", "-")]
        assert len(said) == 1, (name, said)
        assert message in said[0], (name, said)
        assert float(seconds) < 20, (name, seconds)  # of a processor, whatever else the machine does
        assert float(peak) < 900, (name, peak)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '{"b": [{"a": {"c": 1, "a": 2, "c": 3}}]}'])
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(SpecError, match=r"record.json: key '[ac]' stands twice"):
        refuse_twin_keys(path)
    path.write_text('{"a": {"a": [{"a": 1}, {"a": 1}]}}')
    refuse_twin_keys(path)


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
