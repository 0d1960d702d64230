"""How to cite the benchmark, a suite and a submission, as BibTeX; `CITATION.cff` is the source."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from benchmark.files.paths import citation_file
from benchmark.submissions.submission import Submission
from benchmark.suites.spec import Suite

__all__ = ["BENCHMARK", "ORIGIN", "Work", "cite_benchmark", "cite_submission", "cite_suite", "escape", "render_bib"]


@dataclass(frozen=True)
class Work:
    """What `CITATION.cff` says of a work."""

    title: str
    authors: tuple[str, ...]
    version: str | None = None
    license: str | None = None
    year: str | None = None
    arxiv: str | None = None
    repository: str | None = None


def _read_work(fields: Mapping[str, Any]) -> Work:
    names = (person.get("name") or f"{person.get('given-names', '')} {person['family-names']}".strip()
             for person in fields["authors"])  # fmt: skip
    values = [identifier["value"] for identifier in fields.get("identifiers", ())]
    return Work(
        title=fields["title"],
        authors=tuple(names),
        version=fields.get("version"),
        license=fields.get("license"),
        year=fields.get("year"),
        repository=fields.get("repository-code"),
        arxiv=next((value.removeprefix("arXiv:") for value in values if value.startswith("arXiv:")), None),
    )


def _read_works() -> tuple[Work, Work]:
    # The base loader leaves all text as it stands: a version is no number.
    fields = yaml.load(citation_file().read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    return _read_work(fields), _read_work(fields["references"][0])


BENCHMARK, ORIGIN = _read_works()
"""The benchmark, and the work that it grew from."""

# BibTeX counts every brace, escaped or not, so that only a name can stand for one.
_SPECIALS = {"\\": "{\\textbackslash}", "{": "{\\textbraceleft}", "}": "{\\textbraceright}", "~": "{\\textasciitilde}",
             "^": "{\\textasciicircum}", **{c: f"\\{c}" for c in "&%$#_"}}  # fmt: skip
_SPLITS = re.compile(r",|\band\b|^others$", re.IGNORECASE)


def escape(text: str) -> str:
    """Return a text as one line of a BibTeX value in braces that stays this text, whatever it says."""
    return "".join(_SPECIALS.get(c, c) for c in " ".join(text.split()))


def _people(names: Iterable[str]) -> str:
    """Return names as BibTeX joins them; one that it would take apart is kept whole."""
    return " and ".join(f"{{{escape(name)}}}" if _SPLITS.search(name) else escape(name) for name in names)


def _bib_entry(kind: str, key: str, fields: Mapping[str, str | None]) -> str:
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items() if value)
    return f"@{kind}{{{key},\n{lines}}}\n"


def _name() -> str:
    return f"invbench {BENCHMARK.version}"


def _group() -> str:
    return f"{{{escape(BENCHMARK.authors[0])}}}"


def cite_benchmark() -> str:
    """Return the entries of the benchmark and of the work that it grew from."""
    fields = {
        "title": f"{{{escape(BENCHMARK.title)}}}",
        "author": _group(),
        "note": f"Version {escape(str(BENCHMARK.version))}, {escape(str(BENCHMARK.license))}",
    }
    origin = {
        "title": f"{{{escape(ORIGIN.title)}}}",
        "author": _people(ORIGIN.authors),
        "year": ORIGIN.year,
        "eprint": ORIGIN.arxiv,
        "archiveprefix": "arXiv",
        "journal": f"arXiv:{ORIGIN.arxiv}",
    }
    return _bib_entry("misc", "invbench", fields) + "\n" + _bib_entry("article", "invbench:origin", origin)


def cite_suite(suite: Suite) -> str:
    """Return the entry of a suite: its title, version and digest."""
    fields = {
        "title": f"{{{escape(suite.title)}}}",
        "author": _group(),
        "note": f"Suite {escape(suite.id)} of {escape(_name())}, SHA-256 {suite.digest}",
    }
    return _bib_entry("misc", f"invbench:suite:{suite.name}-{suite.version}", fields)


def cite_submission(submission: Submission) -> str:
    """Return the entry of a submission: its authors, title, and the link to its paper, project or code."""
    links = submission.links
    fields = {
        "title": f"{{{escape(submission.title)}}}",
        "author": _people(submission.authors),
        "note": f"Submission {escape(submission.id)} to invbench",
        # The pattern of a link has no brace or backslash, and BibTeX styles take links as they are.
        "url": links.paper or links.project or links.code,
    }
    return _bib_entry("misc", f"invbench:submission:{submission.id}", fields)


def render_bib(suites: Sequence[Suite]) -> str:
    """Return the text of the site's `citation.bib`."""
    return "\n".join([cite_benchmark(), *map(cite_suite, suites)])
