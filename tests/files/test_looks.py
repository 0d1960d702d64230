"""Texts that look alike have one skeleton, others have not; words of one script are left alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.files.looks import find_mixed_word, skeleton
from benchmark.files.paths import PACKAGE

ALIKE = [
    ("modular", "rnodular"), ("modular", "mоdular"), ("modular", "ｍodular"), ("modular", "МОDULAR"),
    ("modular", "mödular"), ("modular", "𝐦odular"), ("copy", "сору"), ("ridge", "r1dge"), ("ridge", "rldge"),
    ("Ridge (linear)", "ridge, linear"), ("net0", "netO"), ("w-net", "vv_net"), ("decl", "ded"),
    ("A. Author", "A  Author"), ("Ivanov", "lvanov"), ("pa|l", "pall"), ("x\u00a0y", "x y"), ("a1", "a١"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), ALIKE, ids=ascii)
def test_texts_that_look_alike_have_one_skeleton(first: str, second: str) -> None:
    assert skeleton(first) == skeleton(second)


def test_other_texts_have_others() -> None:
    words = ["modular", "modular_joint", "modular_per_tap", "ridge", "bridge", "knn", "mean", "copy", "end_to_end",
             "逆伝播", "逆传播", "Иванов", "Петров", "β-VAE", "γ-VAE", "vit", "swin"]  # fmt: skip
    assert len({skeleton(word) for word in words}) == len(words)


@given(st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_a_skeleton_has_no_case_and_no_spaces(text: str) -> None:
    found = skeleton(text)
    assert skeleton(f" {text} ") == found
    assert found == "" or all(character.isalnum() for character in found)


@pytest.mark.parametrize(
    "text", ["a mоdular net", "ридge", "Ιnverse", "version١", "αx", "x + Ѕwin", "a сору of it"], ids=ascii
)
def test_words_with_letters_that_look_like_others_are_found(text: str) -> None:
    assert find_mixed_word(text) in text.split()
    assert find_mixed_word(text.replace("о", "о\u0301")) in text.split(), "a mark divides no word"


@pytest.mark.parametrize(
    "text",
    ["ΔE of recons", "5 µm", "β-VAE", "日本ニ語カメラ study", "T恤 CNNベース", "Latin café", "Пётр Иванов",
     "한국어 漢字", "α-VAE", "сору", "δ-Net λ2", "Jalapeño, Ångström", "Việt Nguyễn", "x² ≤ 1 %"],
    ids=ascii,
)  # fmt: skip
def test_words_of_one_script_are_left_alone(text: str) -> None:
    assert find_mixed_word(text) is None


def test_the_table_is_loaded_when_it_is_needed() -> None:
    code = "import sys, benchmark.files.fields; sys.exit('confusable_homoglyphs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent).returncode == 0
