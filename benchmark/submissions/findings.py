"""What the checks of a submission find, one after the other. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmark.errors import UserError

__all__ = ["Finding", "Findings", "Severity"]

Severity = Literal["error", "confirm", "note"]
"""An error keeps a submission out, a maintainer has to confirm a change before it is merged, a note does neither."""


@dataclass(frozen=True)
class Finding:
    """One thing found; `exit_code` as errors have it."""

    severity: Severity
    message: str
    where: str
    cure: str | None = None
    exit_code: int = 0

    def __str__(self) -> str:
        return str(UserError(self.message, where=self.where, cure=self.cure))


@dataclass
class Findings:
    """Findings as they are gathered."""

    items: list[Finding] = field(default_factory=list)

    def note(self, message: str, where: Path, cure: str | None = None) -> None:
        """Add a note."""
        self.items.append(Finding("note", message, str(where), cure))

    def confirm(self, message: str, where: Path) -> None:
        """Add what a maintainer has to confirm."""
        self.items.append(Finding("confirm", message, str(where), "a maintainer confirms it"))

    @contextmanager
    def collect(self, where: Path) -> Iterator[None]:
        """Turn an error inside the context into a finding."""
        try:
            yield
        except UserError as error:
            self.items.append(Finding("error", error.message, error.where or str(where), error.cure, error.exit_code))

    @property
    def failed(self) -> bool:
        """Whether there is an error."""
        return any(item.severity == "error" for item in self.items)
