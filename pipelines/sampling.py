"""A model at work on prompts: fixed-shape micro-batches on one CPU or GPU, whole shards in one file each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ganrnn import cpu
from ganrnn.checkpoint import load_sampler
from ganrnn.images import encode_png
from pipelines import prompts, storage
from pipelines.config import SamplingConfig
from pipelines.refusals import answered
from pipelines.schemas import IMAGE, PROMPT_COLUMNS, SAMPLES


class ModelSampler:
    """Loads a model once and samples any number of rows.

    Every micro-batch has the same shape (the last one is filled up and cut), every CPU actor runs one thread a CPU, so
    that a row's sample does not depend on how many rows come with it.
    """

    def __init__(self, files: Mapping[str, bytes], sampling: SamplingConfig) -> None:
        cpu.prepare(max(1, int(sampling.cpus_per_worker)))
        self.task = load_sampler(files)
        self.model_digest: str = self.task.model_digest
        self.micro_batch_size = sampling.micro_batch_size
        device = "cuda" if sampling.gpus_per_worker else "cpu"
        for network in self.task.networks.values():
            network.to(device)

    def sample(self, texts: Sequence[str], keys: Sequence[tuple[int, str]]) -> np.ndarray:
        """Pictures uint8 [N, H, W, 3] for prompts [N] and their (seed, sample id) keys [N]."""
        pictures = [np.empty((0, self.task.config.height, self.task.config.width, 3), np.uint8)]
        for start in range(0, len(texts), self.micro_batch_size):
            own = list(texts[start : start + self.micro_batch_size])
            own_keys = list(keys[start : start + self.micro_batch_size])
            missing = self.micro_batch_size - len(own)
            rows: dict[str, Any] = {"prompt": own + own[-1:] * missing}
            images = self.task.sample(rows, own_keys + own_keys[-1:] * missing)
            pictures.append(images[: len(own)].permute(0, 2, 3, 1).cpu().numpy())
        return np.concatenate(pictures)


class ShardWriter:
    """An actor that samples whole shards and commits each as one file."""

    def __init__(
        self,
        files: Mapping[str, bytes],
        sampling: SamplingConfig,
        seed: int,
        shards: Sequence[prompts.Shard],
        uris: Sequence[str],
    ) -> None:
        self.sampler = ModelSampler(files, sampling)
        self.seed, self.shards, self.uris = seed, shards, uris

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return answered(lambda: self._write(row["index"]))

    def _write(self, index: int) -> dict[str, Any]:
        storage.commit_table(self.uris[index], sample_table(self.sampler, self.shards[index], self.seed))
        return {"index": index}


def sample_table(sampler: ModelSampler, shard: prompts.Shard, run_seed: int) -> pa.Table:
    """The samples of a shard, in prompt order, with the prompts' further columns passed through."""
    table, sample_ids, seeds = prompts.expand(prompts.read_shard(shard), run_seed)
    texts = table.column("prompt").to_pylist()
    pictures = sampler.sample(texts, list(zip(seeds, sample_ids, strict=True)))
    columns = {
        "sample_id": pa.array(sample_ids, pa.string()),
        "prompt_id": table.column("prompt_id"),
        "seed": pa.array(seeds, pa.int64()),
        "image": pa.array(
            [{"bytes": encode_png(p), "path": f"{i}.png"} for p, i in zip(pictures, sample_ids, strict=True)], IMAGE
        ),
        "prompt": table.column("prompt"),
        "model_digest": pa.array([sampler.model_digest] * len(texts), pa.string()),
        "unknown_tokens": pa.array([sampler.task.vocabulary.count_unknown(text) for text in texts], pa.int32()),
    }
    fields = list(SAMPLES)
    for name in table.column_names:
        if name not in columns and name not in PROMPT_COLUMNS:
            columns[name] = table.column(name)
            fields.append(table.schema.field(name))
    return pa.table(columns, schema=pa.schema(fields))
