"""Which captions mean the same, and what stands for a caption where there is none."""

import math

import numpy as np
import pyarrow as pa
import pytest

from ganrnn.metrics.images.inception_score import InceptionSums
from ganrnn.text.captions import meaning_key
from pipelines.evaluate.images.block_result import BlockResult, ExtractedFeatures
from pipelines.evaluate.images.blocks import captions_of, conditions_of
from pipelines.evaluate.images.meaning import is_told_by_attributes, meanings
from pipelines.evaluate.images.metrics import scores_of
from pipelines.evaluate.images.protocol import Protocol
from pipelines.evaluate.images.set_statistics import SetStatistics

SEASONS = [{"season": "spring"}, {"season": "spring"}, {"season": "autumn"}, {}]
TEXTS = ["a bird of kind 1", "a bird of kind 2", "A bird of kind 1", "a bird of kind 1"]


def test_an_attribute_to_group_by_is_not_the_meaning_of_a_caption() -> None:
    keys = meanings(TEXTS, SEASONS, by_attributes=False)
    assert keys == [meaning_key(text) for text in TEXTS] and len(set(keys)) == 2
    assert len(set(meanings(TEXTS, SEASONS, by_attributes=True))) == 3


def test_a_text_that_repeats_its_attributes_means_them() -> None:
    pairs = {"colour": "red", "size": "small"}
    keys = meanings(["colour red, size small", "", "red"], [pairs] * 3, by_attributes=False)
    assert keys == [meaning_key("", pairs)] * 2 + [meaning_key("red")]


@pytest.mark.parametrize(
    ("built_in", "captions", "condition", "expected"),
    [
        ("captions", "text", "text", True),
        (None, "attributes", "text", True),
        (None, "text", "attributes", True),
        (None, "text", "text", False),
        (None, "text", "label", False),
        (None, "text", "none", False),
    ],
)
def test_attributes_tell_all_where_they_are_asked_for(
    built_in: str | None, captions: str, condition: str, expected: bool
) -> None:
    assert is_told_by_attributes(built_in, captions, condition) == expected


def test_without_a_text_attributes_or_label_stand_for_it() -> None:
    kind = pa.map_(pa.string(), pa.string())
    attributes = [{"season": "spring"}, {}, {}, {}]
    table = pa.table({"label": [1, 2, None, 3], "attributes": pa.array([list(a.items()) for a in attributes], kind)})
    assert captions_of([None, None, None, "a cat"], attributes, table) == ["season spring", "label 2", "", "a cat"]
    noise = pa.table({"prompt_id": ["a", "b"]})
    assert captions_of([None, None], [{}, {}], noise) == ["", ""]
    assert conditions_of("none", False, ["", ""], [{}, {}], noise) == ["", ""]


def test_an_empty_split_is_told_before_the_score() -> None:
    probabilities, ids = np.full((3, 2), 0.5), ["a", "b", "c"]
    assert InceptionSums.from_probabilities(probabilities, ids, 10).num_empty >= 7
    one = InceptionSums.from_probabilities(probabilities, ids, 1)
    assert one.num_empty == 0 and math.isclose(one.score()[0], 1)


def test_a_split_without_a_picture_leaves_the_inception_score_out() -> None:
    rng = np.random.default_rng(0)
    ids, features = [f"i{i}" for i in range(4)], rng.normal(size=(4, 3))
    classes = InceptionSums.from_probabilities(np.full((4, 2), 0.5), ids, 10)
    block = BlockResult("samples", 0, ids, {"indomain": ExtractedFeatures(features.astype(np.float32), classes)})
    statistics = SetStatistics.of_block(block, 100)
    assert statistics
    protocol = Protocol(("a",), ("1",), ("a", "b"), 0, 10, 100, 0, "", "", "text", None, False)
    scores = scores_of(statistics, {"reference": statistics, "training": statistics}, protocol)
    assert scores.metrics.keys() >= {"fid4_indomain", "kid4_indomain"} and "is4_indomain" not in scores.metrics
    assert scores.marks["is4_indomain"].startswith("left out: evaluate.num_splits is 10, and 4 pictures leave ")
