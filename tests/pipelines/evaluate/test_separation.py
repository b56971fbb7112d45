"""A score whose judge cannot tell real images apart says so, for each of three reasons, and no other score does."""

import pytest

from pipelines.evaluate.images.metrics import PictureScores
from pipelines.evaluate.images.separation import does_not_separate

REAL = PictureScores(
    metrics={
        "fid2k_indomain": 0.1,
        "kid2k_indomain": 0.0001,
        "precision2k_indomain": 0.807,
        "near_duplicates2k_indomain": 0.05,
        "precision2k_inception": 0.807,
        "coverage_given_prompt_pixels": 0.45,
        "r_precision_100": 0.98,
        "r_precision_100_by_judge": 0.97,
        "shape_accuracy": 0.99,
        "seam_vs_interior": 1.0,
    },
    intervals={"r_precision_100": (0.97, 0.99), "coverage_given_prompt_pixels": (0.43, 0.47)},
)
SCORES = PictureScores(
    metrics={name: 0.9 * value if "fid" not in name else 1.1 * value for name, value in REAL.metrics.items()},
    intervals={"r_precision_100": (0.87, 0.9), "coverage_given_prompt_pixels": (0.38, 0.42)},
)


def with_values(scores: PictureScores, **values: float) -> PictureScores:
    return PictureScores(scores.metrics | values, scores.intervals)


def test_good_scores_of_a_good_judge_have_no_mark() -> None:
    assert does_not_separate(SCORES, REAL, 3_000, 100) == {}


def test_a_network_of_few_images_is_no_judge() -> None:
    reason = "the in-domain network has learnt from 1,528 images, fewer than 3,000"
    marked = does_not_separate(SCORES, REAL, 1_528, 100)
    in_domain = {name for name in SCORES.metrics if name.endswith("_indomain")}
    assert marked == {key: [reason] for key in in_domain | {"r_precision_100"}}


def test_a_judge_that_knows_less_than_half_of_the_real_images_is_none() -> None:
    real = with_values(REAL, r_precision_100_by_judge=0.493, shape_accuracy=0.2)
    scores = with_values(SCORES, r_precision_100_by_judge=0.3, shape_accuracy=0.1)
    assert does_not_separate(scores, real, 3_000, 100) == {
        "r_precision_100_by_judge": [
            "of the real images, its judge knows 0.49, less than half (r_precision_100_by_judge)"
        ],
        "shape_accuracy": ["of the real images, its judge knows 0.20, less than half (shape_accuracy)"],
    }
    marked = does_not_separate(
        with_values(SCORES, r_precision_100=0.3), with_values(REAL, r_precision_100=0.4), 3_000, 100
    )
    assert {name for name in SCORES.metrics if name.endswith("_indomain")} | {"r_precision_100"} == {*marked}


@pytest.mark.parametrize(
    ("name", "value", "is_marked"),
    [
        ("precision2k_indomain", 0.977, True),
        ("precision2k_indomain", 0.83, False),  # within a twentieth
        ("fid2k_indomain", 0.05, True),
        ("fid2k_indomain", 0.099, False),
        ("kid2k_indomain", -0.1, False),  # around 0 it is noise
        ("near_duplicates2k_indomain", 0.2, False),  # no quality
        ("seam_vs_interior", 1.5, False),
    ],
)
def test_samples_that_are_better_than_real_images_show_that_nothing_is_measured(
    name: str, value: float, is_marked: bool
) -> None:
    expected = {name: ["the samples are better than real images"]} if is_marked else {}
    assert does_not_separate(with_values(SCORES, **{name: value}), REAL, 3_000, 100) == expected


def test_chance_makes_no_sample_better_than_real_images() -> None:
    for low, is_marked in ((0.96, False), (0.994, True)):
        scores = PictureScores({"r_precision_100": 0.995}, {"r_precision_100": (low, 0.998)})
        assert bool(does_not_separate(scores, REAL, 3_000, 100)) == is_marked
    scores = PictureScores({"coverage_given_prompt_pixels": 0.6}, {"coverage_given_prompt_pixels": (0.57, 0.63)})
    assert {*does_not_separate(scores, REAL, 3_000, 100)} == {"coverage_given_prompt_pixels"}
