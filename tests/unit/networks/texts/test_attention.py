"""Attention is its formula written out, padding is nothing, and exact shares are a row's own to the last bit."""

import math
from typing import get_args

import pytest
import torch

from ganrnn import exact
from ganrnn.networks.texts.attention import READ_BITS, Attention, AttentionKind, ExactAttention, mixed
from ganrnn.text.vocabulary import PAD

N, T, S, Q, M = 4, 5, 7, 6, 3
LENGTHS = (7, 3, 1, 5)

kinds = pytest.mark.parametrize(
    ("kind", "covers"), [(kind, covers) for kind in get_args(AttentionKind) for covers in (False, True)]
)


def attention_of(kind: AttentionKind, covers: bool, query_dim: int = Q, memory_dim: int = M) -> Attention:
    """With weights that make some places count much more than others, and coverage weights that are not 0."""
    torch.manual_seed(0)
    attention = Attention(kind, query_dim, memory_dim, covers)
    attention.to_key.weight.data *= 2.0
    if attention.energy is not None:
        attention.energy.data *= 4.0
    if attention.covering is not None:
        torch.nn.init.uniform_(attention.covering, -1.5, 1.5)
    return attention.requires_grad_(False)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def places(lengths: tuple[int, ...] = LENGTHS, num: int = S) -> torch.Tensor:
    return torch.arange(num) < torch.tensor(lengths)[:, None]


def energy(attention: Attention, query: list[float], memory: list[float], covered: float) -> float:
    """Of one place for one query, by loops over the features."""
    to_key = attention.to_key.weight.tolist()
    keys = [sum(w * x for w, x in zip(row, memory, strict=True)) for row in to_key]
    if attention.to_query is None or attention.energy is None:
        bonus = 0.0 if attention.covering is None else attention.covering.item() * covered
        return sum(q * k for q, k in zip(query, keys, strict=True)) + bonus
    total = 0.0
    for i, v in enumerate(attention.energy.tolist()):
        inner = keys[i] + attention.to_query.bias[i].item()
        for j, q in enumerate(query):
            inner += attention.to_query.weight[i, j].item() * q
        if attention.covering is not None:
            inner += attention.covering[i].item() * covered
        total += v * math.tanh(inner)
    return total


def by_loops(attention: Attention, queries: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
    """Shares [N, T, S], one place after the other."""
    result = torch.zeros(len(queries), queries.shape[1], memory.shape[1], dtype=torch.float64)
    for row, length in enumerate(LENGTHS):
        covered = [0.0] * length
        for step in range(queries.shape[1]):
            query = queries[row, step].tolist()
            parts = [math.exp(energy(attention, query, memory[row, s].tolist(), covered[s])) for s in range(length)]
            for s, part in enumerate(parts):
                result[row, step, s] = part / sum(parts)
                covered[s] += part / sum(parts)
    return result


@kinds
def test_shares_are_the_formula(kind: AttentionKind, covers: bool) -> None:
    attention = attention_of(kind, covers).double()
    queries, memory = normal(N, T, Q, seed=1), normal(N, S, M, seed=2)
    shares = attention(queries, memory, places())
    torch.testing.assert_close(shares, by_loops(attention, queries, memory), rtol=0, atol=1e-12)
    assert shares[0].std() > 0.05  # some places count more than others
    torch.testing.assert_close(shares.sum(2), torch.ones(N, T, dtype=torch.float64), rtol=0, atol=1e-12)


@kinds
def test_padding_gets_nothing_and_changes_nothing(kind: AttentionKind, covers: bool) -> None:
    attention = attention_of(kind, covers)
    queries, memory = normal(N, T, Q, seed=1).float(), normal(N, S, M, seed=2).float()
    shares = attention(queries, memory, places())
    assert torch.equal(shares.movedim(1, 2)[~places()], torch.zeros(N * S - sum(LENGTHS), T))
    longer = torch.cat([memory, torch.zeros(N, 6, M)], 1)
    longer[~places(num=S + 6)] = 1e3
    longer.requires_grad_()
    others = attention(queries, longer, places(num=S + 6))
    torch.testing.assert_close(others[:, :, :S], shares, rtol=0, atol=1e-6)
    assert others[:, :, S:].abs().max() == 0
    (others @ longer).square().sum().backward()
    assert longer.grad is not None
    assert longer.grad[~places(num=S + 6)].abs().max() == 0
    assert longer.grad[places(num=S + 6)].abs().amin(1).min() > 0


@kinds
def test_rows_know_nothing_of_each_other_and_steps_nothing_of_later_ones(kind: AttentionKind, covers: bool) -> None:
    attention = attention_of(kind, covers).double()
    queries, memory = normal(N, T, Q, seed=1), normal(N, S, M, seed=2)
    shares = attention(queries, memory, places())
    for row, length in enumerate(LENGTHS):
        alone = attention(queries[row, None], memory[row, None, :length], torch.ones(1, length, dtype=torch.bool))
        torch.testing.assert_close(alone[0], shares[row, :, :length], rtol=0, atol=1e-12)
    changed = queries.clone()
    changed[:, 2] += 1.0
    moved = (attention(changed, memory, places()) - shares).abs().amax(2)[0]
    assert moved[:2].max() < 1e-12 and moved[2] > 1e-3
    assert (moved[3:].min() > 1e-6) == covers  # what was attended to is remembered, the query is not


@pytest.mark.parametrize("kind", get_args(AttentionKind))
def test_a_new_coverage_changes_nothing_yet_and_learns(kind: AttentionKind) -> None:
    queries, memory = normal(N, T, Q, seed=1).float(), normal(N, S, M, seed=2).float()
    torch.manual_seed(0)
    plain = Attention(kind, Q, M, covers=False)
    torch.manual_seed(0)
    covering = Attention(kind, Q, M, covers=True)
    assert covering.covering is not None and covering.covering.shape == (Q if kind == "additive" else 1,)
    assert covering.covering.abs().max() == 0
    shares = covering(queries, memory, places())
    torch.testing.assert_close(shares, plain(queries, memory, places()), rtol=0, atol=1e-6)
    shares[:, -1].square().sum().backward()
    assert covering.covering.grad is not None and covering.covering.grad.abs().min() > 0


def test_coverage_drives_attention_from_place_to_place() -> None:
    attention = attention_of("multiplicative", True, 1, 1)
    attention.to_key.weight.data[:] = 1.0
    assert attention.covering is not None
    attention.covering.data[:] = -100.0
    memory = torch.tensor([[[3.0], [2.0], [1.0]]])  # with a query of 20 their energies are 60, 40 and 20
    shares = attention(torch.full((1, 3, 1), 20.0), memory, torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(shares[0], torch.eye(3), rtol=0, atol=1e-6)


def exact_case(kind: AttentionKind, covers: bool) -> tuple[Attention, torch.Tensor, torch.Tensor]:
    """An attention with features enough for its sums to be rounded, queries of an RNN's size and memory, snapped."""
    attention = attention_of(kind, covers, 16, 24)
    return attention, exact.snapped(normal(N, T, 16, seed=1).tanh()), exact.snapped(normal(N, S, 24, seed=2).tanh())


def stepped(attention: ExactAttention, queries: torch.Tensor, memory: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
    """Shares [N, T, S], one step after the other."""
    keys, covered, shares = attention.keys(memory), memory.new_zeros(memory.shape[:2]), []
    for query in queries.unbind(1):
        shares.append(attention.shares(query, keys, held, covered))
        covered = covered + shares[-1]
    return torch.stack(shares, 1)


@kinds
def test_exact_shares_are_near_those_of_the_network(kind: AttentionKind, covers: bool) -> None:
    attention, queries, memory = exact_case(kind, covers)
    shares = stepped(ExactAttention(attention), queries, memory, places())
    keys = ExactAttention(attention).keys(memory)
    assert torch.equal(exact.snapped(keys), keys)  # else products with them would not be exact
    torch.testing.assert_close(keys, attention.to_key(memory.float()).double(), rtol=0, atol=2e-4)
    assert shares.dtype == torch.float64 and torch.equal(shares, exact.snapped(shares, READ_BITS, 1.0))
    assert (shares.sum(2) - 1).abs().max() <= S * 2.0 ** -(READ_BITS + 1)
    assert shares.movedim(1, 2)[~places()].abs().max() == 0
    expected = attention(queries.float(), memory.float(), places())
    torch.testing.assert_close(shares, expected.double(), rtol=0, atol=1e-4)
    assert shares[0].std() > 0.05


@kinds
def test_exact_shares_of_a_row_have_the_same_bits_in_any_company(kind: AttentionKind, covers: bool) -> None:
    held, queries, memory = exact_case(kind, covers)
    attention = ExactAttention(held)
    shares = stepped(attention, queries, memory, places())
    for row, length in enumerate(LENGTHS):
        own = torch.ones(1, length, dtype=torch.bool)
        alone = stepped(attention, queries[row, None], memory[row, None, :length], own)
        assert torch.equal(alone[0], shares[row, :, :length])
    order = torch.tensor([2, 0, 3, 1])
    assert torch.equal(stepped(attention, queries[order], memory[order], places()[order]), shares[order])
    longer = torch.cat([memory, exact.snapped(normal(N, 30, 24, seed=3))], 1)
    longer[~places(num=S + 30)] = 31.5
    more = stepped(attention, queries, longer, places(num=S + 30))
    assert torch.equal(more[:, :, :S], shares) and more[:, :, S:].abs().max() == 0


@kinds
def test_neither_the_order_of_features_nor_that_of_places_changes_an_exact_bit(
    kind: AttentionKind, covers: bool
) -> None:
    held, queries, memory = exact_case(kind, covers)
    shares = stepped(ExactAttention(held), queries, memory, places())
    around = torch.tensor([3, 6, 0, 5, 2, 4, 1])
    turned = stepped(ExactAttention(held), queries, memory[:, around], places()[:, around])
    assert torch.equal(turned, shares[:, :, around])
    order = torch.randperm(24, generator=torch.Generator().manual_seed(4))
    held.to_key.weight.data = held.to_key.weight.data[:, order]
    assert torch.equal(stepped(ExactAttention(held), queries, memory[:, :, order], places()), shares)


def test_the_most_places_are_read_exactly() -> None:
    # Values of 19 bits times shares of 20: the sum over 2^14 places is that of integers.
    shares = exact.snapped(torch.rand(1, 2**14, generator=torch.Generator().manual_seed(0)), READ_BITS, 1.0)
    values = exact.snapped(40.0 * normal(1, 2**14, 2, seed=5))
    result = (shares[:, None] @ values)[0, 0].tolist()
    for feature in range(2):
        pairs = zip(shares[0].tolist(), values[0, :, feature].tolist(), strict=True)
        units = sum(int(share * 2**READ_BITS) * int(value * 2**exact.VALUE_BITS) for share, value in pairs)
        assert result[feature] * 2.0 ** (READ_BITS + exact.VALUE_BITS) == units


V = 9
SOURCE = torch.tensor([[4, 5, 4, 8, 3], [7, 7, 3, PAD, PAD]])


def copy_case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits [2, 3, V], the odds of writing [2, 3] and shares [2, 3, 5] that are 0 at padding."""
    there = SOURCE != PAD
    shares = normal(2, 3, 5, seed=2).masked_fill(~there[:, None], -torch.inf).softmax(2)
    return normal(2, 3, V), normal(2, 3, seed=1), shares


def test_tokens_are_written_or_copied() -> None:
    logits, written, shares = copy_case()
    result = mixed(logits, written, shares, SOURCE).exp()
    torch.testing.assert_close(result.sum(2), torch.ones(2, 3, dtype=torch.float64), rtol=0, atol=1e-12)
    for row in range(2):
        for step in range(3):
            writes = 1 / (1 + math.exp(-written[row, step].item()))
            parts = [math.exp(value) for value in logits[row, step].tolist()]
            expected = [writes * part / sum(parts) for part in parts]
            for token, share in zip(SOURCE[row].tolist(), shares[row, step].tolist(), strict=True):
                expected[token] += (1 - writes) * share
            assert result[row, step].tolist() == pytest.approx(expected, abs=1e-12)


def test_what_is_only_copied_is_of_the_source_and_repeated_tokens_add_up() -> None:
    logits, written, shares = copy_case()
    result = mixed(logits, torch.full_like(written, -200.0), shares, SOURCE).exp()
    first, second = shares[0], shares[1]
    none = torch.zeros(3, dtype=torch.float64)
    columns = {4: first[:, 0] + first[:, 2], 5: first[:, 1], 8: first[:, 3], 3: first[:, 4]}
    expected = torch.stack([columns.get(token, none) for token in range(V)], 1)
    torch.testing.assert_close(result[0], expected, rtol=0, atol=1e-12)
    assert first[:, 2].min() > 0.01 and second[:, 1].min() > 0.01
    columns = {7: second[:, 0] + second[:, 1], 3: second[:, 2]}
    torch.testing.assert_close(
        result[1], torch.stack([columns.get(token, none) for token in range(V)], 1), rtol=0, atol=1e-12
    )
    # What cannot be is as unlikely as a float holds, not minus infinity.
    assert result.log().min().item() == pytest.approx(math.log(1e-30))
    only_written = mixed(logits, torch.full_like(written, 200.0), shares, SOURCE)
    torch.testing.assert_close(only_written, logits.log_softmax(2), rtol=0, atol=1e-12)


def test_gradients_of_a_mixture_are_finite_and_reach_all_of_it() -> None:
    held = [tensor.float().requires_grad_() for tensor in copy_case()]
    logits, written, shares = held
    result = mixed(logits, written, shares, SOURCE)
    result[:, :, 4].sum().backward()
    for tensor in held:
        assert tensor.grad is not None and tensor.grad.isfinite().all() and tensor.grad.abs().max() > 1e-3
