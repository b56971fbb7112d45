"""Features that say nothing: scores of pictures refuse them in one sentence, or have the value that is documented."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ganrnn.errors import BadInput
from ganrnn.metrics.images.frechet import frechet_distance
from ganrnn.metrics.images.frechet_limit import frechet_limit
from ganrnn.metrics.images.inception_score import InceptionSums
from ganrnn.metrics.images.kid import FeatureSubset, kernel_distance
from ganrnn.metrics.images.memorisation import memorisation, near_duplicates
from ganrnn.metrics.images.precision_recall import ManifoldScores, manifold_scores
from ganrnn.metrics.images.quick_score import QuickScore
from ganrnn.metrics.images.r_precision import is_retrieved_among_captions
from ganrnn.metrics.images.seam import Seam
from ganrnn.metrics.statistics.moments import Moments

Features = NDArray[np.float64]
SAMPLES = np.random.default_rng(0).normal(size=(40, 4))
OTHERS = np.random.default_rng(1).normal(size=(40, 4)) + 0.5
SCORES: dict[str, Callable[[Features, Features], object]] = {
    "fid": lambda x, y: frechet_distance(Moments.from_features(x), Moments.from_features(y)),
    "fid_limit": lambda x, y: frechet_limit(x, Moments.from_features(y), 0),
    "kid": lambda x, y: kernel_distance(x, y, 3, 20, 0),
    "manifold": manifold_scores,
    "copied": lambda x, y: memorisation(x, y, OTHERS).share_copied,
    "copied_held_out": lambda x, y: memorisation(OTHERS, x, y).share_copied_held_out,
    "near_duplicates": lambda x, y: near_duplicates(x, y).share,
}


def with_value(value: float) -> Features:
    x = SAMPLES.copy()
    x[3, 2] = value
    return x


BAD = {
    "nan": (with_value(np.nan), "row 3 of 40 holds NaN or infinity"),
    "infinity": (with_value(-np.inf), "row 3 of 40 holds NaN or infinity"),
    "wider": (np.ones((40, 5)) * np.arange(40)[:, None], "features against"),
    "none": (SAMPLES[:0], r"\b0 (samples|rows)|nearest neighbours|2 to 0"),
    "one": (SAMPLES[:1], r"\b1 (samples|rows)|2 to 1\b"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("name", SCORES)
@pytest.mark.filterwarnings("error")
def test_either_side_is_refused_in_one_sentence(name: str, side: int, kind: str) -> None:
    bad, message = BAD[kind]
    given = [SAMPLES, OTHERS]
    given[side] = bad
    if kind == "one" and (name, side) in (("copied", 0), ("copied_held_out", 1)):
        return  # which a share of one picture is
    with pytest.raises(BadInput, match=message) as refusal:
        SCORES[name](*given)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 120


@pytest.mark.parametrize("name", [name for name in SCORES if not name.startswith("fid")])
def test_features_whose_powers_are_no_numbers_are_refused(name: str) -> None:
    for given in ((with_value(1e51), OTHERS), (SAMPLES, with_value(-1e51))):
        with pytest.raises(BadInput, match=r"row 3 of 40 holds a feature beyond 1e\+50"):
            SCORES[name](*given)
    assert np.isfinite(kernel_distance(with_value(1e50), OTHERS, 3, 20, 0)).all()


@pytest.mark.parametrize("name", ["fid_limit", "manifold", "copied_held_out", "near_duplicates"])
def test_rows_without_features_or_all_alike_are_refused_where_they_set_the_scale(name: str) -> None:
    flat = np.ones((40, 4))
    given = (flat, OTHERS) if name in ("fid_limit", "copied_held_out") else (SAMPLES, flat)
    with pytest.raises(BadInput, match="all 40 rows of features are equal"):
        SCORES[name](*given)
    with pytest.raises(BadInput, match="0 features"):
        SCORES[name](SAMPLES[:, :0], OTHERS[:, :0])


def test_samples_all_alike_have_the_values_of_a_collapse() -> None:
    flat, reference = np.ones((40, 4)), Moments.from_features(OTHERS)
    expected = ((OTHERS.mean(0) - 1) ** 2).sum() + np.trace(reference.covariance())
    assert frechet_distance(Moments.from_features(flat), reference) == pytest.approx(float(expected), rel=1e-12)
    assert kernel_distance(flat, OTHERS, 3, 20, 0)[0] > kernel_distance(SAMPLES, OTHERS, 3, 20, 0)[0]
    assert manifold_scores(flat, OTHERS).recall == 0 and near_duplicates(flat, OTHERS).share == 1


def test_samples_that_are_the_reference() -> None:
    assert SCORES["fid"](SAMPLES, SAMPLES) == 0.0
    assert manifold_scores(SAMPLES, SAMPLES) == ManifoldScores(*[1.0] * 6)
    assert memorisation(SAMPLES, SAMPLES, OTHERS).share_copied == 1.0
    # Unbiased, and so below 0 where no pair of different pictures but each with itself is left out of one side alone.
    assert kernel_distance(SAMPLES, SAMPLES, 1, 40, 0)[0] < 0


def test_subset_refuses_what_no_score_can_take() -> None:
    for value, message in ((np.nan, "row 3 of 40 holds NaN"), (1e51, r"beyond 1e\+50")):
        with pytest.raises(BadInput, match=message):
            FeatureSubset.from_features(with_value(value), [str(i) for i in range(40)], 10)


@pytest.mark.parametrize("probability", [np.nan, np.inf, -0.5, 0.0])
def test_inception_score_refuses_what_is_no_distribution(probability: float) -> None:
    p = np.full((3, 2), 0.5)
    p[1, 0] = probability
    with pytest.raises(BadInput, match="sample 'b' has class probabilities"):
        InceptionSums.from_probabilities(p, ["a", "b", "c"], 1)


def test_inception_score_of_one_sample_is_the_least_and_of_none_refused() -> None:
    assert InceptionSums.from_probabilities(np.array([[0.2, 0.8]]), ["a"], 1).score() == (1.0, 0.0)
    with pytest.raises(BadInput, match="0 samples leave one of 1 splits empty"):
        InceptionSums.from_probabilities(np.zeros((0, 2)), [], 1).score()


def test_retrieval_refuses_embeddings_of_other_spaces() -> None:
    with pytest.raises(BadInput, match="images are 3 wide, those of captions 4"):
        is_retrieved_among_captions(SAMPLES[:, :3], OTHERS, np.zeros((40, 2), np.int64))


def test_seam_of_nothing_is_refused_and_of_even_pictures_is_none() -> None:
    flat = torch.full((3, 3, 4, 8), 7, dtype=torch.uint8)
    assert Seam.of(flat).ratio() == (1.0, 1.0, 1.0)
    with pytest.raises(BadInput, match="seam: 0 pictures, at least 1"):
        Seam.of(flat[:0]).ratio()
    with pytest.raises(BadInput, match="pictures are 1 wide"):
        Seam.of(flat[:, :, :, :1])


@pytest.mark.parametrize("count", [0, 1, 5])
def test_quick_score_refuses_real_pictures_of_which_no_two_differ(count: int) -> None:
    with pytest.raises(BadInput, match=f"{count} real pictures of which no two differ"):
        QuickScore(torch.full((count, 3, 16, 16), 9, dtype=torch.uint8))
