"""The built-in data sets by name: how their scenes are drawn and how attributes are read back from pictures."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ganrnn.data import panoramas, scene_edits, scenes


@dataclass(frozen=True)
class BuiltIn:
    """`draw` takes (config, split, seed, height, width); `read` returns attributes of pictures uint8 [N, 3, H, W].

    `factors` measures what may vary among pictures of equal attributes, by the columns of `scenes.FACTOR_COLUMNS`.
    """

    draw: Callable[[scenes.ScenesConfig, scenes.Split, int, int, int], Iterator[scenes.Scene]]
    read: Callable[[torch.Tensor], list[dict[str, str]]]
    has_sources: bool = False  # whether every scene has a source picture
    factors: Callable[[torch.Tensor], np.ndarray] | None = None


KINDS: Mapping[scenes.Kind, BuiltIn] = {
    "captions": BuiltIn(scenes.scenes, scenes.read_attributes, factors=scenes.factors),
    "edits": BuiltIn(scene_edits.edits, scene_edits.read_edited, has_sources=True),
    "styles": BuiltIn(scene_edits.styles, scene_edits.read_styled, has_sources=True),
    "statements": BuiltIn(scene_edits.statements, scenes.read_attributes, has_sources=True),
    "panoramas": BuiltIn(panoramas.panoramas, panoramas.read_panoramas),
}
