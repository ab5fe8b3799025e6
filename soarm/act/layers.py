"""Transformer layers of ACT: post-norm, ReLU, positions added to queries and keys but not to values (as in DETR).

Parameters have the names and shapes of `torch.nn.MultiheadAttention` and of LeRobot's ACT layers, so that weights can be
exchanged. Knows no robot. B batch (1 where nothing depends on the row), T and S tokens, D width, H heads.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from soarm.act.dropout import Dropout


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
        self.dropout = Dropout(dropout)
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
        weight_q, weight_k, weight_v = self.in_proj_weight.chunk(3)
        bias_q, bias_k, bias_v = self.in_proj_bias.chunk(3)
        if query is key:
            qk = F.linear(query, self.in_proj_weight[: 2 * dim], self.in_proj_bias[: 2 * dim])
            q, k = self._heads(qk[..., :dim]), self._heads(qk[..., dim:])
        else:
            q, k = self._heads(F.linear(query, weight_q, bias_q)), self._heads(F.linear(key, weight_k, bias_k))
        v = self._heads(F.linear(value, weight_v, bias_v))
        out = self._weights(q @ k.transpose(-2, -1), mask) @ v  # (B, H, T, D / H)
        attended: Tensor = self.out_proj(out.transpose(1, 2).flatten(-2))  # (B, T, D)
        return attended

    def pool(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend with one query per row: the function of `forward` for T = 1, by a shorter way.

        Keys and values are never projected. q . (W k + b) is (W' q) . k plus a number that the softmax ignores, and the sum of
        weighted projected values is the projection of the weighted sum: S D D multiplications become S D H.

        Args:
            query: (B, 1, D).
            key: (B, S, D).
            value: (B, S, D).
            mask: As `forward`.

        Returns:
            (B, 1, D).
        """
        dim = query.shape[-1]
        weight_q, weight_k, weight_v = self.in_proj_weight.chunk(3)
        bias_q, _, bias_v = self.in_proj_bias.chunk(3)
        q = F.linear(query[:, 0], weight_q, bias_q).view(-1, self.n_heads, dim // self.n_heads)  # (B, H, D / H)
        probe = torch.einsum("bhi,hid->bhd", q, weight_k.view(self.n_heads, -1, dim))
        weights = self._weights((probe @ key.transpose(-2, -1))[:, :, None], mask)[:, :, 0]  # (B, H, S)
        pooled = torch.einsum("bhd,hid->bhi", weights @ value, weight_v.view(self.n_heads, -1, dim))  # (B, H, D / H)
        pooled = pooled + weights.sum(dim=-1, keepdim=True) * bias_v.view(self.n_heads, -1)  # dropout: sum is not 1
        attended: Tensor = self.out_proj(pooled.flatten(1)[:, None])  # (B, 1, D)
        return attended

    def _heads(self, x: Tensor) -> Tensor:
        """Return (B, T, D) as (B, H, T, D / H)."""
        return x.view(*x.shape[:-1], self.n_heads, -1).transpose(1, 2)

    def _weights(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        """Turn dot products into weights that sum to 1 over the last axis, but for dropout."""
        scores = scores * (self.in_proj_weight.shape[1] // self.n_heads) ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        weights: Tensor = self.dropout(scores.softmax(dim=-1))
        return weights


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
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, position: Tensor, mask: Tensor | None = None) -> Tensor:
        """Transform tokens.

        Args:
            x: (B, S, D).
            position: (S, D).
            mask: True where a token may be looked at, broadcastable to (B, H, S, S).

        Returns:
            (B, S, D).
        """
        key = x + position
        return self._feed_forward(x, self.self_attn(key, key, x, mask))

    def first_token(self, x: Tensor, position: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return `forward(...)[:, 0]`, shape (B, D), without computing the other tokens."""
        key = x + position
        return self._feed_forward(x[:, :1], self.self_attn.pool(key[:, :1], key, x, mask))[:, 0]

    def _feed_forward(self, x: Tensor, attended: Tensor) -> Tensor:
        x = self.norm1(x + self.dropout(attended))
        out: Tensor = self.norm2(x + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(x))))))
        return out


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
        self.dropout = Dropout(dropout)

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
        out: Tensor = self.norm3(x + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(x))))))
        return out


def sinusoidal_positions(n: int, dim: int) -> Tensor:
    """Return the fixed position codes of Vaswani et al. 2017 (arXiv 1706.03762, section 3.5), shape (n, dim), dim even."""
    rate = torch.exp(torch.arange(0, dim, 2, dtype=torch.float64) * (-math.log(10000.0) / dim))
    angle = torch.arange(n, dtype=torch.float64)[:, None] * rate  # (n, dim / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2).float()


def cell_positions(height: int, width: int, dim: int) -> Tensor:
    """Return the fixed position codes of a map's cells, row by row, shape (height * width, dim), dim a multiple of 4.

    DETR's (Carion et al. 2020, arXiv 2005.12872) as LeRobot has them: the row's code and then the column's, of positions that
    run from 1 / n of a turn to one turn.
    """
    rate = 10000 ** (2 * (torch.arange(dim // 2, dtype=torch.float32) // 2) / (dim // 2))

    def codes(n: int) -> Tensor:
        angle = (torch.arange(1, n + 1, dtype=torch.float32) / (n + 1e-6) * (2 * math.pi))[:, None] / rate  # (n, dim / 2)
        return torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], dim=-1).flatten(-2)

    rows, columns = codes(height)[:, None].expand(-1, width, -1), codes(width)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)
