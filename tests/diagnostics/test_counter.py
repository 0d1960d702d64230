"""Counts of operations and bytes against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchmark.diagnostics.counter import count_work, counting

DEVICES = ("cpu", "meta")


@pytest.mark.parametrize("device", DEVICES)
def test_a_product_takes_two_operations_for_each_weight_and_row(device: str) -> None:
    first, second = torch.rand(30, 50, device=device), torch.rand(50, 20, device=device)
    work = count_work(lambda: first @ second)
    assert (work.tera, work.giga) == (pytest.approx(2 * 30 * 50 * 20 / 1e12), 0)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_two_products_on_every_device(device: str, masked: bool) -> None:
    query, key = torch.rand(1, 2, 7, 5, device=device), torch.rand(1, 2, 9, 5, device=device)
    value, mask = torch.rand(1, 2, 9, 4, device=device), torch.ones(7, 9, dtype=torch.bool, device=device)
    wanted = F.scaled_dot_product_attention(query, key, value, attn_mask=mask if masked else None)
    found = []
    work = count_work(
        lambda: found.append(
            F.scaled_dot_product_attention(query, key, value=value, attn_mask=mask if masked else None)
        )
    )
    assert (work.tera, work.giga) == (pytest.approx(2 * 2 * 7 * 9 * (5 + 4) / 1e12), 0)
    assert found[0].shape == wanted.shape
    assert device == "meta" or torch.equal(found[0], wanted)


def test_bytes_are_those_read_and_written_and_views_move_none() -> None:
    matrix = torch.rand(30, 50)
    assert count_work(lambda: (matrix + 1).t().unsqueeze(0)).giga * 1e9 == pytest.approx(2 * 1500 * 4)
    copied = count_work(lambda: (matrix + 1).t().flatten())
    assert copied.giga * 1e9 == pytest.approx(2 * 2 * 1500 * 4), "a view that has to be copied"
    row = torch.rand(1, 50).expand(30, 50)
    assert count_work(lambda: row + matrix).giga * 1e9 == pytest.approx((50 + 1500 + 1500) * 4), "expanded: its memory"
    assert count_work(lambda: matrix.new_empty(9)).giga == 0


def test_a_filter_of_images_reads_the_neighbors_of_every_pixel() -> None:
    images, disk = torch.rand(2, 1, 10, 12), torch.rand(1, 1, 3, 5)
    work = count_work(lambda: F.conv2d(images, disk, padding=(1, 2)))
    assert (work.tera, work.giga * 1e9) == (0, pytest.approx(2 * 10 * 12 * (15 + 1) * 4))


@pytest.mark.parametrize("device", DEVICES)
def test_a_small_network_takes_what_a_textbook_says(device: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 8, 10)).to(device)
    images = torch.rand(2, 3, 8, 8, device=device)
    work = count_work(lambda: network(images))
    convolution, linear = 2 * 2 * 4 * 8 * 8 * 3 * 9, 2 * 2 * 4 * 8 * 8 * 10
    assert work.tera * 1e12 == pytest.approx(convolution + linear)
    assert work.giga * 1e9 == pytest.approx(2 * (2 * 4 * 8 * 8) * 4), "ReLU: read and written"


def test_after_an_exception_the_next_count_begins_anew() -> None:
    matrix = torch.rand(10, 10)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        count_work(lambda: matrix @ (matrix @ matrix)[:3])
    assert count_work(lambda: matrix @ matrix).tera * 1e12 == pytest.approx(2000)


def test_on_the_meta_device_questions_about_values_are_answered_with_yes() -> None:
    numbers = torch.rand(3, device="meta")
    with counting():
        assert numbers.isfinite().all()
        assert not torch.zeros(3).any(), "real tensors answer for themselves"
