"""Built-in data sets stay what they are: figures from two releases are of the same texts and pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganrnn.data.built_in import KINDS
from ganrnn.data.scenes import Kind, Scene, ScenesConfig

FIRST = json.loads(Path("tests/fixtures/built_in.json").read_text(encoding="utf-8"))


def summary(scene: Scene) -> dict[str, Any]:
    """What a scene says, and the mean red, green and blue of each quarter of its picture, from left to right."""
    quarters = np.split(scene.image.astype(float), 4, axis=1)
    return {
        "text": scene.text,
        "attributes": dict(scene.attributes),
        "label": scene.label,
        "quarters": [np.round(quarter.mean((0, 1)), 1).tolist() for quarter in quarters],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_scenes_are_those_of_the_first_release(kind: Kind) -> None:
    for scene, expected in zip(
        KINDS[kind].draw(ScenesConfig(num_train=6), "train", 0, 32, 64), FIRST[kind], strict=True
    ):
        found = summary(scene)
        assert found.pop("quarters") == [pytest.approx(colours, abs=0.3) for colours in expected.pop("quarters")]
        assert found == expected
