"""Panoramas: rings that can be read back and have no seam."""

import numpy as np
import torch

from ganrnn.data.panoramas import draw, panoramas, read_panoramas
from ganrnn.data.scenes import ScenesConfig, is_held_out
from ganrnn.metrics.images.seam import Seam

CONFIG = ScenesConfig(num_train=400, num_test=100)


def tensor(arrays: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


def test_they_are_read_back_and_hold_out_what_others_do() -> None:
    for split in ("train", "test"):
        scene_list = list(panoramas(CONFIG, split, 0, 32, 64))  # type: ignore[arg-type]
        assert read_panoramas(tensor([scene.image for scene in scene_list])) == [
            scene.attributes for scene in scene_list
        ]
        assert all(is_held_out(scene.attributes) == (split == "test") for scene in scene_list)


def test_they_have_no_seam_and_a_cut_does() -> None:
    scene_list = tensor([scene.image for scene in panoramas(CONFIG, "train", 0, 32, 64)])
    _, low, high = Seam.of(scene_list).ratio()
    assert low < 1 < high
    assert Seam.of(scene_list[:, :, :, :40]).ratio()[1] > 1.5


def test_turning_all_turns_the_picture() -> None:
    attributes = {"sky": "dusk", "ground": "snow", "object": "houses"}
    turns = np.array([0.1, 0.2, 0.3, 0.4, 0.05, 0.3, 0.55, 0.8])
    picture = draw(attributes, 32, 64, turns)
    # A quarter turn to the right is 16 columns; the k-th wave goes round k times, so that its phase turns k times.
    turned = draw(attributes, 32, 64, (turns + 0.25 * np.array([1, -1, -2, -3, 1, 1, 1, 1])) % 1)
    assert np.abs(np.roll(picture, 16, 1).astype(int) - turned).max() <= 2
