"""Built-in data sets stay what they are: figures from two releases are of the same texts and pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganrnn.data.built_in import KINDS
from ganrnn.data.scenes import Kind, Scene, ScenesConfig

FIRST = json.loads(Path("tests/fixtures/built_in.json").read_text(encoding="utf-8"))


def quarters(picture: np.ndarray) -> list[float]:
    """The mean red, green and blue of each quarter of a picture, from left to right."""
    means = [quarter.mean((0, 1)) for quarter in np.split(picture.astype(float), 4, axis=1)]
    return [float(mean) for mean in np.concatenate(means).round(1)]


def summary(scene: Scene) -> dict[str, Any]:
    """What a scene says and shows."""
    source = None if scene.source is None else quarters(scene.source)
    said = {"text": scene.text, "attributes": dict(scene.attributes), "label": scene.label}
    return said | {"image": quarters(scene.image), "source": source}


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_scenes_are_those_of_the_first_release(kind: Kind) -> None:
    drawn = map(summary, KINDS[kind].draw(ScenesConfig(num_train=6), "train", 0, 32, 64))
    for scene, expected in zip(drawn, FIRST[kind], strict=True):
        for name in ("image", "source"):
            assert scene.pop(name) == pytest.approx(expected.pop(name), abs=0.3), name
        assert scene == expected
