"""What only a GPU can show about text_to_image: the same model paints the same picture there, and trains there."""

import numpy as np
import pytest
import torch

from ganrnn.data import scenes
from ganrnn.data.images import encode_png
from ganrnn.tasks.text_to_image import TextToImage, TextToImageConfig
from ganrnn.text.captions import Vocabulary

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]

CONFIG = TextToImageConfig(height=16, width=16, base_channels=8, num_steps=20)


@pytest.fixture
def task() -> TextToImage:
    captions = [scenes.describe(c, "en", 0) for c in scenes.single_combinations()]
    return TextToImage(CONFIG, Vocabulary.build(captions), seed=3)


def on_cuda(task: TextToImage) -> TextToImage:
    for network in task.networks.values():
        network.to("cuda")
    return task


def test_cuda_paints_what_the_cpu_paints(task: TextToImage) -> None:
    rows = {"prompt": ["a large blue triangle at the left on a black background"] * 8}
    keys = [(0, str(i)) for i in range(8)]
    expected = task.sample(rows, keys).int()
    assert (on_cuda(task).sample(rows, keys).cpu().int() - expected).abs().max() <= 2


def test_twenty_steps_on_cuda_stay_finite_and_move_the_weights(task: TextToImage) -> None:
    config = scenes.ScenesConfig(num_train=32)
    drawn = list(scenes.scenes(config, "train", 0, 16, 16))
    rows = {
        "text": [s.text for s in drawn],
        "attributes": [s.attributes for s in drawn],
        "image": [{"bytes": encode_png(np.asarray(s.image))} for s in drawn],
    }
    batch = {name: tensor.to("cuda") for name, tensor in task.collate(rows).items()}
    before = [p.detach().clone() for p in on_cuda(task).generator.parameters()]
    for _ in range(CONFIG.num_steps):
        metrics = task.step(batch)
        assert all(torch.isfinite(value) for value in metrics.values()), metrics
    assert any(not torch.equal(a, b) for a, b in zip(before, task.generator.parameters(), strict=True))
