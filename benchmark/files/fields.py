"""Types of the fields of declarations: names, hashes, addresses, and text that is what it looks like. Import-light."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

__all__ = ["Id", "Line", "Paragraph", "RepoId", "Revision", "Sha256", "Size", "SubmissionId", "SuiteId"]

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RepoId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$", max_length=96)]
Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Size = tuple[Annotated[int, Field(gt=0, le=4096)], Annotated[int, Field(gt=0, le=4096)]]

_RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{digit}" for name in ("com", "lpt") for digit in range(10))}


def _check_id(value: str) -> str:
    if value.split(".")[0] in _RESERVED:
        raise ValueError("is the name of a device on some systems")
    return value


def _check_text(value: str) -> str:
    """Refuse what shows up as something else than it is: control, formatting and private characters."""
    for character in value:
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
            raise ValueError(f"holds the invisible character U+{ord(character):04X}")
    if value != value.strip():
        raise ValueError("begins or ends with a space")
    return value


SubmissionId = Annotated[
    str, Field(pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$", max_length=64), AfterValidator(_check_id)
]  # fmt: skip
Line = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_check_text)]
Paragraph = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_check_text)]
SuiteId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}@[1-9][0-9]{0,5}$")]
