"""Captioned scenes: what is held out, what a caption says, and that a picture can be read back."""

import re
from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch

from ganrnn.data.scenes import (
    COLOURS,
    POSITIONS,
    RELATIONS,
    SHAPES,
    SIZES,
    Scene,
    ScenesConfig,
    attribute_accuracy,
    describe,
    draw,
    factors,
    is_held_out,
    pair_combinations,
    read_attributes,
    scenes,
    single_combinations,
)
from ganrnn.errors import BadInput

CONFIG = ScenesConfig(num_train=600, num_val=200, num_test=200, pair_share=0.3)
BIG_RED = {"colour": "red", "shape": "circle", "size": "large", "position": "left", "background": "black"}
PAIR = {
    **{"colour": "red", "shape": "circle", "relation": "above"},
    **{"other_colour": "blue", "other_shape": "square", "background": "white"},
}


def tensor(scene_list: list[Scene]) -> torch.Tensor:
    return torch.from_numpy(np.stack([scene.image for scene in scene_list])).permute(0, 3, 1, 2)


def test_about_a_tenth_of_the_combinations_is_held_out_and_always_the_same() -> None:
    counts = [sum(map(is_held_out, c)) for c in (single_combinations(), pair_combinations())]
    assert [len(single_combinations()), len(pair_combinations())] == [360, 1296]
    assert counts == [48, 124]


def test_held_out_combinations_never_stand_in_train_and_nothing_else_in_val_and_test() -> None:
    assert not any(is_held_out(scene.attributes) for scene in scenes(CONFIG, "train", 0, 16, 16))
    for split in ("val", "test"):
        assert all(is_held_out(scene.attributes) for scene in scenes(CONFIG, split, 0, 16, 16))


def test_every_value_occurs_in_train_and_in_what_is_held_out() -> None:
    for combinations in (single_combinations(), pair_combinations()):
        for held_out in (False, True):
            for name in combinations[0]:
                seen = {c[name] for c in combinations if is_held_out(c) == held_out}
                assert seen == {c[name] for c in combinations}, (name, held_out)


@pytest.mark.parametrize("side", [32, 64])
def test_pictures_are_read_back_without_an_error(side: int) -> None:
    scene_list = [*scenes(CONFIG, "train", 5, side, side)][:400] + [*scenes(CONFIG, "test", 5, side, side)][:100]
    assert {"relation" in scene.attributes for scene in scene_list} == {True, False}
    assert read_attributes(tensor(scene_list)) == [scene.attributes for scene in scene_list]


def test_accuracy_counts_each_attribute_of_the_scenes_that_have_it() -> None:
    scene_list = [Scene("a", "", BIG_RED, draw(BIG_RED, 32, 32)), Scene("b", "", PAIR, draw(PAIR, 32, 32))]
    wrong = {**BIG_RED, "colour": "blue"}
    assert attribute_accuracy(tensor(scene_list), [wrong, PAIR]) == {
        **{"colour": (1, 2), "shape": (2, 2), "size": (1, 1), "position": (1, 1), "background": (2, 2)},
        **{"relation": (1, 1), "other_colour": (1, 1), "other_shape": (1, 1)},
    }


def test_a_scene_depends_on_seed_split_and_index_alone() -> None:
    few = ScenesConfig(num_train=20, num_val=1, num_test=1, pair_share=0.3)
    first = [*scenes(few, "train", 0, 16, 16)]
    for a, b in zip(first, scenes(CONFIG, "train", 0, 16, 16), strict=False):
        assert (a.id, a.text, a.attributes) == (b.id, b.text, b.attributes)
        assert np.array_equal(a.image, b.image)
    assert [s.text for s in scenes(few, "train", 1, 16, 16)] != [s.text for s in first]
    assert [s.id for s in first][:2] == ["train-0000000", "train-0000001"]


@pytest.mark.parametrize(
    ("attributes", "language", "template", "caption"),
    [
        (BIG_RED, "en", 0, "a large red circle at the left on a black background"),
        (BIG_RED, "en", 1, "on a black background there is a large red circle at the left"),
        (BIG_RED, "en", 2, "a red circle, large, at the left, black background"),
        (BIG_RED, "zh", 0, "黑色背景上左边有一个大的红色圆形"),
        (BIG_RED, "zh", 1, "左边是一个红色的大圆形,黑色背景"),
        (PAIR, "en", 0, "a red circle above a blue square on a white background"),
        (PAIR, "en", 1, "on a white background there is a red circle above a blue square"),
        (PAIR, "zh", 0, "白色背景上红色圆形在蓝色正方形的上面"),
        ({**PAIR, "relation": "left of"}, "zh", 0, "白色背景上红色圆形在蓝色正方形的左面"),
    ],
)
def test_captions(attributes: dict[str, str], language: str, template: int, caption: str) -> None:
    assert describe(attributes, language, template) == caption


def test_a_caption_names_one_scene_only() -> None:
    combinations = single_combinations() + pair_combinations()
    for language, template in product(("en", "zh"), range(6)):
        assert len({describe(c, language, template) for c in combinations}) == len(combinations)


def test_languages_are_those_of_the_config() -> None:
    settings = {"num_train": 50, "num_val": 1, "num_test": 1}
    configs = (
        (ScenesConfig(**settings, languages=("zh",)), True),
        (ScenesConfig(**settings, languages=("en",)), False),
    )
    for config, is_chinese in configs:
        assert {bool(re.search("[\u4e00-\u9fff]", s.text)) for s in scenes(config, "train", 0, 16, 16)} == {is_chinese}


def test_pairs_have_their_share_and_values_are_even() -> None:
    config = ScenesConfig(num_train=3_000, num_val=1, num_test=1, pair_share=0.1)
    scene_list = [scene.attributes for scene in scenes(config, "train", 0, 16, 16)]
    assert np.mean(["relation" in a for a in scene_list]) == pytest.approx(0.1, abs=0.02)
    for name, values in {"colour": COLOURS, "shape": SHAPES, "size": SIZES, "position": POSITIONS}.items():
        counts = Counter(a[name] for a in scene_list if name in a)
        assert counts.keys() == set(values)
        assert max(counts.values()) < 1.4 * min(counts.values())
    assert {a["relation"] for a in scene_list if "relation" in a} == set(RELATIONS)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"num_val": 0}, "num_val"), ({"pair_share": 1.5}, r"pair_share is 1\.5"), ({"languages": ()}, "languages")],
)
def test_wrong_settings_are_refused(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(BadInput, match=named):
        ScenesConfig(**wrong)  # type: ignore[arg-type]


def test_factors_are_centroid_area_and_level_of_the_background() -> None:
    square = BIG_RED | {"shape": "square", "size": "small", "position": "center"}
    image = torch.from_numpy(draw(square, 50, 100).copy()).permute(2, 0, 1)  # 19 by 19 pixels, around the middle
    lighter, white = image.clone(), torch.full_like(image, 245)
    lighter[:, :, :20] += 60
    x, y, area, level = factors(torch.stack((image, lighter, white))).T
    assert x[:2] == pytest.approx([49.5, 49.5], abs=0.3) and y[:2] == pytest.approx([24.5, 24.5], abs=0.3)
    assert area == pytest.approx([19 * 19, 19 * 19, 0], abs=40)
    assert level[2] == 245 and 10 <= level[0] < 12
    assert level[1] - level[0] == pytest.approx(60 * 20 * 50 / (100 * 50 - area[0]))


@pytest.mark.parametrize("attributes", [BIG_RED, BIG_RED | {"background": "white"}, PAIR])
def test_a_shifted_scene_has_its_centroid_shifted_and_the_same_area(attributes: dict[str, str]) -> None:
    held = [draw(attributes, 32, 32, jitter) for jitter in ((0.0, 0.0), (1 / 32, 0.0), (0.0, -1 / 32))]
    first, across, up = factors(torch.from_numpy(np.stack(held)).permute(0, 3, 1, 2))
    assert across[:2] - first[:2] == pytest.approx([1, 0], abs=0.05)
    assert up[:2] - first[:2] == pytest.approx([0, -1], abs=0.05)
    assert across[2:] == pytest.approx(first[2:], rel=0.02) and up[2:] == pytest.approx(first[2:], rel=0.02)
