"""Transformer blocks against PyTorch's and torchvision's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models.swin_transformer import SwinTransformerBlock

from benchmark.inverses.blocks import Attention, Block, ReadingBlock, WindowBlock


def join(attention: Attention) -> nn.MultiheadAttention:
    """Return PyTorch's attention with the same weights."""
    width = attention.out.in_features
    own = nn.MultiheadAttention(width, attention.heads, batch_first=True)
    parts = (attention.query, attention.key, attention.value)
    own.in_proj_weight = nn.Parameter(torch.cat([part.weight for part in parts]))
    own.in_proj_bias = nn.Parameter(torch.cat([part.bias for part in parts]))
    own.out_proj = attention.out
    return own


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_attention_is_that_of_pytorch() -> None:
    attention = Attention(12, 3)
    queries, keys, values = torch.randn(2, 5, 12), torch.randn(2, 7, 12), torch.randn(2, 7, 12)
    expected, _ = join(attention)(queries, keys, values)
    assert torch.allclose(attention.attend(queries, keys, values), expected, atol=1e-6)
    with pytest.raises(ValueError, match="5 heads do not divide a width of 12"):
        Attention(12, 5)


def test_a_block_is_the_pre_norm_encoder_layer_of_pytorch() -> None:
    block = Block(12, 3, ratio=2)
    layer = nn.TransformerEncoderLayer(12, 3, 24, 0.0, "gelu", batch_first=True, norm_first=True)
    layer.self_attn = join(block)
    layer.norm1, layer.norm2, layer.linear1, layer.linear2 = (
        block.norm_attention, block.norm_mlp, block.mlp[0], block.mlp[2],
    )  # fmt: skip
    tokens = torch.randn(2, 5, 12)
    assert torch.allclose(block(tokens), layer.train()(tokens), atol=1e-6)


def test_a_reading_block_is_the_pre_norm_decoder_layer_of_pytorch() -> None:
    block = ReadingBlock(12, 3, ratio=2)
    layer = nn.TransformerDecoderLayer(12, 3, 24, 0.0, "gelu", batch_first=True, norm_first=True)
    layer.self_attn, layer.multihead_attn = join(block.among), join(block.reading)
    layer.norm1, layer.norm2, layer.norm3 = block.norm_among, block.norm_reading, block.norm_mlp
    layer.linear1, layer.linear2 = block.mlp[0], block.mlp[2]
    tokens, memory = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    nowhere = torch.zeros(())
    assert torch.allclose(block(tokens, nowhere, memory, nowhere), layer.train()(tokens, memory), atol=1e-6)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("grid", [(8, 8), (8, 12), (4, 4)])
def test_a_window_block_is_the_swin_block_of_torchvision(grid: tuple[int, int], shifted: bool) -> None:
    block = WindowBlock(12, 3, 2, grid, 4, shifted=shifted)
    nn.init.normal_(block.offsets)
    own = SwinTransformerBlock(12, 3, [4, 4], [2, 2] if shifted else [0, 0], mlp_ratio=2.0).eval()
    own.norm1, own.norm2 = block.norm_attention, block.norm_mlp
    own.mlp[0], own.mlp[3] = block.mlp[0], block.mlp[2]
    parts = (block.query, block.key, block.value)
    own.attn.qkv.weight = nn.Parameter(torch.cat([part.weight for part in parts]))
    own.attn.qkv.bias = nn.Parameter(torch.cat([part.bias for part in parts]))
    own.attn.proj = block.out
    own.attn.relative_position_bias_table = nn.Parameter(block.offsets.t())
    tokens = torch.randn(2, grid[0] * grid[1], 12)
    expected = own(tokens.unflatten(1, grid)).flatten(1, 2)
    assert torch.allclose(block(tokens), expected, atol=1e-5)


def test_windows_must_divide_the_grid() -> None:
    with pytest.raises(ValueError, match="windows of 4 do not divide a grid of 6x8"):
        WindowBlock(12, 3, 2, (6, 8), 4, shifted=False)
    assert WindowBlock(12, 3, 2, (3, 3), 7, shifted=True).window == 3
