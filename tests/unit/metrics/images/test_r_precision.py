"""R-precision: draws that depend on the sample alone, known hit rates, and Wilson's interval."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ganrnn.errors import BadInput
from ganrnn.metrics.images.r_precision import candidate_indices, is_retrieved, is_retrieved_among_captions
from ganrnn.metrics.statistics.intervals import wilson_interval

CAPTIONS = [f"caption {i}" for i in range(150)]
SAMPLE_IDS = [f"sample-{i}" for i in range(400)]
TRUE = np.random.default_rng(0).integers(150, size=400)
TEXTS = np.random.default_rng(1).normal(size=(150, 16))


def distractors(
    captions: list[str], sample_ids: list[str], true: NDArray[np.int64], num_candidates: int, seed: int
) -> NDArray[np.int64]:
    drawn = candidate_indices(captions, sample_ids, true, num_candidates, seed)
    np.testing.assert_array_equal(drawn[:, 0], true)
    return drawn[:, 1:]


def test_distractors_are_distinct_others() -> None:
    for num_candidates in (2, 100, 150):
        drawn = distractors(CAPTIONS, SAMPLE_IDS, TRUE, num_candidates, seed=0)
        assert drawn.shape == (400, num_candidates - 1)
        assert drawn.min() >= 0 and drawn.max() < 150
        for row, true in zip(drawn, TRUE, strict=True):
            assert len(set(row)) == num_candidates - 1 and true not in row


def test_draws_are_uniform_over_the_other_captions() -> None:
    sample_ids = [str(i) for i in range(20000)]
    drawn = distractors(CAPTIONS[:6], sample_ids, np.full(20000, 2), 4, seed=0)
    counts = np.bincount(drawn.ravel(), minlength=6)
    assert counts[2] == 0
    # 3 of 5 others each: expectation 12000, standard deviation 69
    np.testing.assert_allclose(np.delete(counts, 2), 12000, atol=4 * 69)
    subsets = {tuple(sorted(row)) for row in drawn.tolist()}
    assert len(subsets) == 10


def test_draw_depends_on_seed_and_sample_alone() -> None:
    drawn = distractors(CAPTIONS, SAMPLE_IDS, TRUE, 100, seed=0)
    for rows in (np.random.default_rng(5).permutation(400), np.array([17]), np.arange(5, 90)):
        part = distractors(CAPTIONS, [SAMPLE_IDS[row] for row in rows], TRUE[rows], 100, seed=0)
        np.testing.assert_array_equal(part, drawn[rows])
    assert (distractors(CAPTIONS, SAMPLE_IDS, TRUE, 100, seed=1) != drawn).any(axis=1).all()
    same_caption = distractors(CAPTIONS, SAMPLE_IDS, np.zeros(400, np.int64), 100, seed=0)
    assert len({tuple(row) for row in same_caption.tolist()}) == 400


def test_order_of_the_captions_changes_no_draw() -> None:
    order = np.random.default_rng(6).permutation(150)
    shuffled = [CAPTIONS[i] for i in order]
    true_shuffled = np.array([shuffled.index(CAPTIONS[true]) for true in TRUE])
    drawn = distractors(CAPTIONS, SAMPLE_IDS, TRUE, 100, seed=0)
    drawn_shuffled = distractors(shuffled, SAMPLE_IDS, true_shuffled, 100, seed=0)
    np.testing.assert_array_equal(order[drawn_shuffled], drawn)


def test_draw_is_fixed_for_good() -> None:
    # Pinned: a change would change published scores.
    drawn = distractors(CAPTIONS, ["prompt-7/0"], np.array([3]), 6, seed=42)
    assert drawn.tolist() == [[4, 45, 141, 61, 22]]


@pytest.mark.parametrize("num_candidates", [0, 1, 151])
def test_number_of_candidates_must_fit(num_candidates: int) -> None:
    with pytest.raises(BadInput, match=f"num_candidates is {num_candidates}, allowed are 2 to 150"):
        distractors(CAPTIONS, SAMPLE_IDS, TRUE, num_candidates, seed=0)


def test_repeated_captions_are_refused() -> None:
    with pytest.raises(BadInput, match="1 of 151 captions are repeats"):
        distractors([*CAPTIONS, CAPTIONS[0]], SAMPLE_IDS, TRUE, 100, seed=0)


def test_ties_and_nan_are_misses() -> None:
    true = np.array([0.5, 0.5, 0.5, np.nan, 0.5])
    others = np.array([[0.4, 0.4999], [0.5, 0.1], [0.1, 0.6], [0.1, 0.1], [np.nan, 0.1]])
    assert is_retrieved(true, others).tolist() == [True, False, False, False, False]


def score(images: NDArray[np.float64], texts: NDArray[np.float64] = TEXTS, num_candidates: int = 100) -> float:
    candidates = candidate_indices(CAPTIONS, SAMPLE_IDS, TRUE, num_candidates, seed=0)
    hits = is_retrieved_among_captions(images, texts, candidates)
    assert hits.shape == (400,) and hits.dtype == np.bool_
    return float(hits.mean())


def test_perfect_and_constant_embeddings() -> None:
    assert score(TEXTS[TRUE] * np.random.default_rng(12).uniform(0.1, 10, size=(400, 1))) == 1.0
    assert score(np.ones((400, 16)), np.ones((150, 16))) == 0.0
    assert score(np.zeros((400, 16))) == 0.0


def test_unrelated_embeddings_score_chance() -> None:
    low, high = wilson_interval(
        round(400 * score(np.random.default_rng(13).normal(size=(400, 16)), num_candidates=4)), 400, 0.999
    )
    assert low < 0.25 < high


def test_hits_equal_the_definition() -> None:
    images = TEXTS[TRUE] + 1.5 * np.random.default_rng(14).normal(size=(400, 16))
    hits = is_retrieved_among_captions(images, TEXTS, candidate_indices(CAPTIONS, SAMPLE_IDS, TRUE, 100, seed=0))
    drawn = candidate_indices(CAPTIONS, SAMPLE_IDS, TRUE, 100, seed=0)[:, 1:]
    norms = np.linalg.norm(images, axis=1)[:, None] * np.linalg.norm(TEXTS, axis=1)
    cosine = images @ TEXTS.T / norms
    expected = [cosine[i, TRUE[i]] > cosine[i, drawn[i]].max() for i in range(400)]
    assert hits.tolist() == expected and 0.2 < hits.mean() < 0.9


@pytest.mark.parametrize("block_size", [1, 3, 400])
def test_captions_of_equal_embedding_tie_in_any_block(block_size: int) -> None:
    # Two captions that an encoder cannot tell apart: with all 150 as candidates neither is ever retrieved. A matrix
    # product over 1 or 3 rows gives equal columns unequal last bits.
    rng = np.random.default_rng(15)
    texts = np.tile(rng.normal(size=(75, 37)), (2, 1))
    images = texts[TRUE] + 0.1 * rng.normal(size=(400, 37))
    for start in range(0, 400, block_size):
        rows = slice(start, start + block_size)
        candidates = candidate_indices(CAPTIONS, SAMPLE_IDS[rows], TRUE[rows], 150, seed=0)
        hits = is_retrieved_among_captions(images[rows], texts, candidates)
        assert not hits.any()


def test_hit_of_a_row_is_independent_of_the_others() -> None:
    rng = np.random.default_rng(16)
    images = TEXTS[TRUE] + 1.5 * rng.normal(size=(400, 16))
    hits = is_retrieved_among_captions(images, TEXTS, candidate_indices(CAPTIONS, SAMPLE_IDS, TRUE, 100, seed=0))
    rows = rng.permutation(400)[:131]
    ids = [SAMPLE_IDS[row] for row in rows]
    part = is_retrieved_among_captions(images[rows], TEXTS, candidate_indices(CAPTIONS, ids, TRUE[rows], 100, seed=0))
    np.testing.assert_array_equal(part, hits[rows])
    none = is_retrieved_among_captions(images[:0], TEXTS, candidate_indices(CAPTIONS, [], TRUE[:0], 100, seed=0))
    assert none.shape == (0,)


def test_wilson_interval_solves_its_equation() -> None:
    # The bounds are the proportions p with |successes / total - p| = z * sqrt(p (1 - p) / total).
    for successes, total, confidence, z in ((10, 100, 0.95, 1.959963984540054), (7, 9, 0.99, 2.5758293035489004)):
        for p in wilson_interval(successes, total, confidence):
            assert abs(successes / total - p) == pytest.approx(z * np.sqrt(p * (1 - p) / total), rel=1e-9)
    assert wilson_interval(10, 100) == pytest.approx((0.0552, 0.1744), abs=5e-5)


def test_wilson_interval_at_the_ends() -> None:
    low, high = wilson_interval(0, 10)
    assert low == pytest.approx(0.0, abs=1e-15) and high == pytest.approx(0.27753, abs=5e-6)
    assert wilson_interval(10, 10) == pytest.approx((1 - high, 1.0))


def test_wilson_interval_stays_a_proportion() -> None:
    for total in range(1, 500):
        assert wilson_interval(0, total)[0] >= 0.0 and wilson_interval(total, total)[1] <= 1.0


@pytest.mark.parametrize(("successes", "total", "confidence"), [(0, 0, 0.95), (5, 4, 0.95), (-1, 4, 0.95), (1, 4, 1.0)])
def test_wilson_interval_refuses_the_impossible(successes: int, total: int, confidence: float) -> None:
    with pytest.raises(BadInput, match="Wilson interval"):
        wilson_interval(successes, total, confidence)
