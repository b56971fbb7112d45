"""Labels with gaps, or as large as the numbers of articles: each that occurs has its place, others are unknown."""

import pytest
import torch

from ganrnn.data.conditions import Conditions


@pytest.mark.parametrize("labels", [[1, 2, 2, 5], [1001, 1002, 1005], [4_001_234_500_017, 4_001_234_500_024], [3]])
def test_only_labels_that_occur_are_known(labels: list[int]) -> None:
    conditions, known = Conditions.of_labels([*labels, None]), sorted(set(labels))
    assert len(conditions) == len(known)
    assert torch.equal(conditions.encode(known, [None] * len(known)), torch.eye(len(known)))
    others = [known[0] - 1, known[-1] + 1, 0, 4, -1]
    assert not conditions.encode([*others, None], [None] * 6).any()
    assert [conditions.count_unknown(label, {"colour": "red"}) for label in [*known, *others, None]] == [
        *[0] * len(known),
        *[1] * len(others),
        0,
    ]


def test_labels_without_gaps_are_numbered_as_before() -> None:
    assert Conditions.of_labels([2, 0, 1]) == Conditions(3, {}, {})
