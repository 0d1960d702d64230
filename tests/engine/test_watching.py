"""What an evaluation tells while it runs."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from benchmark.engine.watching import Tracer, log_line
from benchmark.errors import UserError
from cli import main


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_lines_are_appended(tmp_path: Path) -> None:
    log_line(tmp_path / "log", a=1)
    log_line(tmp_path / "log", a=[2, "\n"])
    assert [line["a"] for line in read_lines(tmp_path / "log")] == [1, [2, "\n"]]
    log_line(None, a=1)
    log_line(tmp_path / "new" / "log", a=1)
    assert len(read_lines(tmp_path / "new" / "log")) == 1
    with pytest.raises(UserError, match="--log-json"):
        log_line(tmp_path / "log" / "log", a=1)


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_the_second_thing_is_traced(tmp_path: Path, name: str) -> None:
    trace = Tracer(tmp_path / name, torch.device("cpu"))
    functions = [torch.Tensor.exp, torch.Tensor.cosh, torch.Tensor.tan]
    for index, function in enumerate(functions):
        assert trace.waiting == (index < 2)
        assert torch.equal(trace(function, torch.ones(3)), function(torch.ones(3)))
    data = (tmp_path / name).read_bytes()
    events = json.loads(gzip.decompress(data) if name.endswith(".gz") else data)["traceEvents"]
    names = {event["name"] for event in events}
    assert "aten::cosh" in names and not names & {"aten::exp", "aten::tan"}


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no device that is full")
def test_a_device_stays_one() -> None:
    """PyTorch itself puts a file in the place of whatever it is told to write a trace to."""
    trace = Tracer(Path("/dev/full"), torch.device("cpu"))
    trace(torch.Tensor.exp, torch.ones(3))
    with pytest.raises(UserError, match="free some space, or name another file with --profile"):
        trace(torch.Tensor.exp, torch.ones(3))
    assert Path("/dev/full").is_char_device()


def test_a_trace_that_was_cut_short_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_half(trace: object, path: str) -> None:
        Path(path).write_text('{"traceEvents": [')

    monkeypatch.setattr(torch.profiler.profile, "export_chrome_trace", write_half)
    trace = Tracer(tmp_path / "trace.json", torch.device("cpu"))
    trace(torch.Tensor.exp, torch.ones(3))
    with pytest.raises(UserError, match="cannot be written"):
        trace(torch.Tensor.exp, torch.ones(3))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        (["--all", "--overwrite", "--log-json", "a"], "--all goes without --log-json"),
        (["--all", "--overwrite", "--profile", "a"], "--all goes without --profile"),
        (["--fetch-only", "--log-json", "a"], "leave --log-json and --profile out"),
        (["--log-json", "a", "--profile", "./a"], "files of their own"),
    ],
)
def test_options_that_would_be_ignored_are_refused(options: list[str], cure: str) -> None:
    done = CliRunner().invoke(main, ["eval", *options])
    assert done.exit_code == 2
    assert cure in done.output


@pytest.mark.slow
def test_eval_logs_every_chunk_and_traces_a_tile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    log, trace = tmp_path / "log.jsonl", tmp_path / "trace.json"
    command = ["eval", "--submission", "mean", "--target", "mini-swin", "--limit", "24", "--batch-size", "8"]
    more = ["--threads", "1", "--out", str(tmp_path / "out"), "--log-json", str(log), "--profile", str(trace)]
    done = CliRunner().invoke(main, [*command, *more])
    assert done.exit_code == 0, done.output
    begun, *lines = read_lines(log)
    assert (begun["what"], begun["taps"], begun["of"]) == ("mean", 0, 96)
    assert [(line["first"], line["images"], line["taps"]) for line in lines] == [(0, 8, 32), (8, 8, 64), (16, 8, 96)]
    assert all(line["what"] == "mean" and line["target"] == "mini-swin" and line["of"] == 96 for line in lines)
    rounding = 0.0005 * (len(lines[0]["stages_s"]) + 1)
    assert all(0 < sum(line["stages_s"].values()) <= line["seconds"] + rounding for line in lines)
    assert lines[0]["left_s"] > lines[1]["left_s"] > lines[2]["left_s"] == 0
    names = {event["name"] for event in json.loads(trace.read_bytes())["traceEvents"]}
    assert {"aten::convolution", "aten::fft_rfft2", "aten::scaled_dot_product_attention"} & names
