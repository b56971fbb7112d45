"""Edits: what was asked for and what was left alone are counted apart."""

import torch

from ganrnn.metrics.images.edits import edit_counts, kept_pixels

BEFORE = {"colour": "red", "shape": "circle", "size": "small"}


def test_changes_and_side_effects_are_counted_apart() -> None:
    wanted = BEFORE | {"colour": "blue"}
    after = [wanted, BEFORE, wanted | {"size": "large"}, BEFORE | {"colour": "green", "shape": "square"}]
    counts = edit_counts([BEFORE] * 4, [wanted] * 4, after)
    assert counts == {"edit_changed": [2, 4], "edit_kept": [2, 4]}


def test_an_attribute_that_the_source_does_not_have_is_a_change() -> None:
    assert edit_counts([{}], [{"colour": "red"}], [{"colour": "red"}]) == {"edit_changed": [1, 1], "edit_kept": [1, 1]}


def test_a_pixel_is_kept_within_sixteen_levels_of_every_channel() -> None:
    sources = torch.full((2, 3, 2, 2), 100, dtype=torch.uint8)
    images = sources.clone()
    images[0, 1, 0, 0], images[0, 2, 1, 1], images[1, 0, 0, 1] = 84, 117, 255
    assert kept_pixels(sources, images) == [6, 8]
