"""A model at work on prompts: fixed-shape micro-batches on one CPU or GPU."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ganrnn.checkpoint import load_sampler
from pipelines.config import SamplingConfig


class ModelSampler:
    """Loads a model once and samples any number of rows.

    Every micro-batch has the same shape (the last one is filled up and cut), every CPU actor runs one thread a CPU, so
    that a row's sample does not depend on how many rows come with it.
    """

    def __init__(self, files: Mapping[str, bytes], sampling: SamplingConfig) -> None:
        torch.set_num_threads(max(1, int(sampling.cpus_per_worker)))
        torch.set_flush_denormal(True)
        self.task = load_sampler(files)
        self.model_digest: str = self.task.model_digest
        self.micro_batch_size = sampling.micro_batch_size
        device = "cuda" if sampling.gpus_per_worker else "cpu"
        for network in self.task.networks.values():
            network.to(device)

    def sample(self, prompts: Sequence[str], keys: Sequence[tuple[int, str]]) -> np.ndarray:
        """Pictures uint8 [N, H, W, 3] for prompts [N] and their (seed, sample id) keys [N]."""
        pictures = [np.empty((0, self.task.config.height, self.task.config.width, 3), np.uint8)]
        for start in range(0, len(prompts), self.micro_batch_size):
            own = list(prompts[start : start + self.micro_batch_size])
            own_keys = list(keys[start : start + self.micro_batch_size])
            missing = self.micro_batch_size - len(own)
            rows: dict[str, Any] = {"prompt": own + own[-1:] * missing}
            images = self.task.sample(rows, own_keys + own_keys[-1:] * missing)
            pictures.append(images[: len(own)].permute(0, 2, 3, 1).cpu().numpy())
        return np.concatenate(pictures)
