"""`invbench data lpips`: the published weights and nothing else, whatever file they come in; nothing is executed."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmark.content import lpips
from benchmark.metrics.perceptual import TRUNK
from cli import main

ROOT = Path(__file__).parents[2]
ASSETS = Path(os.environ.get("INVBENCH_TEST_ASSETS", ROOT.parent / "shared" / "assets"))
PUBLISHED = ASSETS / "lpips" / "alexnet_features.safetensors"
CHECKPOINT = "hub/checkpoints/alexnet-owt-7be5be79.pth"
UNREACHABLE = "http://127.0.0.1:9/alexnet-owt-7be5be79.pth"
Weights = dict[str, Tensor]
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in this process, with caches of its own and a download address that nobody answers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(lpips, "URL", UNREACHABLE)
    return lambda *arguments: CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture
def published() -> Weights:
    """The published weights."""
    if not PUBLISHED.is_file():
        pytest.skip(f"{PUBLISHED} is absent (set INVBENCH_TEST_ASSETS)")
    return load_file(PUBLISHED)


@pytest.fixture
def checkpoint(published: Weights) -> Weights:
    """A checkpoint as torchvision publishes it: with a classifier, which LPIPS never looks at."""
    sizes = {1: (4096, 9216), 4: (4096, 4096), 6: (1000, 4096)}
    classifier = {f"classifier.{k}.weight": torch.zeros(1).expand(size) for k, size in sizes.items()}
    return published | classifier | {f"classifier.{k}.bias": torch.zeros(sizes[k][0]) for k in sizes}


def random_weights() -> Weights:
    shapes = ((64, 3, 11, 11), (192, 64, 5, 5), (384, 192, 3, 3), (256, 384, 3, 3), (256, 256, 3, 3))
    tensors = [tensor for shape in shapes for tensor in (torch.zeros(shape), torch.zeros(shape[0]))]
    return dict(zip(TRUNK, tensors, strict=True))


def mistake(done: Result, *texts: str, code: int = 2) -> str:
    assert done.exit_code == code, done.output
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    for text in texts:
        assert text in line
    assert done.stdout == ""
    assert not lpips.perceptual_path().exists()
    return line


@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
def test_the_published_weights_are_kept_wherever_they_come_from(
    run: Run, published: Weights, checkpoint: Weights, tmp_path: Path, form: str
) -> None:
    source = PUBLISHED
    if form != "safetensors":
        source = tmp_path / "alexnet.pth"
        torch.save(checkpoint, source, _use_new_zipfile_serialization=form == "zip")
    done = run("data", "lpips", source)
    assert (done.exit_code, done.stderr) == (0, "")
    kept = Path(done.stdout.strip())
    assert kept == tmp_path / "cache/perceptual/alexnet_features.safetensors"
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]
    found = load_file(kept)
    assert found.keys() == published.keys() == set(TRUNK)
    assert all(torch.equal(found[name], published[name]) for name in TRUNK)


def test_torch_cache_is_used_before_the_network(run: Run, checkpoint: Weights, tmp_path: Path) -> None:
    path = tmp_path / "torch" / CHECKPOINT
    path.parent.mkdir(parents=True)
    torch.save(checkpoint, path)
    assert run("data", "lpips").exit_code == 0
    assert lpips.perceptual_path().is_file()


def test_once_installed_lpips_is_scored_and_doctor_says_so(run: Run, published: Weights, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        pixels = torch.randint(256, (64, 64, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(f"{name}.png")
    pair = ("score", "a.png", "b.png", "--metrics", "lpips_alex", "--device", "cpu", "--json")

    def report() -> tuple[float | None, str | None, str]:
        (image,) = json.loads(run(*pair).stdout)["per_image"]
        state = json.loads(run("doctor", "--json").stdout)["networks"]["perceptual"]
        return image["scores"]["lpips_alex"], image["reasons"].get("lpips_alex"), state

    value, reason, state = report()
    assert value is None
    assert reason == "the perceptual network is not installed (run: invbench data lpips)"
    assert state == "not installed; lpips_alex stays unscored (run: invbench data lpips)"
    assert run("data", "lpips", PUBLISHED).exit_code == 0
    value, reason, state = report()
    assert value is not None and 0.01 < value < 2
    assert reason is None
    assert state == f"installed: {tmp_path / 'cache/perceptual/alexnet_features.safetensors'}"

    path = lpips.perceptual_path()
    save_file(random_weights(), path)
    assert json.loads(run("doctor", "--json").stdout)["networks"]["perceptual"].startswith("damaged: ")
    done = run(*pair)
    assert done.exit_code == 3
    assert "not the weights of torchvision's AlexNet" in done.stderr
    assert run("data", "lpips", PUBLISHED).exit_code == 0
    assert report()[1] is None


def test_the_published_example_has_its_published_value(run: Run, published: Weights) -> None:
    assert run("data", "lpips", PUBLISHED).exit_code == 0
    examples = PUBLISHED.parent
    found = run("score", examples / "ex_ref.png", examples / "ex_p0.png", "--metrics", "lpips_alex", "--json")
    # Published on RGB: .722 and .138. On luma they are close by, and in the same order.
    far = json.loads(found.stdout)["metrics"]["lpips_alex"]["value"]
    found = run("score", examples / "ex_ref.png", examples / "ex_p1.png", "--metrics", "lpips_alex", "--json")
    near = json.loads(found.stdout)["metrics"]["lpips_alex"]["value"]
    assert far == pytest.approx(0.722, abs=0.15)
    assert near == pytest.approx(0.138, abs=0.1)


class Malicious:
    """Makes a folder when it is unpickled without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_pickle_is_refused_and_not_run(run: Run, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    payload = random_weights() | {"features.0.weight": Malicious(trap)}
    torch.save(payload, "zip.pth")
    torch.save(payload, "legacy.pth", _use_new_zipfile_serialization=False)
    for protocol in range(6):
        Path(f"plain-{protocol}.pkl").write_bytes(pickle.dumps(payload, protocol))
        Path(f"alone-{protocol}.pth").write_bytes(pickle.dumps(Malicious(trap), protocol))
    files = sorted([*Path().glob("*.pth"), *Path().glob("*.pkl")])
    assert len(files) == 14
    for path in files:
        line = mistake(run("data", "lpips", path), f"{path}: ", "give torchvision's AlexNet")
        assert "weights_only" not in line
        assert not trap.exists()
    torch.load("zip.pth", weights_only=False)
    assert trap.is_dir()


def test_altered_weights_are_refused_with_exit_code_3(run: Run, published: Weights, tmp_path: Path) -> None:
    altered = {name: tensor.clone() for name, tensor in published.items()}
    altered["features.6.bias"][7] += 1e-6
    save_file(altered, "altered.safetensors")
    torch.save(altered, "altered.pth")
    for name in ("altered.safetensors", "altered.pth"):
        mistake(run("data", "lpips", name), f"{name}: not the weights of torchvision's AlexNet", code=3)
    path = tmp_path / "torch" / CHECKPOINT
    path.parent.mkdir(parents=True)
    torch.save(altered, path)
    mistake(run("data", "lpips"), str(path), "delete it and run again", code=3)


def test_other_weights_and_missing_tensors_have_exit_code_3(run: Run) -> None:
    torch.save(random_weights(), "zeros.pth")
    mistake(run("data", "lpips", "zeros.pth"), "zeros.pth: not the weights of torchvision's AlexNet", code=3)
    odd = {
        "integers": {name: tensor.int() for name, tensor in random_weights().items()},
        "sparse": {name: tensor.to_sparse() for name, tensor in random_weights().items()},
        "numbers": dict.fromkeys(TRUNK, 3.0),
        "nested": {"state_dict": random_weights()},
    }
    for name, content in odd.items():
        torch.save(content, f"{name}.pth")
        mistake(run("data", "lpips", f"{name}.pth"), f"{name}.pth: no tensor 'features.0.weight'", code=3)


def test_damaged_and_foreign_files_end_as_one_line(run: Run, tmp_path: Path) -> None:
    buffers = {"zip.pth": io.BytesIO(), "legacy.pth": io.BytesIO()}
    for name, buffer in buffers.items():
        torch.save(random_weights(), buffer, _use_new_zipfile_serialization=name == "zip.pth")
    save_file(random_weights(), "whole.safetensors")
    wholes = {name: buffer.getvalue() for name, buffer in buffers.items()}
    wholes["cut.safetensors"] = Path("whole.safetensors").read_bytes()
    for name, whole in wholes.items():
        for size in (0, 1, 50, 3000, len(whole) // 2, len(whole) - 1):
            Path(name).write_bytes(whole[:size])
            mistake(run("data", "lpips", name), f"{name}: ", "give torchvision's AlexNet")
    Path("junk.pth").write_text("hello world\n" * 50)
    torch.save(torch.zeros(3), "tensor.pth")
    torch.save([torch.zeros(3)], "list.pth")
    mistake(run("data", "lpips", "junk.pth"), "junk.pth: not readable as weights")
    mistake(run("data", "lpips", "tensor.pth"), "tensor.pth: holds no named tensors")
    mistake(run("data", "lpips", "list.pth"), "list.pth: holds no named tensors")
    mistake(run("data", "lpips", "absent.pth"), "absent.pth: no such file")
    mistake(run("data", "lpips", "absent.safetensors"), "absent.safetensors: no such file")
    mistake(run("data", "lpips", tmp_path), "is a directory")


def test_a_partial_file_in_the_torch_cache_is_named(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "torch" / CHECKPOINT
    path.parent.mkdir(parents=True)
    buffer = io.BytesIO()
    torch.save(random_weights(), buffer)
    path.write_bytes(buffer.getvalue()[:100_000])
    mistake(run("data", "lpips"), f"{path}: not readable as weights", "delete it and run again: invbench data lpips")


def test_without_a_network_one_line_says_what_to_do(run: Run, tmp_path: Path) -> None:
    line = mistake(run("data", "lpips"), UNREACHABLE, "cannot be fetched", "fetch it elsewhere and run: invbench data")
    assert "refused" in line
    assert not list((tmp_path / "torch").rglob("*.pth"))


@contextmanager
def served(body: bytes, announced: int | None = None) -> Iterator[str]:
    """Serve `body` at an address, with another length announced."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(announced or len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/alexnet-owt-7be5be79.pth"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("announced", [None, 10_000_000])
def test_a_download_that_is_cut_or_altered_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, announced: int | None
) -> None:
    with served(b"x" * 100_000, announced) as url:
        monkeypatch.setattr(lpips, "URL", url)
        done = run("data", "lpips")
    assert done.exit_code == 2
    assert done.stderr.strip().splitlines()[-1].startswith(f"Error: {url}: cannot be fetched: ")
    assert "Traceback" not in done.stderr
    assert not [path for path in (tmp_path / "torch").rglob("*") if path.is_file()]


def test_a_download_is_checked_and_kept(
    run: Run, checkpoint: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    torch.save({name: tensor for name, tensor in checkpoint.items() if name in TRUNK}, buffer)
    monkeypatch.setattr(lpips, "HASH_PREFIX", hashlib.sha256(buffer.getvalue()).hexdigest()[:8])
    with served(buffer.getvalue()) as url:
        monkeypatch.setattr(lpips, "URL", url)
        done = run("data", "lpips")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip() == str(lpips.perceptual_path())
    assert (tmp_path / "torch" / CHECKPOINT).read_bytes() == buffer.getvalue()


def test_a_cache_that_cannot_be_written_is_named(
    run: Run, published: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "file/cache"))
    mistake(run("data", "lpips", PUBLISHED), "cannot be written", "set INVBENCH_CACHE to another folder")
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "elsewhere"))
    assert run("data", "lpips", PUBLISHED).stdout.strip().startswith(str(tmp_path / "elsewhere"))


def test_an_interrupted_installation_leaves_what_was_there(
    run: Run, published: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("data", "lpips", PUBLISHED).exit_code == 0
    before = lpips.perceptual_path().read_bytes()

    def fail(path: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    done = run("data", "lpips", PUBLISHED)
    assert done.exit_code == 2
    assert "cannot be written: No space left on device" in done.stderr
    assert lpips.perceptual_path().read_bytes() == before
    assert len(list(lpips.perceptual_path().parent.iterdir())) == 1
