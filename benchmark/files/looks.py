"""What texts look like: those that a hasty reader takes for each other, and words that are not what they seem.

After the skeletons of Unicode's technical standard 39, whose table of confusable characters a library holds. It is
loaded when the first text is looked at. Import-light.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

__all__ = ["find_mixed_word", "skeleton"]

_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l"})
_PAIRS = {"vv": "w", "cl": "d"}
"""Pairs of letters that look like one, which the table of Unicode leaves out; it has `rn` for `m`."""
_ONE_WRITING = {"HAN", "HIRAGANA", "KATAKANA", "BOPOMOFO", "HANGUL"}
"""Scripts that East Asian texts mix in one word."""
_NO_SCRIPT = {"COMMON", "INHERITED", "Unknown"}


@cache
def _prototypes() -> dict[str, str]:
    """By character, what all those that look like it become: the longest of them, of these the first by code point.

    The table holds stars: what is alike lists the one in the middle, and that one all others.
    """
    from confusable_homoglyphs.confusables import confusables_data

    others = {text: [other["c"] for other in found] for text, found in confusables_data.items()}
    found: dict[str, str] = {}
    for text, near in others.items():
        middle = near[0] if len(near) == 1 else text
        if middle not in found:
            found[middle] = min({middle, *others.get(middle, near)}, key=lambda one: (-len(_visible(one)), one))
    stars = {text: near[0] if len(near) == 1 else text for text, near in others.items()}
    return {_visible(text): found[middle] for text, middle in stars.items() if len(_visible(text)) == 1}


def _visible(text: str) -> str:
    return "".join(character for character in text if unicodedata.category(character) != "Cf")


def _mapped(text: str) -> str:
    table = _prototypes()
    return "".join(table.get(character, character) for character in text).casefold()


def skeleton(text: str) -> str:
    """What is left of a text when all that a hasty reader overlooks is taken away; texts that look alike share it.

    Case, accents, spaces and marks do not count; nor do differences such as those of `m` and `rn`, `l` and `1`, or a
    Latin and a Cyrillic `o`.
    """
    bare = _without_marks(unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text)))
    mapped = _mapped(_mapped(bare)).translate(_ALIKE)  # capitals look like other letters than small ones
    for pair, letter in _PAIRS.items():
        mapped = mapped.replace(pair, letter)
    return "".join(character for character in mapped if character.isalnum())


def _without_marks(text: str) -> str:
    return "".join(character for character in text if not unicodedata.category(character).startswith("M"))


def find_mixed_word(text: str) -> str | None:
    """The first word of a text that is not of the script that it seems to be of.

    That is one that mixes scripts, with a foreign letter that looks like a Latin one or a digit; and in a text with
    Latin letters one of three letters and more of which all only look Latin. A `Δ` before an `E` is fine, since it
    looks like no Latin letter; so are the scripts that East Asian texts mix.
    """
    if text.isascii():
        return None
    from confusable_homoglyphs.categories import alias, unique_aliases

    latin = "LATIN" in unique_aliases(text)
    for word in re.findall(r"\w+", _without_marks(text)):
        scripts = unique_aliases(word) - _NO_SCRIPT
        foreign = [character for character in word if not character.isascii() and alias(character) != "LATIN"]
        seeming = [one for one in foreign if re.match("[0-9A-Za-z]", _prototypes().get(one, ""))]
        writings = {"East Asian" if script in _ONE_WRITING else script for script in scripts}
        if seeming and (len(writings) > 1 or (latin and len(word) > 2 and len(seeming) == len(word))):
            return str(word)
    return None
