"""Every module has a test file of its name, or a line here that says where it is tested."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("benchmark/**/*.py", "leaderboard/**/*.py", "invbench/**/*.py", "cli.py")

# For each test file the modules that it tests beside, or instead of, the one of its name. The file imports the module,
# or holds the text that stands here: a command, a file or a name by which the module is reached.
ELSEWHERE: dict[str, dict[str, str]] = {
    "content/test_archives.py": {"benchmark.datasets": ""},
    "content/test_content.py": {"benchmark.commands.data": '"data", "fetch"', "benchmark.diagnostics.needs": ""},
    "content/test_photographs.py": {"benchmark.errors": ""},
    "datasets/test_decoding.py": {"benchmark.datasets.containers": ""},
    "datasets/test_coco.py": {"benchmark.datasets.base": ""},
    "diagnostics/test_batteries.py": {
        "benchmark.diagnostics.batteries_attack": "measure_attack",
        "benchmark.diagnostics.batteries_scores": "",
    },
    "diagnostics/test_batteries_answers.py": {
        "benchmark.diagnostics.batteries_filters": "",
        "benchmark.diagnostics.batteries_ideas": "",
    },
    "diagnostics/test_costs.py": {
        "benchmark.commands.bench_cost": '"bench", "cost"',
        "benchmark.diagnostics.full_size": "",
    },
    "diagnostics/test_evaluation_times.py": {"benchmark.diagnostics.naive": ""},
    "diagnostics/test_metric_times.py": {"benchmark.commands.bench": '"bench", "metrics"'},
    "engine/test_challenge.py": {"benchmark.commands.challenge": '"--challenge"'},
    "engine/test_checks.py": {"benchmark.commands.ci": '"ci"'},
    "engine/test_chunks.py": {"benchmark.files.cache": ""},
    "engine/test_contract.py": {"benchmark.engine.reading": ""},
    "engine/test_hues.py": {"benchmark.commands.suite_hues": '"suite", "hues"'},
    "engine/test_image_files.py": {
        "benchmark.commands.score": "invbench score",
        "benchmark.engine.score_report": "--csv",
    },
    "engine/test_photographs_walk.py": {"benchmark.commands.suites": '"suite", "lock"'},
    "engine/test_scorer.py": {"benchmark.files.pixels": ""},
    "engine/test_shards.py": {f"benchmark.engine.{name}": "" for name in ("jobs", "merging", "run_lock", "torchrun")}
    | {"benchmark.engine.computing": "evaluate", "benchmark.engine.ranks": "torchrun"},
    "engine/test_sources.py": {"leaderboard.data.frames": "frames"},
    "engine/test_worker.py": {
        "benchmark.engine.launcher": "",
        "benchmark.engine.wire": "said something else than what was agreed",
        "benchmark.engine.worker_main": "test_a_fault_of_submitted_code_is_one_line",
        "benchmark.commands.isolation": "--trust-code",
        "benchmark.commands.bench_worker": '"bench", "worker"',
        "benchmark.diagnostics.worker_times": '"bench", "worker"',
    },
    "files/test_paths.py": {"benchmark.engine.provenance": "provenance"},
    "inverses/test_building.py": {"benchmark.inverses.faults": ""},
    "inverses/test_descent.py": {"benchmark.inverses.deep_prior": "", "benchmark.inverses.optimize": ""},
    "inverses/test_inverses.py": {f"benchmark.inverses.{name}": "" for name in ("base", "mean", "ridge", "spec")}
    | {"benchmark.inverses.copy": '"copy"'},
    "inverses/test_modular.py": {
        "benchmark.inverses.chain": "",
        "benchmark.inverses.standardized": "set_moments",
    },
    "invbench/test_package.py": {
        "invbench": "",
        "invbench.__main__": '"-m", "invbench"',
        "invbench.front.benchmark": "front",
        "invbench.front.leaderboard": "front",
    },
    "leaderboard/browser/test_compare.py": {"leaderboard.data.pairs": "", "leaderboard.site.pages.gallery": "gallery"},
    "leaderboard/data/claims/test_catalog.py": {
        f"leaderboard.data.claims.{name}": name for name in ("decoder", "depth", "prototype")
    },
    "leaderboard/data/claims/test_reading.py": {"leaderboard.data.claims.classic": ""},
    "leaderboard/data/test_rankings.py": {
        "leaderboard.site.drawings": "",
    },
    "leaderboard/data/test_rankings_places.py": {
        "leaderboard.data.scores": "",
        "leaderboard.data.standings": "standing",
    },
    "leaderboard/data/test_pictures.py": {"leaderboard.site.pages.strips": ""},
    "leaderboard/data/test_synthetic.py": {
        "benchmark.records.consistency": "",
        "leaderboard.commands": '"bench", "board"',
    },
    "leaderboard/figures/test_figures.py": {
        "leaderboard.figures": "",
        "leaderboard.figures.chart": "",
        "leaderboard.figures.depth": "depth",
        "leaderboard.figures.labels": "",
        "leaderboard.figures.palette": "",
    },
    "leaderboard/site/test_claims.py": {
        "leaderboard.site.claim_drawings": "",
        "leaderboard.site.pages.claims": "claims.html",
    },
    "leaderboard/site/test_downloads.py": {
        "leaderboard.site.board_json": "",
        "leaderboard.site.citation": "",
        "leaderboard.site.index": "",
    },
    "leaderboard/site/test_pages.py": {
        "leaderboard.site.pages.compare": "",
        "leaderboard.site.pages.method": "method-",
        "leaderboard.site.pages.overview": "index.html",
        "leaderboard.site.pages.suite": "",
    },
    "leaderboard/site/test_marks.py": {"leaderboard.site.pages.pulls": ""},
    "leaderboard/site/test_scripts.py": {"leaderboard.data.equivalents": ""},
    "leaderboard/site/test_templates.py": {"leaderboard.site.templating": ""},
    "leaderboard/test_injection.py": {"benchmark.submissions.markdown": "", "leaderboard.comment": ""},
    "metrics/test_color.py": {"benchmark.metrics.cielab": ""},
    "metrics/test_figure_ground.py": {"benchmark.metrics.sorting": ""},
    "metrics/test_layers.py": {"benchmark.engine.layer_transfer": ""},
    "metrics/test_page.py": {"benchmark.commands.docs": '"docs", "metrics"'},
    "metrics/test_references.py": {
        "benchmark.diagnostics.references": "",
        "benchmark.diagnostics.references_color": "REFERENCES",
        "benchmark.diagnostics.references_common": "REFERENCES",
        "benchmark.diagnostics.references_detail": "REFERENCES",
        "benchmark.diagnostics.references_shape": "REFERENCES",
        "benchmark.metrics.spec": "",
    },
    "metrics/test_shape.py": {"benchmark.metrics.edges": ""},
    "metrics/test_transfer.py": {"benchmark.diagnostics.references_transfer": ""},
    "records/test_record.py": {
        "benchmark.records.aggregate": "",
        "benchmark.records.columns": "",
        "benchmark.records.scores": "",
    },
    "submissions/test_ownership.py": {"benchmark.submissions.findings": ""},
    "submissions/test_pull_request.py": {
        "benchmark.commands.check": '"verify"',
        "benchmark.commands.submit": '"submit"',
        "benchmark.inverses.code": "",
        "benchmark.submissions.scaffold": "",
    },
    "submissions/test_publish.py": {"benchmark.commands.publish": '"publish"', "benchmark.submissions.matching": ""},
    "submissions/test_schemas.py": {
        "benchmark.submissions.review": "",
        "leaderboard.data.claims.schemas": "",
    },
    "submissions/test_submission.py": {"benchmark.files.canonical": ""},
    "suites/test_spec.py": {"benchmark.suites.catalog": "", "benchmark.suites.lock": ""},
    "targets/test_families.py": {
        "benchmark.targets": "",
        "benchmark.targets.base": "no head of its own",
        "benchmark.targets.clip": '"clip"',
        "benchmark.targets.dinov2": '"dinov2"',
        "benchmark.targets.dinov2_registers": '"dinov2_registers"',
        "benchmark.targets.mae": '"mae"',
        "benchmark.targets.resnet": '"resnet"',
        "benchmark.targets.siglip": '"siglip"',
        "benchmark.targets.swin": '"swin"',
        "benchmark.targets.tokens": "embeddings",
        "benchmark.targets.vit": '"vit"',
    },
    "targets/test_judge.py": {"benchmark.targets.labels": "load_judge"},
    "targets/test_loading.py": {
        "benchmark.targets.config": "config.json",
        "benchmark.targets.network": "load_target",
    },
    "targets/test_taps.py": {"benchmark.targets.detr": ""},
    "test_cli.py": {
        "benchmark.commands.common": "did you mean",
        "benchmark.commands.doctor": '"doctor"',
        "benchmark.commands.evaluation_options": '"--limit"',
        "benchmark.commands.list": '"list"',
        "benchmark.commands.train": '"train"',
        "benchmark.diagnostics.doctor": '"doctor"',
        "benchmark.engine.evaluation": '"eval"',
    },
    "test_structure.py": {"benchmark.commands.listings": "benchmark.commands.listings"},
    "train/test_train.py": {
        f"benchmark.train.{name}": "" for name in ("images", "inverses", "loop", "recipes", "targets")
    },
    "train/test_batches.py": {"benchmark.train.ahead": "", "benchmark.train.drawing": ""},
    "train/test_starting.py": {"benchmark.inverses.modular_joint": '"modular_joint"'},
    "train/test_disjoint.py": {"benchmark.train.known": "photographs-*.sqlite", "benchmark.train.traits": ""},
    "train/test_throughput.py": {"benchmark.commands.bench_train": ""},
    "train/test_validation.py": {"benchmark.train.choosing": ""},
}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def holds_code(path: Path) -> bool:
    """Whether a file holds more than a docstring."""
    return any(not isinstance(node, ast.Expr) for node in ast.parse(path.read_text(encoding="utf-8")).body)


def own_file(path: Path) -> str:
    """The test file of a module's name: the rooms of `benchmark` lie in tests/ itself."""
    parts = path.relative_to(ROOT).parts
    return "/".join((*parts[parts[0] == "benchmark" : -1], f"test_{path.stem}.py"))


PATHS = {module_of(path): path for pattern in SOURCES for path in sorted(ROOT.glob(pattern)) if holds_code(path)}
LINES = [(file, module, text) for file, modules in ELSEWHERE.items() for module, text in modules.items()]


def imports(text: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("module", PATHS)
def test_every_module_has_its_test_file_or_a_line_that_says_where(module: str) -> None:
    own = own_file(PATHS[module])
    listed = [file for file, other, _ in LINES if other == module]
    if (ROOT / "tests" / own).exists():
        assert not listed, f"it has tests/{own}: take it out of the list"
    else:
        assert len(listed) == 1, f"write tests/{own}, or say in this file where {module} is tested"


@pytest.mark.parametrize(("file", "module", "text"), LINES)
def test_the_list_is_true(file: str, module: str, text: str) -> None:
    assert module in PATHS, "no such module"
    content = (ROOT / "tests" / file).read_text(encoding="utf-8")
    if text:
        assert re.search(rf"(?<!\w){re.escape(text)}(?!\w)", content), f"tests/{file} does not hold {text}"
    else:
        assert module in imports(content), f"tests/{file} does not import {module}"


def test_no_test_file_is_so_long_that_one_process_gets_all_of_it() -> None:
    lengths = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "tests").rglob("*.py")}
    assert {path: length for path, length in lengths.items() if length > 400} == {}
