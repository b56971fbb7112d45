"""A text_to_image task of a few thousand weights and scenes to train it on, for tests."""

from dataclasses import replace
from typing import Any

import torch

from ganrnn.data import scenes
from ganrnn.data.images import encode_png
from ganrnn.tasks.text_to_image import TextToImage, TextToImageConfig
from ganrnn.text.captions import Vocabulary

CONFIG = TextToImageConfig(
    height=16,
    width=16,
    embedding_dim=8,
    hidden_dim=16,
    z_dim=6,
    style_dim=16,
    feature_dim=16,
    base_channels=4,
    num_steps=20,
    penalty_every_steps=2,
)
CAPTIONS = [scenes.describe(c, lang, 0) for c in scenes.single_combinations() for lang in ("en", "zh")]
VOCABULARY = Vocabulary.build(CAPTIONS)
_COLLATING = TextToImage(CONFIG, VOCABULARY)  # made once, because making one seeds torch's generators


def task(seed: int = 0, **changes: Any) -> TextToImage:
    return TextToImage(replace(CONFIG, **changes), VOCABULARY, seed)


def rows(num_rows: int = 8, seed: int = 0) -> dict[str, list[Any]]:
    """Scenes of the training split as a data set holds them."""
    drawn = list(scenes.scenes(scenes.ScenesConfig(num_train=num_rows), "train", seed, 16, 16))
    return {
        "image": [{"bytes": encode_png(scene.image)} for scene in drawn],
        "text": [scene.text for scene in drawn],
        "attributes": [list(scene.attributes.items()) for scene in drawn],
    }


def batch(num_rows: int = 8, seed: int = 0) -> dict[str, torch.Tensor]:
    """What `collate` gives for `rows`."""
    return _COLLATING.collate(rows(num_rows, seed))


def weights(held: TextToImage) -> dict[str, torch.Tensor]:
    """Copies of all parameters by network and name."""
    return {f"{n}/{k}": v.detach().clone() for n, m in held.networks.items() for k, v in m.state_dict().items()}


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """Bit for bit."""
    assert one.keys() == other.keys()
    differing = [name for name in one if not torch.equal(one[name], other[name])]
    assert not differing, f"{len(differing)} tensors differ, the first {differing[0]}"
