"""No cell begins with a formula, whatever a spreadsheet takes for the end of a cell."""

from __future__ import annotations

import csv
import io
import re

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmark.files.spreadsheets import FORMULA, GUARDED, guarded


@given(st.text(alphabet="=+-@;,|\t\r\n\"' a1＝", max_size=12))
@example('x";=cmd()')
@example("A. Author; =1+1")
@example(" \t=1")
@settings(max_examples=300, deadline=None)
def test_no_reader_finds_a_formula(text: str) -> None:
    line = f'"{guarded(text).replace(chr(34), chr(34) * 2)}"'
    for delimiter in ";\t|,":
        for quote in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
            for row in csv.reader(io.StringIO(line, newline=""), delimiter=delimiter, quoting=quote):
                cells = row if delimiter != "," or quote == csv.QUOTE_MINIMAL else []
                assert not any(re.match(r"[\s\"]*[=+\-@＝＋－＠]", cell) for cell in cells), (cells, delimiter)
    assert pc.replace_substring_regex(pa.array([text]), FORMULA, GUARDED).to_pylist() == [guarded(text)]


@pytest.mark.parametrize("text", ["", "plain", "a-b = c", "A. Author; B. Author", "mail@example.org", "x; 1", "1-2"])
def test_other_texts_are_left_alone(text: str) -> None:
    assert guarded(text) == text
