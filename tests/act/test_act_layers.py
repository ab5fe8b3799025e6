"""Transformer layers against torch's own."""

import pytest
import torch
from torch import nn

from soarm.act.dropout import Dropout
from soarm.act.layers import Attention, EncoderLayer, sinusoidal_positions


@pytest.fixture
def attention():
    torch.manual_seed(0)
    layer = Attention(dim=12, n_heads=3, dropout=0.0)
    nn.init.normal_(layer.in_proj_bias)
    nn.init.normal_(layer.out_proj.bias)
    return layer


@pytest.fixture
def reference(attention):
    layer = nn.MultiheadAttention(12, 3, batch_first=True)
    layer.load_state_dict(attention.state_dict())
    return layer


@pytest.mark.parametrize("same", [True, False], ids=["query is key", "query is not key"])
def test_attention_is_torchs(attention, reference, same):
    query, value = torch.randn(2, 5, 12), torch.randn(2, 5 if same else 4, 12)
    key = query if same else torch.randn(2, 4, 12)
    is_pad = torch.rand(value.shape[:2]) > 0.7
    is_pad[:, 0] = False

    found = attention(query, key, value, ~is_pad[:, None, None])

    expected, _ = reference(query, key, value, key_padding_mask=is_pad)
    torch.testing.assert_close(found, expected)


def test_a_query_shared_by_all_rows_is_asked_in_each(attention):
    query, memory = torch.randn(1, 5, 12), torch.randn(3, 4, 12)

    torch.testing.assert_close(attention(query, memory, memory), attention(query.expand(3, -1, -1), memory, memory))


def test_pooling_is_attention_with_one_query_in_value_and_gradient(attention):
    key, value = torch.randn(2, 5, 12, requires_grad=True), torch.randn(2, 5, 12, requires_grad=True)
    mask = torch.tensor([[True, True, False, True, False], [True] * 5])[:, None, None]
    inputs = [key, value, attention.in_proj_weight, attention.out_proj.weight]

    short = attention.pool(key[:, :1], key, value, mask)
    long = attention(key[:, :1], key, value, mask)

    torch.testing.assert_close(short, long)
    gradients = [torch.autograd.grad(out.sin().sum(), inputs) for out in (short, long)]
    for left, right in zip(*gradients, strict=True):
        torch.testing.assert_close(left, right)


def test_the_first_token_of_an_encoder_layer_is_what_the_whole_layer_gives():
    torch.manual_seed(1)
    layer = EncoderLayer(12, 3, 24, dropout=0.3).eval()
    x, position = torch.randn(2, 6, 12), torch.randn(6, 12)
    mask = torch.tensor([True, True, False, True, True, False])[None, None, None]

    torch.testing.assert_close(layer.first_token(x, position, mask), layer(x, position, mask)[:, 0])


def test_an_encoder_layer_is_torchs_where_positions_are_zero():
    torch.manual_seed(2)
    layer = EncoderLayer(12, 3, 24, dropout=0.0)
    reference = nn.TransformerEncoderLayer(12, 3, 24, dropout=0.0, batch_first=True)
    reference.load_state_dict(layer.state_dict())
    x = torch.randn(2, 6, 12)

    torch.testing.assert_close(layer(x, torch.zeros(6, 12)), reference(x))


def test_sinusoidal_positions_are_those_of_the_paper():
    found = sinusoidal_positions(9, 6)

    i, frequency = 7, 10000 ** (-4 / 6)
    expected = torch.tensor([i * frequency]).sin(), torch.tensor([i * frequency]).cos()
    torch.testing.assert_close(found[i, 4:], torch.cat(expected))
    assert found.shape == (9, 6)
    assert (found[0] == torch.tensor([0.0, 1.0] * 3)).all()


def test_dropout_drops_the_share_it_was_asked_to_and_keeps_the_mean():
    torch.manual_seed(3)

    out = Dropout(0.3)(torch.ones(401, 1003))

    share, std = (out == 0).float().mean(), (0.3 * 0.7 / out.numel()) ** 0.5
    assert abs(share - 0.3) < 4 * std
    torch.testing.assert_close(out[out != 0], torch.full((int((out != 0).sum()),), 1 / 0.7), rtol=1e-4, atol=0)


def test_dropout_treats_every_place_and_every_call_alike():
    torch.manual_seed(4)
    layer = Dropout(0.5)

    kept = torch.stack([layer(torch.ones(3, 7)) != 0 for _ in range(2000)]).float()

    assert (kept.mean(dim=0) - 0.5).abs().max() < 0.06
    correlation = torch.corrcoef(kept.flatten(1).T) - torch.eye(21)
    assert correlation.abs().max() < 0.12


def test_dropout_drops_the_gradient_with_the_value():
    torch.manual_seed(5)
    x = torch.ones(4, 5, requires_grad=True)

    out = Dropout(0.5)(x)
    out.sum().backward()

    assert (x.grad == out.detach()).all()


@pytest.mark.parametrize("layer", [Dropout(0.0), Dropout(0.9).eval()], ids=["p is 0", "evaluation"])
def test_dropout_can_be_the_identity(layer):
    x = torch.randn(3, 4)

    assert layer(x) is x
