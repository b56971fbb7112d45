"""Captioned scenes, drawn on the fly: a data set without download whose attributes can be read back from pictures.

A scene is one object (shape, colour, size, position) or two in a relation, on a background, with a caption in English
or Chinese. A tenth of all attribute combinations is held out: train scenes never show them, and val and test scenes
show only them. `read_attributes` finds the attributes of a picture by its nearest rendering, without any training.

Other kinds are scenes with edits, styles or statements (ganrnn/data/scene_edits.py) and panoramas
(ganrnn/data/panoramas.py); ganrnn/data/built_in.py finds a kind by its name.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch.nn import functional as F

from ganrnn import noise
from ganrnn.config import at_least, within
from ganrnn.errors import BadInput

COLOURS = {
    "red": (225, 45, 45),
    "green": (40, 165, 60),
    "blue": (45, 75, 225),
    "yellow": (240, 210, 45),
    "purple": (150, 45, 185),
    "cyan": (60, 205, 215),
}
BACKGROUNDS = {"black": (10, 10, 10), "white": (245, 245, 245)}
SHAPES = ("circle", "square", "triangle")
SIZES = {"small": 0.19, "large": 0.31}  # radius as a share of the shorter side
POSITIONS = {"center": (0.5, 0.5), "left": (0.31, 0.5), "right": (0.69, 0.5), "top": (0.5, 0.31), "bottom": (0.5, 0.69)}
# The first object is always the upper or the left one, so that a picture has only one description.
RELATIONS = {"above": ((0.5, 0.25), (0.5, 0.75)), "left of": ((0.25, 0.5), (0.75, 0.5))}
PAIR_RADIUS = 0.22
STYLES = ("flat", "outlined", "striped")
LINE = 0.45  # width of an outline, as a share of the radius
STRIPE = 0.0625  # width of a stripe, as a share of the shorter side
JITTER = 0.04  # largest shift of the objects, as a share of the shorter side

HELD_OUT_SHARE = 0.1
ANTIALIAS = 4
READING_SIZE = 32
_OBJECT_LEVELS = 64  # a pixel further than this from the background, in grey levels, belongs to an object
FACTOR_COLUMNS: Mapping[str, Sequence[int]] = {"centroid": (0, 1), "size": (2,), "background": (3,)}  # of `factors`

Split = Literal["train", "val", "test"]
Kind = Literal["captions", "edits", "styles", "statements", "panoramas"]
Attributes = Mapping[str, str]

_ENGLISH_SINGLE = (
    "a {size} {colour} {shape} at the {position} on a {background} background",
    "on a {background} background there is a {size} {colour} {shape} at the {position}",
    "a {colour} {shape}, {size}, at the {position}, {background} background",
)
_ENGLISH_PAIR = (
    "a {colour} {shape} {relation} a {other_colour} {other_shape} on a {background} background",
    "on a {background} background there is a {colour} {shape} {relation} a {other_colour} {other_shape}",
)
_CHINESE_SINGLE = (
    "{background}背景上{position}有一个{size}的{colour}{shape}",
    "{position}是一个{colour}的{size}{shape},{background}背景",
)
_CHINESE_PAIR = {
    "above": "{background}背景上{colour}{shape}在{other_colour}{other_shape}的上面",
    "left of": "{background}背景上{colour}{shape}在{other_colour}{other_shape}的左面",
}
CHINESE_WORDS = {
    **{"red": "红色", "green": "绿色", "blue": "蓝色", "yellow": "黄色", "purple": "紫色", "cyan": "青色"},
    **{"black": "黑色", "white": "白色", "circle": "圆形", "square": "正方形", "triangle": "三角形"},
    **{"small": "小", "large": "大"},
    **{"center": "中间", "left": "左边", "right": "右边", "top": "上方", "bottom": "下方"},
}


@dataclass(frozen=True)
class ScenesConfig:
    """How many scenes to draw, and of which kind; `pair_share` is for captions and statements."""

    num_train: int = 8_000  #: Number of scenes in split train.
    num_val: int = 2_000  #: Number of scenes in split val.
    num_test: int = 2_000  #: Number of scenes in split test.
    pair_share: float = 0.1  #: Share of scenes with two objects, for kinds captions and statements.
    languages: tuple[Literal["en", "zh"], ...] = ("en", "zh")  #: Languages of the captions.
    #: What a row shows: a scene with its caption, an edit, a style, a true or false statement, or a panorama.
    kind: Kind = "captions"

    def __post_init__(self) -> None:
        at_least("ingest.scenes", self, num_train=1, num_val=1, num_test=1)
        within("ingest.scenes", self, pair_share=(0, 1))
        if not self.languages:
            raise BadInput("ingest.scenes.languages is empty; allowed are en, zh or both")

    def num_scenes(self, split: Split) -> int:
        """Number of scenes in a split."""
        return {"train": self.num_train, "val": self.num_val, "test": self.num_test}[split]


@dataclass(frozen=True)
class Scene:
    """One captioned picture; `image` and, for edits and styles, its `source` are uint8 [height, width, 3]."""

    id: str
    text: str
    attributes: dict[str, str]
    image: np.ndarray
    source: np.ndarray | None = None
    label: int | None = None


def single_combinations() -> list[dict[str, str]]:
    """All 360 one-object scenes."""
    values = product(COLOURS, SHAPES, SIZES, POSITIONS, BACKGROUNDS)
    return [dict(zip(("colour", "shape", "size", "position", "background"), v, strict=True)) for v in values]


def pair_combinations() -> list[dict[str, str]]:
    """All 1,296 two-object scenes."""
    names = ("colour", "shape", "relation", "other_colour", "other_shape", "background")
    values = product(COLOURS, SHAPES, RELATIONS, COLOURS, SHAPES, BACKGROUNDS)
    return [dict(zip(names, v, strict=True)) for v in values]


def is_held_out(attributes: Attributes) -> bool:
    """Whether the combination is in the held-out tenth; the same in every run."""
    key = "|".join(f"{name}={attributes[name]}" for name in sorted(attributes))
    return hashlib.blake2b(key.encode(), digest_size=8).digest()[0] < HELD_OUT_SHARE * 256


def describe(attributes: Attributes, language: str, template: int) -> str:
    """The caption of a scene; `template` picks the wording, modulo the number of wordings."""
    is_pair = "relation" in attributes
    wordings: tuple[str, ...]
    if language == "en":
        wordings, words = _ENGLISH_PAIR if is_pair else _ENGLISH_SINGLE, dict(attributes)
    else:
        wordings = (_CHINESE_PAIR[attributes["relation"]],) if is_pair else _CHINESE_SINGLE
        words = {name: CHINESE_WORDS.get(value, value) for name, value in attributes.items()}
    return wordings[template % len(wordings)].format(**words)


def in_chinese(scene: Scene) -> str:
    """A captioned scene's description in Chinese, always in the same wording."""
    return describe(scene.attributes, "zh", 0)


def draw(attributes: Attributes, height: int, width: int, jitter: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Render a scene, uint8 [height, width, 3]; `jitter` shifts all objects, in shares of the shorter side.

    An attribute `style` other than flat cuts a hole or stripes into the objects.
    """
    side = min(height, width) * ANTIALIAS
    image = Image.new("RGB", (width * ANTIALIAS, height * ANTIALIAS), BACKGROUNDS[attributes["background"]])
    pen = ImageDraw.Draw(image)
    if "relation" in attributes:
        first, second = RELATIONS[attributes["relation"]]
        objects = [
            (attributes["shape"], attributes["colour"], first, PAIR_RADIUS),
            (attributes["other_shape"], attributes["other_colour"], second, PAIR_RADIUS),
        ]
    else:
        centre, radius = POSITIONS[attributes["position"]], SIZES[attributes["size"]]
        objects = [(attributes["shape"], attributes["colour"], centre, radius)]
    for shape, colour, (x, y), radius in objects:
        center = (x * image.width + jitter[0] * side, y * image.height + jitter[1] * side)
        _draw_shape(pen, shape, center, radius * side, COLOURS[colour])
        _cut(pen, attributes, shape, center, radius * side, STRIPE * side)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def _draw_shape(
    pen: ImageDraw.ImageDraw, shape: str, center: tuple[float, float], radius: float, fill: tuple[int, int, int]
) -> None:
    (x, y), r = center, radius
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)
    elif shape == "square":
        pen.rectangle((x - r, y - r, x + r, y + r), fill=fill)
    else:
        pen.polygon([(x, y - r), (x - r, y + 0.85 * r), (x + r, y + 0.85 * r)], fill=fill)


def _cut(
    pen: ImageDraw.ImageDraw,
    attributes: Attributes,
    shape: str,
    center: tuple[float, float],
    radius: float,
    stripe: float,
) -> None:
    """Paint the background over the parts of an object that its style leaves open."""
    background = BACKGROUNDS[attributes["background"]]
    style = attributes.get("style", "flat")
    if style == "outlined":
        _draw_shape(pen, shape, center, (1 - LINE) * radius, background)
    elif style == "striped":
        (x, y), top = center, center[1] - radius
        while top < y + radius:
            pen.rectangle((x - radius, top + stripe, x + radius, top + 2 * stripe), fill=background)
            top += 2 * stripe


def scenes(config: ScenesConfig, split: Split, seed: int, height: int, width: int) -> Iterator[Scene]:
    """The scenes of a split in order; scene i is a function of (seed, split, i)."""
    groups = [
        [c for c in combinations if is_held_out(c) == (split != "train")]
        for combinations in (single_combinations(), pair_combinations())
    ]
    for index in range(config.num_scenes(split)):
        u = noise.uniform(6, seed, f"scene/{split}/{index}")
        combinations = groups[int(u[0] < config.pair_share)]
        attributes = combinations[int(u[1] * len(combinations))]
        language = config.languages[int(u[2] * len(config.languages))]
        jitter = ((2 * u[3] - 1) * JITTER, (2 * u[4] - 1) * JITTER)
        text = describe(attributes, language, int(u[5] * 6))
        yield Scene(f"{split}-{index:07d}", text, dict(attributes), draw(attributes, height, width, jitter))


def read_attributes(
    images: torch.Tensor, combinations: Sequence[Mapping[str, str]] | None = None
) -> list[dict[str, str]]:
    """Attributes of pictures: those of the nearest rendering, compared at small shifts.

    `images` is uint8 [N, 3, height, width]; pictures are compared at 32 pixels for the shorter side. `combinations` are
    the possible scenes; by default all captioned scenes.
    """
    combinations = combinations or single_combinations() + pair_combinations()
    scale = READING_SIZE / min(images.shape[2:])
    height, width = (round(side * scale) for side in images.shape[2:])
    templates = torch.stack([_flat(draw(c, height, width)) for c in combinations])
    attributes: list[dict[str, str]] = []
    for chunk in images.split(256):
        small = F.interpolate(chunk.float() / 255, (height, width), mode="area")
        distance = torch.stack([_distance(shifted, templates) for shifted in _shifts(small)]).amin(0)
        attributes += [dict(combinations[i]) for i in distance.argmin(1).tolist()]
    return attributes


def _flat(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1).reshape(-1).float() / 255


def _shifts(images: torch.Tensor) -> list[torch.Tensor]:
    """The pictures shifted by -1, 0 and 1 pixel in each direction, borders repeated: [9][N, 3, H, W]."""
    height, width = images.shape[2:]
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    return [padded[:, :, y : y + height, x : x + width] for y in range(3) for x in range(3)]


def _distance(images: torch.Tensor, templates: torch.Tensor) -> torch.Tensor:
    """Squared distances [N, K] of pictures to templates."""
    flat = images.flatten(1)
    return flat.square().sum(1, keepdim=True) - 2 * flat @ templates.T + templates.square().sum(1)


def factors(images: torch.Tensor) -> np.ndarray:
    """What can vary among pictures of equal attributes, float32 [N, 4]: centroid, area, level of the background.

    images:  uint8 [N, 3, height, width]

    The centroid, first across, then down, and the area are those of all objects together, in pixels; the level is the
    mean of what is no object, in grey levels. The background is the one that most of the border is nearer to.
    """
    height, width = images.shape[2:]
    x = images.float()
    border = torch.cat((x[:, :, 0], x[:, :, -1], x[..., 0], x[..., -1]), 2).mean(1).median(1).values
    colours = torch.tensor([BACKGROUNDS["black"], BACKGROUNDS["white"]]).float()
    background = colours[(border > colours.mean()).long()][:, :, None, None]
    is_object = (x - background).abs().amax(1) > _OBJECT_LEVELS
    area, rest = is_object.flatten(1).sum(1), (~is_object).flatten(1).sum(1)
    across = is_object.sum(1) @ torch.arange(width) / area.clamp(min=1)
    down = is_object.sum(2) @ torch.arange(height) / area.clamp(min=1)
    level = (x.mean(1) * ~is_object).flatten(1).sum(1) / rest.clamp(min=1)
    return torch.stack((across, down, area, level), 1).numpy()


def attribute_accuracy(images: torch.Tensor, expected: Sequence[Attributes]) -> dict[str, tuple[int, int]]:
    """For each attribute name, (correct, total): how many pictures show the expected value, of how many with one."""
    counts: dict[str, tuple[int, int]] = {}
    for attributes, expected_attributes in zip(read_attributes(images), expected, strict=True):
        for name, value in expected_attributes.items():
            correct, total = counts.get(name, (0, 0))
            counts[name] = (correct + (attributes.get(name) == value), total + 1)
    return counts
