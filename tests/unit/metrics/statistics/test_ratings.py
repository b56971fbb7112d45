"""Intervals over raters against all resamples there are, Bradley-Terry against its likelihood, sizes by hand."""

import itertools
import math

import numpy as np
import pytest

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics import ratings
from ganrnn.metrics.statistics.intervals import wilson_interval


def test_the_bootstrap_is_that_of_all_resamples_of_raters() -> None:
    counts, totals = np.array([1, 4, 6, 9]), np.array([10, 10, 8, 12])
    every = [list(picks) for picks in itertools.product(range(4), repeat=4)]
    shares = [counts[picks].sum() / totals[picks].sum() for picks in every]
    exact = np.quantile(shares, [0.025, 0.975])
    assert ratings.share_interval(counts, totals, seed=0) == pytest.approx(exact, abs=0.02)
    assert ratings.share_interval(counts, totals, seed=0) == ratings.share_interval(counts, totals, seed=0)
    sums = ratings.resampled_sums(np.stack([counts, totals], axis=1), seed=1, num_resamples=20_000)
    assert sums.mean(axis=0) == pytest.approx([20, 40], rel=0.01)


def test_raters_who_answered_nothing_change_no_interval() -> None:
    counts, totals = np.array([1, 4, 6]), np.array([10, 10, 8])
    more = ratings.share_interval(np.append(counts, 0), np.append(totals, 0), seed=0)
    assert more == ratings.share_interval(counts, totals, seed=0)
    with pytest.raises(BadInput, match="1 raters, at least 2"):
        ratings.share_interval(np.array([1, 0]), np.array([10, 0]), seed=0)


def test_the_interval_over_raters_covers_where_that_of_independent_answers_does_not() -> None:
    random = np.random.default_rng(0)
    num_raters, num_answers, num_studies, truth = 24, 40, 200, 0.5
    covered = {"wilson": 0, "raters": 0}
    for study in range(num_studies):
        counts = random.binomial(num_answers, random.beta(2, 2, num_raters))  # raters differ: 0.5 on average
        low, high = wilson_interval(int(counts.sum()), num_raters * num_answers)
        covered["wilson"] += low <= truth <= high
        low, high = ratings.share_interval(counts, np.full(num_raters, num_answers), seed=study)
        covered["raters"] += low <= truth <= high
    assert covered["raters"] / num_studies > 0.9, covered
    assert covered["wilson"] / num_studies < 0.6, covered


def test_a_design_effect_is_how_many_answers_one_is_worth() -> None:
    totals = np.full(6, 10)
    # Three raters always, three never: ten answers of a rater say what one says; 6 / 5 for the mean that was found.
    assert ratings.design_effect(np.array([10, 10, 10, 0, 0, 0]), totals) == pytest.approx(10 * 6 / 5)
    assert ratings.design_effect(np.full(6, 5), totals) == 1
    assert ratings.design_effect(np.full(6, 10), totals) == 1
    assert ratings.design_effect(np.array([5]), np.array([10])) == 1
    assert ratings.design_effect(np.array([]), np.array([])) == 1


@pytest.mark.parametrize("proportion", [0.0, 0.1, 0.5, 0.83])
@pytest.mark.parametrize("half_width", [0.02, 0.05, 0.2])
def test_a_sample_size_is_the_smallest_that_is_narrow_enough(proportion: float, half_width: float) -> None:
    def width(num: int) -> float:
        z2 = 1.959963984540054**2
        return math.sqrt(z2 * (num * proportion * (1 - proportion) + z2 / 4)) / (num + z2)

    num = ratings.sample_size(proportion, half_width)
    assert width(num) <= half_width < width(num - 1)


def test_sample_sizes_by_hand() -> None:
    low, high = wilson_interval(190, 381)
    assert (high - low) / 2 == pytest.approx(0.05, abs=1e-4)
    assert ratings.sample_size(0.5, 0.05) == 381
    assert ratings.sample_size(0.5, 0.05, design_effect=3) == 1_141  # 380.3 before it is rounded up
    for wrong in (0, 0.5, -1):
        with pytest.raises(BadInput, match="half width"):
            ratings.sample_size(0.5, wrong)
    with pytest.raises(BadInput, match=r"share is 1\.2"):
        ratings.sample_size(1.2, 0.1)


def test_two_players_are_as_their_wins() -> None:
    first, second = ratings.bradley_terry(np.array([[0, 30], [10, 0]]), prior=0)
    assert first - second == pytest.approx(math.log(3))
    assert first + second == pytest.approx(0)
    always, never = ratings.bradley_terry(np.array([[0, 12], [0, 0]]))
    assert always - never == pytest.approx(math.log(12.5 / 0.5))


def test_strengths_are_the_likeliest() -> None:
    wins = np.array([[0, 7, 12], [5, 0, 9], [2, 3, 0]])
    strengths = ratings.bradley_terry(wins, prior=0)

    def likelihood(s: np.ndarray) -> float:
        return -sum(wins[i, j] * math.log1p(math.exp(s[j] - s[i])) for i in range(3) for j in range(3) if i != j)

    grid = np.linspace(-2, 2, 161)
    best = max(((a, b) for a in grid for b in grid), key=lambda ab: likelihood(np.array([*ab, -sum(ab)])))
    assert strengths[:2] == pytest.approx(best, abs=0.02)
    assert strengths.sum() == pytest.approx(0)
    # What is likeliest wins as often as it is expected to.
    games = wins + wins.T
    chances = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None]))
    assert (games * chances).sum(axis=1) == pytest.approx(wins.sum(axis=1))


def test_players_are_compared_over_others_and_studies_at_once() -> None:
    chain = np.array([[0, 6, 0], [2, 0, 6], [0, 2, 0]])
    strengths = ratings.bradley_terry(chain, prior=0)
    assert strengths == pytest.approx([math.log(3), 0, -math.log(3)], abs=1e-9)
    both = ratings.bradley_terry(np.stack([chain, chain.T]), prior=0)
    assert both == pytest.approx(np.stack([strengths, -strengths]), abs=1e-9)
    with pytest.raises(BadInput, match=r"players \[2\] were never compared"):
        ratings.bradley_terry(np.array([[0, 3, 0], [1, 0, 0], [0, 0, 0]]))
