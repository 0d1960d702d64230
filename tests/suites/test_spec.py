"""Suites, submissions, metrics and methods: every declaration is valid, and mistakes are named."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from networks import FULL
from pydantic import ValidationError

from benchmark.content.pins import find_gaps
from benchmark.errors import IntegrityError, NotFoundError, SpecError, UserError
from benchmark.files.canonical import canonical_json, digest_of
from benchmark.files.paths import SUITES, submissions_root
from benchmark.metrics.spec import METRICS
from benchmark.submissions.submission import list_submissions, load_submission
from benchmark.suites.catalog import list_suites, load_suite, load_suite_file
from benchmark.suites.lock import load_lock
from benchmark.suites.spec import AXES, Suite
from benchmark.targets import FAMILIES

RELEASED: dict[str, str] = {}
"""Digests of the suites that were released, by id."""
DRAFTS = ("coco@1", "imagenet@1")
RESNET = next(case for case in FULL if case.family == "resnet")


def test_released_suites_are_never_edited() -> None:
    assert {name: load_suite(name).digest for name in RELEASED} == RELEASED
    assert not {*RELEASED} & {*DRAFTS}


def test_every_lock_says_what_it_does_not_pin() -> None:
    for name in list_suites():
        suite = load_suite(name)
        lock = load_lock(suite)
        assert lock.gaps == find_gaps(suite, lock)
        assert lock.draft == (name in DRAFTS)


def test_the_drafts_pin_what_is_known() -> None:
    files = load_lock(load_suite("coco@1")).files
    assert files["facebook/detr-resnet-50/model.safetensors"].startswith("830f5e2e")
    assert files["facebook/detr-resnet-50/config.json"].startswith("e7bcf399")
    assert files["annotations/instances_val2017.json"].startswith("e8c7f790")
    for name in DRAFTS:
        gaps = load_lock(load_suite(name)).gaps
        unknown = [gap.removeprefix("revision of ") for gap in gaps if gap.startswith("revision of ")]
        assert unknown == []
        timm = [gap for gap in gaps if "timm/" in gap]
        assert timm == [
            f"file timm/deit3_base_patch16_224.fb_in1k/{file}" for file in ("config.json", "model.safetensors")
        ]


def test_the_drafts_have_the_targets_of_the_field() -> None:
    coco, imagenet = (load_suite(name) for name in DRAFTS)
    kinds = {target.id: target.architecture for target in coco.targets}
    plain = ("vit-base-16", "deit3-base-16", "dinov2-base", "dinov2-registers-base", "siglip-base-16", "mae-base")
    assert kinds == {"detr-resnet-50": "detr", "swin-base": "swin"} | dict.fromkeys(plain, "vit")
    assert imagenet.targets == coco.targets[1:]
    shares = coco.target_weights()
    assert {kind: sum(shares[name] for name in kinds if kinds[name] == kind) for kind in kinds.values()} == {
        "detr": 6, "vit": 6, "swin": 6,
    }  # fmt: skip


def test_the_control_of_the_page_fits_into_a_copy_of_the_suite(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/suites.md").read_text(encoding="utf-8")
    block = page.split("```toml\n")[1].split("```")[0]
    (tmp_path / "mine-1.toml").write_text((SUITES / "coco-1.toml").read_text(encoding="utf-8") + "\n" + block)
    suite = load_suite_file(tmp_path / "mine-1.toml")
    control = suite.targets[-1]
    assert (control.family, control.tap_names) == ("resnet", tuple(RESNET.shapes))
    assert sorted(set(suite.target_weights().values())) == [1, 6]
    assert f"revision of {control.source.repo_id}" in find_gaps(suite, load_lock(load_suite("coco@1")))


def test_no_target_may_be_the_network_of_the_judge() -> None:
    text = load_suite("coco@1").model_dump(mode="json")
    text["judge"] = text["targets"][2]["source"] | {"revision": "0" * 40}
    with pytest.raises(ValidationError, match="the judge is the network of target 'deit3-base-16'"):
        Suite.model_validate(text)


@pytest.mark.parametrize("suite_id", ["mini@1", *DRAFTS])
def test_a_suite_names_only_what_exists(suite_id: str) -> None:
    suite = load_suite(suite_id)
    assert set(suite.metrics) <= METRICS.keys()
    for axis, metrics in suite.axes.items():
        assert all(METRICS[m].axis == axis and METRICS[m].rankable for m in metrics)
    assert {target.family for target in suite.targets} <= FAMILIES.keys()
    ids = [f"{number:03d}" for number in range(suite.dataset.images)]
    named = suite.audit_images if isinstance(suite.audit_images, tuple) else suite.audit_ids(ids)
    assert len(named) == len(set(named)) > 0


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda m: m.id)
def test_metric_declarations_hold(metric: object) -> None:
    module, name = metric.function.split(":")  # type: ignore[attr-defined]
    function = getattr(import_module(module), name)
    assert function.__doc__
    assert name in import_module(module).__all__
    low, high = metric.range  # type: ignore[attr-defined]
    if metric.identity is not None:  # type: ignore[attr-defined]
        assert low <= metric.identity <= (high if high is not None else float("inf"))  # type: ignore[attr-defined]
    assert metric.formula and metric.source and metric.reference and metric.unscored  # type: ignore[attr-defined]
    assert metric.axis in AXES  # type: ignore[attr-defined]
    assert metric.tolerance > 0  # type: ignore[attr-defined]


def test_submissions_are_valid_and_cover_the_suite(mini: Suite) -> None:
    root = submissions_root()
    assert list_submissions(root) == [
        "copy", "end_to_end", "knn", "mean", "modular", "modular_joint", "modular_per_tap", "optimize", "ridge",
    ]  # fmt: skip
    for name in list_submissions(root):
        submission = load_submission(root, name)
        assert submission.id == name
        assert submission.weights.keys() in ({target.id for target in mini.targets}, set())


def test_canonical_json_ignores_order_and_refuses_nan() -> None:
    assert canonical_json({"b": [1, 2.5], "a": "é"}) == '{"a":"é","b":[1,2.5]}'
    assert digest_of({"b": 1, "a": 2}) == digest_of({"a": 2, "b": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "mini"', 'nome = "mini"', "field 'name': Field required"),
        ("version = 1\ntitle", 'version = "one"\ntitle', "field 'version'"),
        ('"hue_set_0", ', '"hue_set_1", ', r"field 'perturbations\.1'"),
        ('["identity", ', "[", "the first perturbation must be 'identity'"),
        ('"gray"]', '"gray", "gray"]', "perturbations name something twice"),
        ("depth = 0.0 }", "depth = -1 }", r"field 'targets\.0\.taps\.0\.depth'"),
        ("schema_version = 1", "schema_version = ", "not valid TOML"),
        ("[judge]\npath =", "[judge]\nrepo_id = 'a/b'\npath =", "give either 'path' or 'repo_id'"),
    ],
)
def test_mistakes_in_a_suite_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    from benchmark.files.paths import SUITES

    text = (SUITES / "mini-1.toml").read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(SpecError, match=message) as caught:
        load_suite_file(path)
    assert str(path) in str(caught.value)


def test_near_names_are_suggested(mini: Suite) -> None:
    with pytest.raises(NotFoundError, match=r"unknown suite 'mini@2'.*did you mean 'mini@1'"):
        load_suite("mini@2")
    with pytest.raises(NotFoundError, match="did you mean 'mini-detr'"):
        mini.target("mini-dert")
    with pytest.raises(NotFoundError, match="did you mean 'ridge'"):
        load_submission(submissions_root(), "rigde")


def test_a_lock_of_another_text_is_refused(mini: Suite) -> None:
    changed = mini.model_copy(update={"title": "another"})
    with pytest.raises(IntegrityError, match="made for another text of mini@1"):
        load_lock(changed)


def test_errors_say_where_and_how() -> None:
    error = UserError("is wrong", where="file.toml", cure="mend it")
    assert str(error) == "file.toml: is wrong (mend it)"
    assert error.exit_code == 2
