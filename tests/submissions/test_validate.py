"""What is wrong with a submission is told by file, field, value and cure, whatever its folder holds."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forge import edit_toml, errors, only_error, write_submission

from benchmark.errors import SpecError
from benchmark.inverses.spec import METHODS
from benchmark.submissions.review import ReviewFinding, find_scope
from benchmark.submissions.submission import CODE
from benchmark.submissions.validate import validate

ID = "my-method"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_submission(tmp_path / "submissions" / ID)


def test_a_plain_submission_is_valid_with_notes(folder: Path) -> None:
    assert errors(folder) == []
    assert {item.message for item in validate(folder)} >= {"no record on mini@1 yet"}


REVISION = "a" * 40


def weights(**fields: str) -> str:
    return json.dumps({"mini-vit": fields}).replace(":", " =").replace('"mini-vit"', "mini-vit")


def link(url: str) -> dict[str, str]:
    return {"links": f"{{ paper = {json.dumps(url)} }}"}


BAD_LINKS = [
    "http://example.org/", "javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "data:text/html,x",
    "vbscript:x", "//example.org/x", "https://user:password@example.org/", "https://user@example.org/",
    'https://example.org/"onmouseover="alert(1)', "https://example.org/'x", "https://example.org/a b",
    "https://example.org/\n", "https://example.org/\tx", "https://example.org/<script>", "https://example.org/`x`",
    "https://exämple.org/", "https://example.org/\u202e", "https://localhost/", "https://example.org:443/", "https://",
    "https://[::1]/", "https://example..org/", "https://-a.org/", "https://example.org\\@evil.org/", "ftp://example.org/",
    "mailto:a@example.org", f"https://example.org/{'a' * 300}",
]  # fmt: skip
INVISIBLE = ["\u202e", "\u2066", "\u200b", "\ufeff", "\u00ad", "\x07", "\x1b", "\x7f", "\u2028", "\ue000", "\U000e0041",
             "\u2800", "\u3164", "\ufe0f"]  # fmt: skip
IDS = [
    "", ".", "..", "../other", "a/b", "a\\b", "/etc", "A", "My-Method", "-a", "a-", "a.", ".a", "a..b", "a--b", "a b",
    "con", "nul", "com1", "lpt9.x", "aux.method", "mеthod", "vіt", "ｖit", "a\u0000b", "a\nb", "a\n", "a%2fb", "a:b",
    "a*", "~a", "a" * 65, "é", "<b>", "a'", "0x\u0661",
]  # fmt: skip

# Fields as TOML, the field that must be named, and words of the message.
MISTAKES: dict[str, tuple[dict[str, str], str, str]] = {
    "a misspelled field": ({"titel": '"A title"'}, "titel", "did you mean 'title'?"),
    "a misspelled link": ({"links": '{ papr = "https://example.org" }'}, "links.papr", "did you mean 'paper'?"),
    "a misspelled weight": ({"weights": weights(repo="a/b", revision=REVISION)}, "weights.mini-vit", "repo"),
    "an unknown field": ({"xyzzy": "1"}, "xyzzy", "known: id, method"),
    "no contact": ({"contact": ""}, "contact", "Field required"),
    "no authors": ({"authors": "[]"}, "authors", "at least 1"),
    "too many authors": ({"authors": json.dumps(["A"] * 101)}, "authors", "at most 100"),
    "an author of another type": ({"authors": "[1]"}, "authors.0", "valid string, not 1"),
    "a title on two lines": ({"title": '"a\\nb"'}, "title", "invisible character U+000A"),
    "an empty title": ({"title": '""'}, "title", "at least 1 character"),
    "a title with spaces around": ({"title": '" a "'}, "title", "begins or ends with a space"),
    "a long title": ({"title": json.dumps("a" * 121)}, "title", "at most 120"),
    "a long description": ({"description": json.dumps("a" * 2001)}, "description", "at most 2000"),
    "a long text on the data": ({"trained_on": json.dumps("a" * 2001)}, "trained_on", "at most 2000"),
    "an unknown suite": ({"suites": '["mini@2"]'}, "suites", "did you mean 'mini@1'?"),
    "a suite that is a path": ({"suites": '["../mini@1"]'}, "suites.0", "pattern"),
    "a suite file": ({"suites": '["mini-1.toml"]'}, "suites.0", "pattern"),
    "no suites": ({"suites": "[]"}, "suites", "at least 1"),
    "an unknown method": ({"method": '"rigde"'}, "method", f"known: {', '.join(METHODS)}; or add inverse.py"),
    "a method that is the board's": ({"method": '"copy"', "weights": ""}, "method", "is the ceiling of the board"),
    "an unknown target": ({"weights": weights(path="x").replace("mini-vit", "mini-vti")}, "weights.mini-vti", "known:"),
    "a folder of the package that is no inverse": (
        {"weights": weights(path="suites")}, "weights.mini-vit.path", "no such inverse in the package"),
    "weights of no target": ({"weights": ""}, "weights", "none for a target of mini@1"),
    "an unknown license": ({"license": '"MIT-ish"'}, "license", "no SPDX license expression, not 'MIT-ish'"),
    "a license with markup": ({"license": '"<b>MIT</b>"'}, "license", "no SPDX"),
    "a short revision": ({"weights": weights(repo_id="a/b", revision="abc1234")}, "weights.mini-vit.revision", "40"),
    "a branch as revision": ({"weights": weights(repo_id="a/b", revision="main")}, "weights.mini-vit.revision", "40"),
    "no revision": ({"weights": weights(repo_id="a/b")}, "weights.mini-vit", "needs 'revision'"),
    "neither repository nor path": ({"weights": weights(revision=REVISION)}, "weights.mini-vit", "give either"),
    "both repository and path": (
        {"weights": weights(repo_id="a/b", revision=REVISION, path="x")}, "weights.mini-vit", "give either"),
    "a repository that is a URL": (
        {"weights": weights(repo_id="https://a/b", revision=REVISION)}, "weights.mini-vit.repo_id", "pattern"),
    "a repository beyond its folder": (
        {"weights": weights(repo_id="../b", revision=REVISION)}, "weights.mini-vit.repo_id", "pattern"),
    "a path out of the package": ({"weights": weights(path="../../etc")}, "weights.mini-vit", "must not leave"),
    "a path out of the folder": ({"weights": weights(path="./../x")}, "weights.mini-vit", "must not leave"),
    "an absolute path": ({"weights": weights(path="/etc")}, "weights.mini-vit", "must not leave"),
    "a path of Windows": ({"weights": weights(path="..\\\\x")}, "weights.mini-vit", "must not leave"),
    "weights elsewhere in the folder": (
        {"weights": weights(path="./weights")}, "weights.mini-vit.path", "is './weights', not './weights/mini-vit'"),
    "no accounts": ({"accounts": "[]"}, "accounts", "at least 1"),
    "an account that is a name": ({"accounts": '["A. Author"]'}, "accounts.0", "pattern"),
    "an account that ends with a hyphen": ({"accounts": '["a-"]'}, "accounts.0", "pattern"),
    "a long account": ({"accounts": json.dumps(["a" * 40])}, "accounts.0", "at most 39"),
    "an account twice": ({"accounts": '["a-b", "A-B"]'}, "accounts", "names 'a-b' twice"),
    "a suite twice": ({"suites": '["mini@1", "mini@1"]'}, "suites", "names 'mini@1' twice"),
    "a word of two scripts": ({"title": '"A m\\u043edular net"'}, "title", "mixes scripts in a word"),
    "an author of two scripts": ({"authors": '["\\u0410. Auth\\u043er"]'}, "authors.0", "mixes scripts in a word"),
    "marks on every letter": ({"title": json.dumps("a\u0301\u0302\u0303" * 9)}, "title", "combining marks"),
    "weights that are not in the package": ({"weights": weights(path="assets/x")}, "weights.mini-vit.path", "no such"),
    "code that is not there": ({"trust_code": "true"}, "trust_code", "is true, but inverse.py is not there"),
    "a truth value in words": ({"trust_code": '"maybe"'}, "trust_code", "not 'maybe'"),
    "a number for a text": ({"title": "12"}, "title", "valid string, not 12"),
    "a hexadecimal number without end": ({"title": f"0x{'f' * 5000}"}, "title", "a number of more than 77 digits"),
    "an infinite number": ({"title": "inf"}, "title", "valid string, not inf"),
    **{f"link {url!r:.60}": (link(url), "links.paper", "such as 'https://arxiv.org") for url in BAD_LINKS},
    **{f"contact {url!r:.60}": ({"contact": json.dumps(url)}, "contact", "") for url in BAD_LINKS},
    "a contact with markup": ({"contact": '"<a@example.org>"'}, "contact", "pattern"),
    **{
        f"U+{ord(c):04X} in {name}": (
            {name: json.dumps(text)} if ord(c) < 0x10000 else {name: f'"a{c}b"'},
            field, "" if name == "contact" else f"U+{ord(c):04X}",
        )
        for c in INVISIBLE
        for name, text, field in (("title", f"a{c}b", "title"), ("description", f"a{c}b", "description"),
                                  ("authors", [f"a{c}b"], "authors.0"), ("trained_on", f"a{c}b", "trained_on"))
        if not (ord(c) > 0xFFFF and name == "authors")
    },
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_told_by_file_field_value_and_cure(tmp_path: Path, mistake: str) -> None:
    fields, field, words = MISTAKES[mistake]
    folder = write_submission(tmp_path / ID, **fields)
    finding = only_error(folder)
    assert finding.where == str(folder / "submission.toml")
    assert f"field '{field}" in finding.message
    assert words in f"{finding.message} ({finding.cure})"
    assert finding.exit_code == 2
    assert str(finding).isprintable()
    assert len(str(finding)) < 1000


@pytest.mark.parametrize("value", IDS)
def test_an_id_cannot_be_a_path_or_look_like_something_else(folder: Path, value: str) -> None:
    edit_toml(folder, json.dumps(ID), json.dumps(value))
    finding = only_error(folder)
    assert "field 'id'" in finding.message
    assert str(finding).isprintable()
    if "/" not in value:
        with pytest.raises(SpecError):
            find_scope([f"submissions/{value}/submission.toml"])


@pytest.mark.parametrize("name", [name for name in IDS if name not in {"", ".", ".."} and not set("/\0") & set(name)])
def test_a_folder_of_such_a_name_is_refused(tmp_path: Path, name: str) -> None:
    assert "field 'id'" in only_error(write_submission(tmp_path / name)).message


def test_the_id_is_the_name_of_the_folder(folder: Path) -> None:
    edit_toml(folder, ID, "another")
    finding = only_error(folder)
    assert "field 'id': 'another' is not the folder's name" in finding.message
    assert finding.cure


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a-b", "a_b"), ("a-b", "ab"), ("a.b", "a-b"), ("vit1", "vitl"), ("net0", "neto"), ("rn-5o", "rn50"),
        ("modular", "m0dular"), ("ll", "11"), ("a.1", "al"),
    ],
)  # fmt: skip
def test_ids_that_look_alike_collide(tmp_path: Path, first: str, second: str) -> None:
    write_submission(tmp_path / first)
    folder = write_submission(tmp_path / second)
    assert f"field 'id': '{second}' looks like '{first}', which is taken" in only_error(folder).message
    other = write_submission(tmp_path / "elsewhere" / second)
    assert errors(other) == []
    assert [item for item in validate(other, tmp_path) if item.severity == "error"] != []


def test_code_and_its_flag_belong_together(folder: Path) -> None:
    (folder / CODE).write_text("raise SystemExit('imported')\n")
    assert "trust_code': is false, but inverse.py is there" in only_error(folder).message
    edit_toml(folder, "weights", "trust_code = true\nweights")
    assert "field 'method': 'modular_per_tap' is the package's own" in only_error(folder).message
    edit_toml(folder, '"modular_per_tap"', '"my-net"')
    assert errors(folder) == []


# Files that do not belong into a submission.

PLACE = Path("records/mini@1")


def put(name: str, data: bytes = b"x") -> Callable[[Path], Any]:
    def make(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return make


def large(name: str, size: int) -> Callable[[Path], Any]:
    def make(folder: Path) -> None:
        put(name)(folder)
        os.truncate(folder / name, size)

    return make


def linked(name: str, target: str) -> Callable[[Path], Any]:
    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return make


def fifo(folder: Path) -> None:
    os.mkfifo(folder / "README.md")


def many(folder: Path) -> None:
    for number in range(2100):
        (folder / f"d{number}").mkdir()


def raw_name(folder: Path) -> None:
    with open(os.fsencode(folder) + b"/\xff\xfe.py", "wb") as file:  # noqa: PTH123
        file.write(b"x")


BELONG, LINK, LARGE = "is not allowed in a submission", "is a link or no regular file", "bytes, more than"
FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a module": (put("setup.py"), BELONG),
    "a file of pytest": (put("conftest.py"), BELONG),
    "a compiled module": (put("__pycache__/inverse.cpython-311.pyc"), BELONG),
    "a workflow": (put(".github/workflows/x.yml"), BELONG),
    "attributes of git": (put(".gitattributes"), BELONG),
    "another spelling": (put("Submission.toml"), BELONG),
    "code elsewhere": (put(f"records/{CODE}"), BELONG),
    "code in a record": (put(f"{PLACE}/{CODE}"), BELONG),
    "weights": (put("model.safetensors"), BELONG),
    "weights of no target": (put("weights/model.safetensors"), BELONG),
    "a pickle of weights": (put("weights/mini-vit/pytorch_model.bin"), BELONG),
    "weights in a folder too deep": (put("weights/mini-vit/a/model.safetensors"), BELONG),
    "a link for weights": (linked("weights/mini-vit/model.safetensors", "/etc/passwd"), LINK),
    "a link for the folder of weights": (linked("weights", "/etc"), LINK),
    "large weights": (large("weights/mini-vit/model.safetensors", 16_000_001), LARGE),
    "a large configuration": (large("weights/mini-vit/config.json", 1_000_001), LARGE),
    "a pickle": (put(f"{PLACE}/scores.pkl"), BELONG),
    "a record without a suite": (put("records/record.json"), BELONG),
    "a record of no suite's name": (put("records/Mini@1/record.json"), BELONG),
    "a folder too deep": (put("/".join(["d"] * 400) + "/x"), BELONG),
    "a receipt of another name": (put(f"{PLACE}/receipts/good.json"), BELONG),
    "a superseded record of another name": (put(f"{PLACE}/superseded/../superseded/x/record.json"), BELONG),
    "a line break in a name": (put("README.md\n"), BELONG),
    "a name with markup": (put("<img src=x onerror=alert(1)>"), BELONG),
    "a name that is no text": (raw_name, BELONG),
    "a link to a secret": (linked("README.md", "/etc/passwd"), LINK),
    "a link to nowhere": (linked("README.md", "nowhere"), LINK),
    "a link for a record": (linked(f"{PLACE}/record.json", "/etc/passwd"), LINK),
    "a link to a folder": (linked("records", "/etc"), LINK),
    "a link to itself": (linked("records", "."), LINK),
    "a named pipe": (fifo, LINK),
    "a large readme": (large("README.md", 200_001), LARGE),
    "large code": (large(CODE, 10**9), LARGE),
    "a large description": (large("submission.toml", 2**40), LARGE),
    "a large history": (large("history.toml", 2**40), LARGE),
    "a large record": (large(f"{PLACE}/record.json", 2**33), LARGE),
    "a large table": (large(f"{PLACE}/audit.parquet", 2**40), LARGE),
    "thousands of folders": (many, "holds more than 2,000 files"),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_that_do_not_belong_are_refused_unopened(folder: Path, kind: str) -> None:
    make, message = FILES[kind]
    make(folder)
    finding = only_error(folder)
    assert message in finding.message
    shown = ReviewFinding.of(finding, folder)
    assert ReviewFinding.model_validate_json(shown.model_dump_json()) == shown
    assert not shown.where.startswith("/")


def test_a_submission_is_no_link_to_another(folder: Path) -> None:
    other = folder.with_name("other")
    other.symlink_to(folder)
    assert only_error(other).message == "is a link"


def test_the_description_itself_is_no_link(folder: Path) -> None:
    (folder / "submission.toml").rename(folder.parent / "outside.toml")
    (folder / "submission.toml").symlink_to(folder.parent / "outside.toml")
    assert only_error(folder).message == LINK


@pytest.mark.parametrize(
    "make", [lambda f: None, lambda f: f.mkdir(), lambda f: (f / "submission.toml").mkdir(parents=True)]
)
def test_where_there_is_no_submission_the_way_to_one_is_told(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    make(tmp_path / "nothing")
    finding = only_error(tmp_path / "nothing")
    assert (finding.message, finding.cure) == ("no such submission", "make one: invbench init ID")


def test_records_of_a_suite_that_is_not_entered_or_not_there(folder: Path) -> None:
    put("records/coco@1/record.json")(folder)
    found = errors(folder)
    assert "field 'suites': does not name coco@1" in found[0].message
    edit_toml(folder, '"mini@1"', '"mini@1", "coco@1"')
    assert any("record.json" in item.where for item in errors(folder))
