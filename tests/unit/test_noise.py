"""Noise is a function of its key: pinned numbers, normal moments, nothing learnt from neighbours."""

import numpy as np
import pytest
import torch

from ganrnn import noise

KEYS = [(0, "p0/0"), (7, "红/3")]


def test_pinned_numbers() -> None:
    assert noise.uniform(4, 0, "p0/0").tolist() == [
        0.9480019555480735,
        0.080660675843655,
        0.012005317562346574,
        0.12659323429624247,
    ]
    expected = torch.tensor(
        [
            [1.7021632194519043, -0.12122416496276855, -0.0964660570025444, 1.7365882396697998, 0.391796737909317],
            [0.4493340253829956, 1.497825264930725, -0.42301154136657715, 0.4845863878726959, -0.3840239644050598],
        ]
    )
    # Logarithm and cosine differ in the last place between processors.
    torch.testing.assert_close(noise.normal(KEYS, 5), expected, rtol=1e-6, atol=1e-6)


def test_pinned_permutation() -> None:
    assert noise.permutation(10, 3, "rows/0/0").tolist() == [8, 2, 4, 1, 6, 9, 0, 5, 3, 7]


@pytest.mark.parametrize("num", [0, 1, 2, 1_000])
def test_a_permutation_holds_every_number_once(num: int) -> None:
    order = noise.permutation(num, 0, "rows")
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(num))


def test_keys_with_the_same_text_in_other_parts_differ() -> None:
    first = noise.uniform(2, 1, "2/3")
    assert first.tolist() != noise.uniform(2, 12, "/3").tolist()
    assert first.tolist() != noise.uniform(2, 1, "2/30").tolist()
    assert noise.permutation(50, 0, "a").tolist() != noise.permutation(50, 1, "a").tolist()


def test_uniform_values_fill_their_range() -> None:
    values = noise.uniform(100_000, 0, "range")
    assert 0 <= values.min() < 1e-4 and 1 - 1e-4 < values.max() < 1
    assert abs(values.mean() - 0.5) < 4 * (1 / 12 / 100_000) ** 0.5


def test_moments_of_a_hundred_thousand_draws() -> None:
    drawn = noise.normal([(5, f"p{i}/0") for i in range(1_000)], 100).double()
    count = drawn.numel()
    # Within four standard errors of the moments of a standard normal: 0, 1, 0, 3.
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((drawn**power).mean().item() - moment) < 4 * (variance / count) ** 0.5, power
    assert abs((drawn.abs() > 1.959964).double().mean().item() - 0.05) < 4 * (0.05 * 0.95 / count) ** 0.5
    # The halves of Box-Muller, neighbouring columns and neighbouring rows are uncorrelated.
    for one, other in (
        (drawn[:, :50], drawn[:, 50:]),
        (drawn[:, :-1], drawn[:, 1:]),
        (drawn[:-1], drawn[1:]),
    ):
        assert abs((one * other).mean().item()) < 4 * one.numel() ** -0.5


def test_a_row_depends_on_its_own_key_alone() -> None:
    keys = [(seed, f"p{i}/{k}") for seed in (0, 1) for i in range(5) for k in range(2)]
    together = noise.normal(keys, 8)
    alone = torch.cat([noise.normal([key], 8) for key in keys])
    backwards = noise.normal(keys[::-1], 8).flip(0)
    assert torch.equal(together, alone) and torch.equal(together, backwards)
    assert len({tuple(row) for row in together.tolist()}) == len(keys)


@pytest.mark.parametrize("dim", [1, 2, 3, 7])
def test_any_dim(dim: int) -> None:
    drawn = noise.normal(KEYS, dim)
    assert drawn.shape == (2, dim) and drawn.dtype == torch.float32
    assert torch.isfinite(drawn).all()


def test_no_keys_give_no_rows() -> None:
    assert noise.normal([], 4).shape == (0, 4)


def test_between_two_noises_the_length_is_theirs() -> None:
    start, end = noise.normal([(0, "a"), (0, "b")], 512), noise.normal([(1, "a"), (1, "b")], 512)
    assert torch.equal(noise.between(start, end, 0), start) and torch.equal(noise.between(start, end, 1), end)
    lengths = torch.stack([noise.between(start, end, share).norm(dim=1) for share in (0, 0.25, 0.5, 0.75, 1)])
    assert (lengths.amax(0) / lengths.amin(0)).max() < 1.15  # half of the sum has 0.71 of their length
    turned = noise.between(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]]), 1 / 3)
    torch.testing.assert_close(turned, torch.tensor([[3**0.5, 1.0]]))


def test_between_a_noise_and_itself_or_its_opposite_lies_a_line() -> None:
    start = noise.normal([(0, "a")], 32)
    for share in (0.1, 0.3, 0.7):
        assert torch.equal(noise.between(start, start, share), start)
    torch.testing.assert_close(noise.between(start, -start, 0.25), 0.5 * start)
