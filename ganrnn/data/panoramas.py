"""Panoramas drawn on the fly: hills under a sky in a full circle, without a seam.

Every picture is a ring: light, hills and objects continue from the right edge to the left one, and the view may start
anywhere. A generator that pads its edges has a seam there, which `ganrnn/metrics/images/seam.py` measures.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
from PIL import Image, ImageDraw

from ganrnn import noise
from ganrnn.data.scenes import ANTIALIAS, Scene, ScenesConfig, Split, is_held_out

SKIES = {"dawn": (250, 205, 220), "day": (120, 180, 245), "dusk": (240, 140, 95), "night": (25, 25, 70)}
GROUNDS = {"grass": (60, 150, 60), "sand": (215, 190, 120), "snow": (235, 240, 245), "water": (45, 120, 165)}
OBJECTS = {"trees": (20, 75, 30), "houses": (165, 30, 40), "towers": (110, 105, 125)}
HORIZON = 0.55  # of the height, from the top
HILLS = (0.06, 0.04, 0.02)  # amplitudes of waves with one, two and three periods
LIGHT = 25  # grey levels by which the side towards the sun is brighter
NUM_OBJECTS = 4
OBJECT_HEIGHT, OBJECT_WIDTH = 0.28, 0.16  # of the height of the picture

_ENGLISH = (
    "a panorama of {object} on {ground}, {sky}",
    "{sky}: {ground} with {object} all around",
)
_CHINESE = ("{sky}的全景,{ground}上有{object}", "全景:{ground},{object},{sky}")
_CHINESE_WORDS = {
    **{"dawn": "清晨", "day": "白天", "dusk": "黄昏", "night": "夜晚", "grass": "草地"},
    **{"sand": "沙地", "snow": "雪地", "water": "水面", "trees": "树", "houses": "房子", "towers": "塔"},
}


def panoramas(config: ScenesConfig, split: Split, seed: int, height: int, width: int) -> Iterator[Scene]:
    """The panoramas of a split in order; panorama i is a function of (seed, split, i)."""
    combinations = [
        dict(zip(("sky", "ground", "object"), values, strict=True)) for values in product(SKIES, GROUNDS, OBJECTS)
    ]
    combinations = [attributes for attributes in combinations if is_held_out(attributes) == (split != "train")]
    for index in range(config.num_scenes(split)):
        u = noise.uniform(3 + 4 + NUM_OBJECTS, seed, f"panorama/{split}/{index}")
        attributes = combinations[int(u[0] * len(combinations))]
        language = config.languages[int(u[1] * len(config.languages))]
        wordings = _ENGLISH if language == "en" else _CHINESE
        words = attributes if language == "en" else {name: _CHINESE_WORDS[value] for name, value in attributes.items()}
        text = wordings[int(u[2] * len(wordings))].format(**words)
        yield Scene(f"{split}-{index:07d}", text, dict(attributes), draw(attributes, height, width, u[3:]))


def draw(attributes: dict[str, str], height: int, width: int, turns: np.ndarray) -> np.ndarray:
    """Render a panorama, uint8 [height, width, 3].

    `turns`, float64 [4 + NUM_OBJECTS], 0 to 1 for a full circle, are the angles of the sun, three waves and the
    objects.
    """
    rows, columns = height * ANTIALIAS, width * ANTIALIAS
    around = 2 * np.pi * np.arange(columns) / columns
    hills = sum(a * np.sin((k + 1) * around + 2 * np.pi * turns[1 + k]) for k, a in enumerate(HILLS))
    horizon = (HORIZON + hills) * rows
    light = LIGHT * np.cos(around - 2 * np.pi * turns[0])
    object_height, object_width = OBJECT_HEIGHT * rows, OBJECT_WIDTH * rows
    # Three circles, folded into one: no shape crosses an edge, where PIL rounds differently than inside.
    mask = Image.new("L", (3 * columns, rows))
    pen = ImageDraw.Draw(mask)
    for turn in turns[4:]:
        x = turn * columns
        base = horizon[int(x) % columns] + object_height / 4
        _stamp(pen, attributes["object"], columns + x, base, object_width, object_height)
    is_object = np.asarray(mask).reshape(rows, 3, columns).max(1) > 0
    below = np.arange(rows)[:, None] >= horizon
    pixels = np.where(below[..., None], GROUNDS[attributes["ground"]], SKIES[attributes["sky"]]) + light[:, None]
    pixels = np.where(is_object[:, :, None], OBJECTS[attributes["object"]], pixels)
    picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    return np.asarray(picture.resize((width, height), Image.Resampling.BOX))


def _stamp(pen: ImageDraw.ImageDraw, kind: str, x: float, base: float, width: float, height: float) -> None:
    left, right, top = x - width / 2, x + width / 2, base - height
    if kind == "trees":
        pen.polygon([(x, top), (left, base), (right, base)], fill=255)
    elif kind == "houses":
        pen.polygon([(x, top), (left, top + height / 3), (right, top + height / 3)], fill=255)
        pen.rectangle((left, top + height / 3, right, base), fill=255)
    else:
        pen.rectangle((x - width / 6, top, x + width / 6, base), fill=255)


def read_panoramas(images: torch.Tensor) -> list[dict[str, str]]:
    """Attributes of panoramas uint8 [N, 3, H, W], by the colours at the top, at the bottom and between."""
    height = images.shape[2]
    top = images[:, :, : height // 6].float().mean((2, 3))
    bottom = images[:, :, -(height // 6) :].float().mean((2, 3))
    middle = images[:, :, height // 4 : height * 3 // 4].float().flatten(2)  # [N, 3, P]
    sky, ground = _nearest(top, SKIES), _nearest(bottom, GROUNDS)
    colours = torch.tensor([*OBJECTS.values()], dtype=torch.float32)
    close = (middle[:, None] - colours[None, :, :, None]).square().sum(2).sqrt() < 40  # [N, K, P]
    objects = close.sum(2).argmax(1).tolist()
    names = list(OBJECTS)
    return [{"sky": s, "ground": g, "object": names[o]} for s, g, o in zip(sky, ground, objects, strict=True)]


def _nearest(colours: torch.Tensor, known: dict[str, tuple[int, int, int]]) -> list[str]:
    """The name of the nearest known colour for each of [N, 3]."""
    table = torch.tensor([*known.values()], dtype=torch.float32)
    names = list(known)
    return [names[i] for i in torch.cdist(colours, table).argmin(1).tolist()]
