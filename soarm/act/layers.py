"""Transformer layers of ACT: post-norm, ReLU, positions added to queries and keys but not to values (as in DETR).

Parameters have the names and shapes of `torch.nn.MultiheadAttention` and of LeRobot's ACT layers, so that weights can be
exchanged. Knows no robot. B batch (1 where nothing depends on the row), T and S tokens, D width, H heads.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention over batch-first tokens.

    Args:
        dim: D.
        n_heads: H.
        dropout: Probability of dropping an attention weight in training.
    """

    def __init__(self, dim: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            query: (B, T, D), or (1, T, D) when every row asks the same.
            key: (B, S, D).
            value: (B, S, D).
            mask: True where a query may look, broadcastable to (B, H, T, S); None: everywhere.

        Returns:
            (B, T, D).
        """
        dim = query.shape[-1]
        if query is key:
            qk = F.linear(query, self.in_proj_weight[: 2 * dim], self.in_proj_bias[: 2 * dim])
            q, k = qk[..., :dim], qk[..., dim:]
        else:
            q = F.linear(query, self.in_proj_weight[:dim], self.in_proj_bias[:dim])
            k = F.linear(key, self.in_proj_weight[dim : 2 * dim], self.in_proj_bias[dim : 2 * dim])
        v = F.linear(value, self.in_proj_weight[2 * dim :], self.in_proj_bias[2 * dim :])
        q, k, v = (x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for x in (q, k, v))  # type: ignore[no-untyped-call]  # (B, H, T or S, D / H)
        q = q.expand(v.shape[0], -1, -1, -1)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=self.dropout if self.training else 0.0)
        attended: Tensor = self.out_proj(out.transpose(1, 2).flatten(-2))  # (B, T, D)
        return attended


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward block.

    Args:
        dim: D.
        n_heads: H.
        dim_feedforward: Width of the hidden layer.
        dropout: Dropout probability.
    """

    def __init__(self, dim: int, n_heads: int, dim_feedforward: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(dim, n_heads, dropout)
        self.linear1 = nn.Linear(dim, dim_feedforward)
        self.linear2 = nn.Linear(dim_feedforward, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, position: Tensor, mask: Tensor | None = None, n_out: int | None = None) -> Tensor:
        """Transform tokens.

        Args:
            x: (B, S, D).
            position: (S, D).
            mask: True where a token may be looked at, broadcastable to (B, H, S, S).
            n_out: Compute only the first `n_out` tokens of the output, for a layer of which one token is read.

        Returns:
            (B, n_out or S, D).
        """
        key = x + position
        query = key if n_out is None else key[:, :n_out]
        skip = x if n_out is None else x[:, :n_out]
        x = self.norm1(skip + self.dropout(self.self_attn(query, key, x, mask)))
        return self.norm2(x + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(x))))))  # type: ignore[no-any-return]


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention and feed-forward block; arguments as `EncoderLayer`."""

    def __init__(self, dim: int, n_heads: int, dim_feedforward: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(dim, n_heads, dropout)
        self.multihead_attn = Attention(dim, n_heads, dropout)
        self.linear1 = nn.Linear(dim, dim_feedforward)
        self.linear2 = nn.Linear(dim_feedforward, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.norm3 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, position: Tensor, memory: Tensor, memory_key: Tensor) -> Tensor:
        """Transform the decoder's tokens.

        Args:
            x: (B, T, D), or (1, T, D) while no row differs from another.
            position: (T, D).
            memory: (B, S, D), the encoder's output.
            memory_key: (B, S, D), the same with positions added.

        Returns:
            (B, T, D).
        """
        key = x + position
        x = self.norm1(x + self.dropout(self.self_attn(key, key, x)))
        x = self.norm2(x + self.dropout(self.multihead_attn(x + position, memory_key, memory)))
        return self.norm3(x + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(x))))))  # type: ignore[no-any-return]


def sinusoidal_positions(n: int, dim: int) -> Tensor:
    """Return the fixed position codes of Vaswani et al. 2017 (arXiv 1706.03762, section 3.5), shape (n, dim), dim even."""
    rate = torch.exp(torch.arange(0, dim, 2, dtype=torch.float64) * (-math.log(10000.0) / dim))
    angle = torch.arange(n, dtype=torch.float64)[:, None] * rate  # (n, dim / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2).float()
