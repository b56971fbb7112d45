"""Scenes before and after: one thing changes, the words name it, all can be read back, nothing held out is shown."""

from collections import Counter

import numpy as np
import pytest
import torch

from ganrnn.data.built_in import KINDS
from ganrnn.data.scene_edits import VALUES, edits, instruct, read_edited, read_styled, statements, styles
from ganrnn.data.scenes import (
    STYLES,
    Scene,
    ScenesConfig,
    describe,
    is_held_out,
    pair_combinations,
    read_attributes,
    single_combinations,
)

CONFIG = ScenesConfig(num_train=400, num_val=100, num_test=400)


def tensor(arrays: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


def sources(scene_list: list[Scene]) -> torch.Tensor:
    return tensor([scene.source for scene in scene_list if scene.source is not None])


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_edit_changes_what_its_words_name_and_nothing_else(split: str) -> None:
    scene_list = list(edits(CONFIG, split, 3, 32, 32))  # type: ignore[arg-type]
    before, after = read_edited(sources(scene_list)), read_edited(tensor([scene.image for scene in scene_list]))
    for scene, old, new in zip(scene_list, before, after, strict=True):
        assert new == scene.attributes
        (name,) = [name for name in VALUES if old[name] != new[name]]
        said = [instruct(name, new[name], language, k) for language in ("en", "zh") for k in (0, 1)]
        assert scene.text in said
        assert is_held_out(new) == (split == "test")
        assert split == "test" or not is_held_out(old)


def test_every_attribute_is_edited_about_equally_often() -> None:
    scene_list = list(edits(CONFIG, "train", 0, 16, 16))
    before = read_edited(sources(scene_list))
    counts = Counter(n for s, old in zip(scene_list, before, strict=True) for n in VALUES if old[n] != s.attributes[n])
    assert min(counts.values()) > 50


def test_a_style_changes_and_all_else_stays() -> None:
    scene_list = list(styles(CONFIG, "test", 1, 32, 32))
    before, after = read_styled(sources(scene_list)), read_styled(tensor([scene.image for scene in scene_list]))
    for scene, old, new in zip(scene_list, before, after, strict=True):
        assert new == scene.attributes and scene.label is not None
        assert new["style"] == STYLES[scene.label] != old["style"]
        assert old | {"style": new["style"]} == new


@pytest.mark.parametrize("kind", ["edits", "styles", "statements", "panoramas"])
def test_a_scene_depends_on_seed_split_and_index_alone(kind: str) -> None:
    draw = KINDS[kind].draw  # type: ignore[index]
    first = list(draw(CONFIG, "val", 5, 16, 32))
    again = list(draw(ScenesConfig(num_val=50), "val", 5, 16, 32))
    other = list(draw(ScenesConfig(num_val=50), "val", 6, 16, 32))
    assert all(np.array_equal(a.image, b.image) and a.text == b.text for a, b in zip(first, again, strict=False))
    assert [scene.text for scene in other] != [scene.text for scene in again]


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_statement_is_true_or_false_in_one_attribute(split: str) -> None:
    config = ScenesConfig(num_train=400, num_test=400, pair_share=0.4)
    scene_list = list(statements(config, split, 2, 32, 32))  # type: ignore[arg-type]
    wrong = Counter[str]()
    for scene, shown in zip(scene_list, read_attributes(tensor([scene.image for scene in scene_list])), strict=True):
        assert shown == scene.attributes and is_held_out(shown) == (split == "test")
        assert scene.source is not None and np.array_equal(scene.source, scene.image)
        said = MEANINGS[scene.text]
        differing = [name for name in shown if said[name] != shown[name]]
        assert said.keys() == shown.keys() and len(differing) == 1 - (scene.label or 0)
        assert split == "test" or not is_held_out(said)
        wrong.update(differing)
    assert 160 < sum(wrong.values()) < 240
    assert min(wrong.values()) > 5 and wrong.keys() == {name for attributes in MEANINGS.values() for name in attributes}


MEANINGS = {
    describe(attributes, language, template): attributes
    for attributes in single_combinations() + pair_combinations()
    for language in ("en", "zh")
    for template in range(6)
}
