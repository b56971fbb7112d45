"""A prompt for a class that training has not seen is rejected, the others are sampled as without it."""

import numpy as np
import pyarrow as pa

from ganrnn import checkpoint
from ganrnn.data.conditions import Conditions
from ganrnn.tasks.image_gan import ImageGan, ImageGanConfig
from pipelines.config.sampling import SamplingConfig
from pipelines.sampling.sampler import ModelSampler
from pipelines.sampling.samples import draw


def test_an_unknown_label_is_rejected() -> None:
    config = ImageGanConfig(
        condition="label", height=16, width=16, z_dim=4, style_dim=8, feature_dim=8, condition_dim=4, base_channels=4
    )
    files = checkpoint.pack(ImageGan(config, Conditions.of_labels([0, 1]), 0), {}, {})
    sampler = ModelSampler(files, SamplingConfig(micro_batch_size=8))
    table = pa.table({"prompt_id": ["a", "b", "c", "d"], "label": [1, 99, -1, 0]})
    samples = draw(sampler, table, 0)
    assert samples.rejects == {"b": "label 99 is in no training row", "c": "label -1 is in no training row"}
    assert samples.sample_ids == ["a/0", "d/0"]
    alone = draw(sampler, table.take(pa.array([0, 3])), 0)
    assert alone.rejects == {} and all(map(np.array_equal, samples.outputs, alone.outputs))
