"""Exact arithmetic: the functions are those of torch, and neither order, batch nor threads change a bit of a sum."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from ganrnn import exact

INF = math.inf


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def two_threads() -> Iterator[Callable[[], None]]:
    yield lambda: torch.set_num_threads(2)
    torch.set_num_threads(1)


def test_snapped_numbers_are_the_nearest_multiples_within_the_range() -> None:
    x = torch.tensor([0.0, 2.0**-15, 3 * 2.0**-15, -(2.0**-14), 0.3, 31.99999, 33.0, -1e9, INF], dtype=torch.float64)
    expected = [0.0, 0.0, 2.0**-13, -(2.0**-14), 4915 * 2.0**-14, 32.0, 32.0, -32.0, 32.0]
    assert exact.snapped(x).tolist() == expected
    assert exact.snapped(x.float()).dtype == torch.float64
    assert exact.snapped(exact.snapped(normal(1_000))).equal(exact.snapped(normal(1_000)))
    assert (exact.snapped(normal(1_000)) - normal(1_000)).abs().max() <= 2.0**-15


def grid() -> torch.Tensor:
    return torch.cat([torch.linspace(-60, 60, 100_001, dtype=torch.float64), normal(10_000), normal(10_000) / 1_000])


def test_functions_are_those_of_torch() -> None:
    x = grid()
    torch.testing.assert_close(exact.exp(x), x.exp(), rtol=1e-8, atol=0)
    torch.testing.assert_close(exact.exp(x.float()), x.float().double().exp().float(), rtol=1e-6, atol=0)
    # These are rounded to 2^-14 afterwards.
    torch.testing.assert_close(exact.sigmoid(x), x.sigmoid().float(), rtol=5e-6, atol=1e-20)
    torch.testing.assert_close(exact.tanh(x), x.tanh().float(), rtol=0, atol=3e-7)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_functions_at_the_ends(dtype: torch.dtype) -> None:
    ends = torch.tensor([-INF, -1e30, -60.0, 0.0, 60.0, INF], dtype=dtype)
    least, most = (pytest.approx(math.exp(end), rel=1e-9 if dtype == torch.float64 else 1e-6) for end in (-60, 60))
    assert exact.exp(ends).tolist() == [least, least, least, 1.0, most, most]
    assert exact.sigmoid(ends).tolist() == pytest.approx([0.0] * 3 + [0.5] + [1.0] * 2, abs=1e-25)
    assert exact.tanh(ends).tolist() == [-1.0] * 3 + [0.0] + [1.0] * 2
    assert exact.shares(ends[None, :4].double()).tolist() == [[0.0, 0.0, 0.0, 1.0]]


def test_functions_do_not_depend_on_what_stands_beside() -> None:
    x = normal(64, 33, scale=5.0)
    for function in (exact.exp, exact.sigmoid, exact.tanh, exact.snapped):
        whole = function(x)
        assert torch.equal(whole, torch.stack([function(row) for row in x]))
        assert torch.equal(whole, function(x.T).T)


def positive() -> torch.Tensor:
    """All magnitudes of float64 but denormals, which may be flushed: powers of two, beside them, close around 1."""
    powers = torch.ldexp(torch.ones(2045, dtype=torch.float64), torch.arange(-1021, 1024))
    beside = torch.stack([powers * (1 - 2.0**-53), powers * (1 + 2.0**-52)]).flatten()
    half = powers[1:] * math.sqrt(0.5)  # where the series is its own centre
    uniform = torch.rand(10_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    spread = (80 * torch.linspace(-1, 1, 20_001, dtype=torch.float64)).exp()
    return torch.cat([powers, beside, half, spread, 1 + normal(10_000) / 1_000, uniform + 2**-30])


def test_log_is_that_of_math() -> None:
    x = positive()
    expected = torch.tensor([math.log(value) for value in x.tolist()], dtype=torch.float64)
    values = exact.log(x)
    assert values.dtype == torch.float64
    assert ((values - expected).abs() <= 1e-11 * expected.abs().clamp_min(1.0)).all()
    torch.testing.assert_close(exact.exp(values[values.abs() < 60]), x[values.abs() < 60], rtol=1e-8, atol=0)


def test_log_does_not_depend_on_what_stands_beside(two_threads: Callable[[], None]) -> None:
    x = positive()[: 64 * 301]
    whole = exact.log(x)
    assert torch.equal(torch.stack([exact.log(value) for value in x[::97]]), whole[::97])
    for size in (1, 3, 7, 64, 1_000):
        assert torch.equal(torch.cat([exact.log(part) for part in x[: 20 * size].split(size)]), whole[: 20 * size])
    grid = x.view(64, 301)
    assert torch.equal(exact.log(grid), whole.view(64, 301))
    assert torch.equal(exact.log(grid.T), whole.view(64, 301).T)
    assert torch.equal(exact.log(grid[:, 5::3]), whole.view(64, 301)[:, 5::3])
    assert torch.equal(exact.log(grid.flip(1)).flip(1).flatten(), whole)
    many = positive().repeat(4)  # enough to be shared out
    alone = exact.log(many)
    two_threads()
    assert torch.equal(exact.log(many), alone)


@pytest.fixture(scope="module")
def linear_case() -> tuple[exact.Linear, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A layer of 300 inputs and 50 outputs, its weight and bias, and 64 rows of inputs."""
    weight, bias = normal(50, 300, seed=1, scale=0.1).float(), normal(50, seed=2).float()
    return exact.Linear(weight, bias), weight, bias, exact.snapped(normal(64, 300, seed=3, scale=2.0))


def test_a_product_is_close_to_that_in_float64(
    linear_case: tuple[exact.Linear, torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    linear, weight, bias, x = linear_case
    expected = x @ weight.double().T + bias.double()
    # Each of 300 weights is off by at most 2^-19 of the largest power of two, its input is about 2.
    assert (linear(x) - expected).abs().max() < 6 * 2.0 * 300**0.5 * 2.0**-19
    # Rounding is seen, else nothing of this module would be.
    assert (linear(x) - expected).abs().max() > 1e-7
    assert linear.bias is not None and torch.equal(exact.Linear(weight)(x) + linear.bias, linear(x))


def test_no_order_of_the_inputs_changes_a_bit(
    linear_case: tuple[exact.Linear, torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    linear, weight, bias, x = linear_case
    expected = linear(x)
    different = 0
    for seed in range(5):
        order = torch.randperm(300, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(exact.Linear(weight[:, order], bias)(x[:, order]), expected)
        plain = x.float() @ weight.T
        different += int((x[:, order].float() @ weight[:, order].T != plain).sum())
    assert different > 0  # as it does in float32
    total = torch.zeros_like(expected)
    for i in range(300):
        total += x[:, i, None] * linear.weight[:, i]
    assert linear.bias is not None and torch.equal(total + linear.bias, expected)


def test_neither_batch_layout_nor_threads_change_a_bit(
    linear_case: tuple[exact.Linear, torch.Tensor, torch.Tensor, torch.Tensor], two_threads: Callable[[], None]
) -> None:
    linear, _, _, x = linear_case
    expected = linear(x)
    for size in (1, 7, 64):
        assert torch.equal(torch.cat([linear(part) for part in x.split(size)]), expected)
    assert torch.equal(torch.stack([linear(row) for row in x]), expected)
    assert torch.equal(linear(x.T.contiguous().T), expected)
    assert torch.equal(linear(x.repeat(1, 2)[:, :300]), expected)
    assert torch.equal(linear(x.view(4, 16, 300)).view(64, 50), expected)
    assert torch.equal(linear(x.flip(0)).flip(0), expected)
    wide = exact.Linear(normal(700, 1_024, seed=4), normal(700, seed=5))
    rows = exact.snapped(normal(96, 1_024, seed=6))
    alone = wide(rows)
    two_threads()
    assert torch.equal(linear(x), expected)
    assert torch.equal(wide(rows), alone)


@pytest.mark.parametrize("largest", [1e-8, 0.3, 1.0, 0.99999999, 1.5, 777.0])
def test_sums_stay_exact_at_the_extremes(largest: float) -> None:
    # All weights of the largest size, all inputs clipped: no sum may reach 2^53 of the smallest steps.
    weight = torch.full((2, exact.MAX_INPUTS), largest, dtype=torch.float64)
    weight[1, ::2] *= -1
    step = math.ldexp(1.0, math.frexp(largest)[1] - exact.WEIGHT_BITS - exact.VALUE_BITS)
    bias = torch.tensor([2.0**52 - 1, 2.0**51 + 1], dtype=torch.float64) * step
    linear = exact.Linear(weight, bias)
    x = exact.snapped(torch.full((1, exact.MAX_INPUTS), 1e6))
    assert x.unique().tolist() == [32.0]
    units = [round(value / step) for value in (32.0 * linear.weight[0]).tolist()]
    assert max(units) <= 2**37 and sum(units) + 2**52 - 1 < 2**53
    values = linear(x)[0].tolist()
    assert [value / step for value in values] == [sum(units) + 2**52 - 1, 2**51 + 1]
    # One step more or less of a single product is not lost.
    x[0, 5] -= 2.0**-exact.VALUE_BITS
    assert (linear(x)[0, 0] - values[0]).item() == -linear.weight[0, 5].item() * 2.0**-exact.VALUE_BITS


def test_too_many_inputs_and_a_bias_that_drowns_its_weights_are_our_bugs() -> None:
    with pytest.raises(AssertionError):
        exact.Linear(torch.ones(1, exact.MAX_INPUTS + 1))
    with pytest.raises(AssertionError, match="a million times"):
        exact.Linear(torch.full((1, 4), 1e-6), torch.full((1,), 10.0))


def test_shares_and_softmax() -> None:
    logits = exact.snapped_logits(normal(9, 40, scale=4.0))
    logits[:, 3] = -INF
    shares = exact.shares(logits)
    largest = logits.amax(1, keepdim=True)
    torch.testing.assert_close(shares, (logits - largest).exp(), rtol=0, atol=3e-10)
    assert torch.equal(shares * 2.0**36, (shares * 2.0**36).round())
    assert shares.amax(1).tolist() == [1.0] * 9 and shares[:, 3].tolist() == [0.0] * 9
    softmax = exact.softmax(logits)
    torch.testing.assert_close(softmax, logits.softmax(1), rtol=0, atol=1e-9)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(exact.softmax(logits[:, order]), softmax[:, order])
    # Rows of attention have an axis more.
    assert torch.equal(exact.softmax(logits.view(3, 3, 40)).view(9, 40), softmax)


def test_sums_of_the_most_shares_are_exact() -> None:
    # One share in full and 2^16 - 1 that differ in their last bits.
    logits = exact.snapped_logits(normal(1, exact.MAX_TOKENS, scale=0.01))
    shares = exact.shares(logits)
    units = sum(int(value * 2.0**36) for value in shares[0].tolist())
    assert units < 2**53
    assert int(shares.sum().item() * 2.0**36) == units
    assert int(shares.cumsum(1)[0, -1].item() * 2.0**36) == units
    assert int(shares.flip(1).cumsum(1)[0, -1].item() * 2.0**36) == units


def test_log_sum() -> None:
    logits = exact.snapped_logits(normal(9, 40, scale=4.0))
    logits[2, :39] = -INF
    logits[3] = 7.25
    logits[4] -= 900.0
    sums = exact.log_sum(logits)
    torch.testing.assert_close(sums, logits.logsumexp(1), rtol=0, atol=2.0**-20)
    assert sums[2].item() == logits[2, 39].item()
    assert torch.equal(sums * 2.0**20, (sums * 2.0**20).round())
    assert torch.equal(torch.cat([exact.log_sum(row[None].flip(1)) for row in logits]), sums)


def test_snapped_logits_keep_what_may_not_be() -> None:
    logits = torch.tensor([[-INF, -2_000.0, 2_000.0, INF, 0.5, 2.0**-21 + 2.0**-30]], dtype=torch.float64)
    assert exact.snapped_logits(logits).tolist() == [[-INF, -1_000.0, 1_000.0, 1_000.0, 0.5, 2.0**-20]]


def test_ranks_order_by_logit_and_then_by_place() -> None:
    coarse = (normal(20, 500, scale=3.0)).round() / 4
    fine = exact.snapped_logits(torch.tensor([[0.0, 2.0**-20, -(2.0**-20), 2.0**-20, 1_000.0, -1_000.0] * 50]))
    for logits in (exact.snapped_logits(coarse), fine):
        keys = exact.ranks(logits)
        for row, key in zip(logits.tolist(), keys.tolist(), strict=True):
            assert len(set(row)) < len(row) / 2 and len(set(key)) == len(key)
            order = sorted(range(len(row)), key=lambda token: (-row[token], token))
            assert sorted(range(len(key)), key=lambda token: -key[token]) == order
        assert keys.argmax(1).tolist() == [row.index(max(row)) for row in logits.tolist()]


def test_ranks_of_the_most_tokens_at_the_largest_logits_are_unique() -> None:
    for value in (exact.LARGEST_LOGIT, -exact.LARGEST_LOGIT, exact.LARGEST_LOGIT - 2.0**-20):
        keys = exact.ranks(torch.full((1, exact.MAX_TOKENS), value, dtype=torch.float64))
        assert (keys.diff() == -1).all()
    lower = exact.ranks(torch.full((1, exact.MAX_TOKENS), 3.0 - 2.0**-20, dtype=torch.float64))
    upper = exact.ranks(torch.full((1, exact.MAX_TOKENS), 3.0, dtype=torch.float64))
    assert lower.max() < upper.min()


def test_what_may_not_be_ranks_last() -> None:
    keys = exact.ranks(torch.tensor([[-INF, -1_000.0, -INF, 5.0]], dtype=torch.float64))
    assert keys.isneginf().tolist() == [[True, False, True, False]]
    assert keys.topk(2).indices.tolist() == [[3, 1]]


def test_drawn_places_come_as_often_as_their_weights() -> None:
    weights = exact.shares(torch.tensor([[0.5, -INF, 2.0, 1.0, -INF, -7.0], [-INF, -INF, 0.0, -INF, 0.0, -INF]]))
    num = 200_000
    u = (torch.arange(num, dtype=torch.float64) + 0.5) / num
    for row in weights:
        places = exact.sampled_indices(row.expand(num, -1), u)
        frequencies = np.bincount(places.numpy(), minlength=6) / num
        np.testing.assert_allclose(frequencies, (row / row.sum()).numpy(), rtol=0, atol=1.5 / num)
        assert (places.diff() >= 0).all()  # u is a place on the line of weights


def test_drawn_places_at_the_edges() -> None:
    weights = torch.tensor([[0.0, 0.25, 0.0, 0.75, 0.0]], dtype=torch.float64)
    edges = [0.0, 0.25 - 2.0**-53, 0.25, 1.0 - 2.0**-53]
    assert [exact.sampled_indices(weights, torch.tensor([u], dtype=torch.float64)).item() for u in edges] == [
        1,
        1,
        3,
        3,
    ]
    # Whatever the total, the largest u falls on a weight above 0.
    totals = torch.randint(1, 2**40, (5_000,), generator=torch.Generator().manual_seed(0)).double() * 2.0**-36
    rows = torch.stack([totals, torch.zeros_like(totals)], 1)
    assert (exact.sampled_indices(rows, torch.full((5_000,), 1.0 - 2.0**-53, dtype=torch.float64)) == 0).all()
