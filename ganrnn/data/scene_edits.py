"""Pairs of scenes before and after an edit of one attribute or of the style, and statements about scenes.

A statement is true of its scene or false in one attribute. An instruction names only what changes; everything else is
in the source picture alone. As with captions, training contains no held-out combination, neither before nor after an
edit; the targets of val and test are all held out.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from ganrnn import noise
from ganrnn.data.scenes import (
    BACKGROUNDS,
    CHINESE_WORDS,
    COLOURS,
    JITTER,
    POSITIONS,
    RELATIONS,
    SHAPES,
    SIZES,
    STYLES,
    Scene,
    ScenesConfig,
    Split,
    describe,
    draw,
    is_held_out,
    pair_combinations,
    read_attributes,
    single_combinations,
)

VALUES = {
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "size": tuple(SIZES),
    "position": tuple(POSITIONS),
    "background": tuple(BACKGROUNDS),
}
_STATED = VALUES | {"relation": tuple(RELATIONS), "other_colour": tuple(COLOURS), "other_shape": SHAPES}

_ENGLISH = {
    "colour": ("make it {}", "paint it {}"),
    "shape": ("turn it into a {}", "make it a {}"),
    "size": ("make it {}", "redraw it {}"),
    "position": ("move it to the {}", "put it at the {}"),
    "background": ("put it on a {} background", "make the background {}"),
}
_CHINESE = {
    "colour": ("把它变成{}", "把它涂成{}"),
    "shape": ("把它换成{}", "把它改成{}"),
    "size": ("把它变{}", "让它变{}"),
    "position": ("把它移到{}", "把它放在{}"),
    "background": ("把背景变成{}", "背景换成{}"),
}
_STYLE_ENGLISH = {"flat": "fill it in", "outlined": "draw its outline only", "striped": "draw it in stripes"}
_STYLE_CHINESE = {"flat": "把它填满", "outlined": "只画轮廓", "striped": "画成条纹"}


def edits(config: ScenesConfig, split: Split, seed: int, height: int, width: int) -> Iterator[Scene]:
    """Scenes of one object with one attribute edited; scene i is a function of (seed, split, i)."""
    targets = _combinations(split)
    for index in range(config.num_scenes(split)):
        u = noise.uniform(7, seed, f"edit/{split}/{index}")
        after = targets[int(u[0] * len(targets))]
        befores = [
            after | {name: value}
            for name, values in VALUES.items()
            for value in values
            if value != after[name] and not (split == "train" and is_held_out(after | {name: value}))
        ]
        # Attributes are equally likely, however many values they have.
        names = sorted({_changed(before, after) for before in befores})
        name = names[int(u[1] * len(names))]
        befores = [before for before in befores if _changed(before, after) == name]
        before = befores[int(u[2] * len(befores))]
        language = config.languages[int(u[3] * len(config.languages))]
        text = instruct(name, after[name], language, int(u[4] * 2))
        jitter = _jitter(u[5:])
        yield Scene(
            f"{split}-{index:07d}",
            text,
            dict(after),
            draw(after, height, width, jitter),
            draw(before, height, width, jitter),
        )


def statements(config: ScenesConfig, split: Split, seed: int, height: int, width: int) -> Iterator[Scene]:
    """Captioned scenes; half of the captions are false in one attribute, and `label` is 1 for true captions.

    The source is the picture itself, which a judge sees.
    """
    groups = [_of_split(combinations, split) for combinations in (single_combinations(), pair_combinations())]
    for index in range(config.num_scenes(split)):
        u = noise.uniform(9, seed, f"statement/{split}/{index}")
        combinations = groups[int(u[0] < config.pair_share)]
        attributes = combinations[int(u[1] * len(combinations))]
        caption_attributes, label = dict(attributes), int(u[2] < 0.5)
        if not label:
            # Attributes are equally likely; training captions do not name held-out combinations either.
            alternatives = [
                [other for other in _other_values(attributes, name) if not (split == "train" and is_held_out(other))]
                for name in sorted(attributes)
            ]
            alternatives = [group for group in alternatives if group]
            false_attributes = alternatives[int(u[3] * len(alternatives))]
            caption_attributes = false_attributes[int(u[4] * len(false_attributes))]
        language = config.languages[int(u[5] * len(config.languages))]
        picture = draw(attributes, height, width, _jitter(u[6:]))
        text = describe(caption_attributes, language, int(u[8] * 6))
        yield Scene(f"{split}-{index:07d}", text, dict(attributes), picture, picture, label)


def instruct(name: str, value: str, language: str, template: int) -> str:
    """The instruction that changes an attribute to a value; `template` picks the wording, modulo their number."""
    wordings = (_ENGLISH if language == "en" else _CHINESE)[name]
    return wordings[template % len(wordings)].format(value if language == "en" else CHINESE_WORDS[value])


def styles(config: ScenesConfig, split: Split, seed: int, height: int, width: int) -> Iterator[Scene]:
    """Scenes of one object in one style with a source in another; `label` is the index of the style in STYLES."""
    combinations = _combinations(split)
    for index in range(config.num_scenes(split)):
        u = noise.uniform(6, seed, f"style/{split}/{index}")
        attributes = combinations[int(u[0] * len(combinations))]
        label = int(u[1] * len(STYLES))
        other = (label + 1 + int(u[2] * (len(STYLES) - 1))) % len(STYLES)
        language = config.languages[int(u[3] * len(config.languages))]
        before, after = attributes | {"style": STYLES[other]}, attributes | {"style": STYLES[label]}
        jitter = _jitter(u[4:])
        yield Scene(
            f"{split}-{index:07d}",
            (_STYLE_ENGLISH if language == "en" else _STYLE_CHINESE)[STYLES[label]],
            after,
            draw(after, height, width, jitter),
            draw(before, height, width, jitter),
            label,
        )


def read_edited(images: torch.Tensor) -> list[dict[str, str]]:
    """Attributes of pictures uint8 [N, 3, H, W] of one object."""
    return read_attributes(images, single_combinations())


def read_styled(images: torch.Tensor) -> list[dict[str, str]]:
    """Attributes of pictures uint8 [N, 3, H, W] of one object, with its style."""
    return read_attributes(
        images, [attributes | {"style": style} for attributes in single_combinations() for style in STYLES]
    )


def _other_values(attributes: dict[str, str], name: str) -> list[dict[str, str]]:
    """The attributes with each other value of one of them."""
    return [attributes | {name: value} for value in _STATED[name] if value != attributes[name]]


def _combinations(split: Split) -> list[dict[str, str]]:
    return _of_split(single_combinations(), split)


def _of_split(combinations: Iterable[dict[str, str]], split: Split) -> list[dict[str, str]]:
    return [attributes for attributes in combinations if is_held_out(attributes) == (split != "train")]


def _changed(before: dict[str, str], after: dict[str, str]) -> str:
    return next(name for name in VALUES if before[name] != after[name])


def _jitter(u: np.ndarray) -> tuple[float, float]:
    return (2 * u[0] - 1) * JITTER, (2 * u[1] - 1) * JITTER
