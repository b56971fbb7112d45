"""Diversity and coverage given the condition: what they are, what buys one and not the other, and that they merge."""

import itertools

import numpy as np
import pytest
import torch

from ganrnn.errors import BadInput
from ganrnn.metrics.images.conditional_diversity import (
    ConditionalScores,
    ConditionSubset,
    conditional_scores,
    pixel_features,
    spreads,
)

LIMITS = (40, 12)
CENTRES = np.random.default_rng(7).normal(0, 10, (40, 6))


def subset(features: np.ndarray, conditions: list[str], name: str, limits: tuple[int, int] = LIMITS) -> ConditionSubset:
    return ConditionSubset.from_features(features, conditions, [f"{name}-{i}" for i in range(len(features))], limits)


def drawn(name: str, seed: int, spread: tuple[float, ...] = (1, 1, 0, 0, 0, 0), count: int = 12) -> ConditionSubset:
    """Pictures of forty conditions around their centres; real ones vary in the first two features only."""
    noise = np.random.default_rng(seed).normal(0, 1, (len(CENTRES), count, 6)) * spread
    features = (CENTRES[:, None] + noise).reshape(-1, 6)
    return subset(features, [str(i) for i in range(len(CENTRES)) for _ in range(count)], name)


def scores(samples: ConditionSubset, real: ConditionSubset) -> ConditionalScores:
    result = conditional_scores(samples, real, seed=0)
    assert result is not None
    return result


REAL = drawn("real", 1)


def test_another_draw_of_real_pictures_has_their_diversity_and_covers_half_of_them() -> None:
    result = scores(drawn("other", 2), REAL)
    low, high = result.diversity.interval
    assert low < 1 < high and high - low < 0.15 and result.diversity.value == pytest.approx(1, abs=0.07)
    # Of 12 samples and 11 other real pictures, each is the nearest equally often.
    low, high = result.coverage.interval
    assert low < 12 / 23 < high and result.coverage.value == pytest.approx(12 / 23, abs=0.06)


def test_answers_that_ignore_their_noise_have_neither() -> None:
    result = scores(drawn("one", 3, (0.05, 0.05, 0, 0, 0, 0)), REAL)
    assert result.diversity.value == pytest.approx(0.05, abs=0.01) and result.coverage.value < 0.2


def test_differences_that_real_pictures_never_have_buy_diversity_and_no_coverage() -> None:
    result = scores(drawn("wrong", 4, (0, 0, 1, 1, 0, 0)), REAL)
    assert result.diversity.value == pytest.approx(1, abs=0.1) and result.coverage.value < 0.15


def test_pictures_of_other_conditions_do_not_count() -> None:
    other = ConditionSubset(LIMITS, REAL.conditions[::-1], REAL.ids, REAL.features)
    assert scores(other, REAL).coverage.value == 0 < scores(REAL, REAL).coverage.value


def test_they_are_what_their_definition_says() -> None:
    x, y = np.array([[0.0], [3.0], [9.0]]), np.array([[1.0], [2.0], [6.0], [100.0]])
    samples, real = subset(x, ["a", "a", "b"], "x"), subset(y, ["a", "a", "a", "c"], "y")
    result = scores(samples, real)
    # Only "a" has two of both; of the real ones, the two with the smallest id hashes count.
    first, second = real.by_condition()["a"][:2, 0]
    gap = abs(first - second)
    covered = [min(abs(value - 0), abs(value - 3)) < gap for value in (first, second)]
    assert result.diversity.value == 3 / gap and result.coverage.value == sum(covered) / 2
    assert result.diversity.interval == (3 / gap, 3 / gap)


def test_no_condition_with_two_of_both_has_no_score() -> None:
    alone = subset(np.eye(3), ["a", "b", "c"], "x")
    assert conditional_scores(alone, alone, seed=0) is None
    equal = subset(np.ones((4, 3)), ["a", "a", "b", "b"], "x")
    assert conditional_scores(subset(np.eye(4)[:, :3], ["a", "a", "b", "b"], "y"), equal, seed=0) is None


def test_spread_is_that_of_some_features_relative_to_real_ones() -> None:
    narrow = drawn("narrow", 8, (0.5, 0.5, 2, 0, 0, 0))
    result = spreads(narrow, REAL, {"place": (0, 1), "first": (0,), "third": (2,)}, seed=0)
    assert [*result] == ["place", "first"], "real pictures of one condition do not differ in the third"
    for ratio in result.values():
        assert ratio.value == pytest.approx(0.5, abs=0.05) and ratio.interval[0] < 0.5 < ratio.interval[1]
    # Among two samples of "a" the variances are 2 and 8, among real ones 0.5 and 0; those of "b" are 0 and 2.
    samples = subset(np.array([[0.0, 0], [2, 4], [5, 5], [5, 5]]), ["a", "a", "b", "b"], "x")
    real = subset(np.array([[0.0, 0], [1, 0], [5, 5], [7, 5]]), ["a", "a", "b", "b"], "y")
    result = spreads(samples, real, {"place": (0, 1), "first": (0,)}, seed=0)
    assert result["place"].value == pytest.approx(10**0.5 / (0.5**0.5 + 2**0.5))
    assert result["first"].value == pytest.approx(2**0.5 / (0.5**0.5 + 2**0.5))
    assert spreads(subset(np.eye(2), ["a", "b"], "x"), real, {"first": (0,)}, seed=0) == {}


def test_no_order_of_blocks_changes_what_is_kept() -> None:
    rng = np.random.default_rng(5)
    features, conditions = rng.normal(size=(300, 4)), [str(i) for i in rng.integers(0, 30, 300)]
    limits = (10, 3)
    whole = subset(features, conditions, "x", limits)
    blocks = [
        ConditionSubset.from_features(features[part], conditions[part], [f"x-{i}" for i in range(300)][part], limits)
        for part in (slice(0, 50), slice(50, 180), slice(180, 300))
    ]
    for a, b, c in itertools.permutations(blocks):
        for merged in (a.merge(b).merge(c), a.merge(b.merge(c))):
            assert (merged.conditions, merged.ids) == (whole.conditions, whole.ids)
            assert np.array_equal(merged.features, whole.features)
            assert merged.to_bytes() == whole.to_bytes() == ConditionSubset.from_bytes(whole.to_bytes()).to_bytes()
    assert len(set(whole.conditions)) == 10 and max(map(whole.conditions.count, whole.conditions)) == 3


def test_sets_of_other_sizes_keep_the_same_conditions() -> None:
    names = [str(i) for i in range(100) for _ in range(2)]
    few, many = subset(np.zeros((200, 1)), names, "x", (10, 2)), subset(np.zeros((400, 1)), names * 2, "y", (10, 2))
    assert set(few.conditions) == set(many.conditions)


def test_features_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(BadInput, match="row 1 of 2 holds NaN"):
        subset(np.array([[1.0], [np.nan]]), ["a", "a"], "x")
    with pytest.raises(BadInput, match="3 features against 2"):
        conditional_scores(subset(np.eye(3), ["a"] * 3, "x"), subset(np.ones((3, 2)), ["a"] * 3, "y"), seed=0)


def test_pixels_are_averaged_to_thirty_two_a_side() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 64, 16), generator=generator).to(torch.uint8)
    features = pixel_features(images)
    assert features.shape == (2, 3 * 32 * 16) and features.dtype == np.float32
    assert features[1, 0] == images[1, 0, :2, 0].float().mean()
    assert np.array_equal(pixel_features(images[:, :, :32])[0], images[0, :, :32].flatten().numpy())
