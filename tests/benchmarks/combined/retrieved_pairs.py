"""Two ways to answer the same prompts, by a judge: which prompts one gained over the other, and which it lost."""

from collections.abc import Mapping
from math import comb
from typing import Any

import numpy as np
import torch

from ganrnn import checkpoint
from ganrnn.data.images import to_tensor
from ganrnn.metrics.images.r_precision import candidate_indices, is_retrieved
from ganrnn.text.captions import meaning_key
from pipelines import storage
from pipelines.config.recipe import Recipe
from pipelines.evaluate.images.protocol import distinct_captions
from pipelines.formats.dataset import read_manifest, shard_uris
from pipelines.formats.manifest import MANIFEST
from pipelines.sampling import model_files
from tests.benchmarks.record import digits


def hits(recipe: Recipe, judge_uri: str) -> dict[str, bool]:
    """Of each sample of a recipe, whether it finds its own caption by a judge, as evaluate has it."""
    judge = checkpoint.load_sampler(model_files.fetch_files(judge_uri, recipe.tracking))
    uri, samples_uri = recipe.ingest.dataset_uri, recipe.generate.samples_uri
    captions = distinct_captions(recipe, shard_uris(uri, read_manifest(uri), "test"))
    keys = sorted(captions)
    place = {key: number for number, key in enumerate(keys)}
    shards = [f"{samples_uri}/{shard['uri']}" for shard in storage.read_json(f"{samples_uri}/{MANIFEST}")["shards"]]
    rows = storage.read_table(shards).to_pylist()
    true = np.array([place[str(meaning_key(row["prompt"], dict(row["attributes"] or [])))] for row in rows])
    ids = [row["sample_id"] for row in rows]
    candidates = candidate_indices(keys, ids, true, recipe.evaluate.num_candidates, recipe.seed)
    images = to_tensor([row["image"]["bytes"] for row in rows])
    ranked = judge.rank(images, [captions[key] for key in keys], torch.from_numpy(candidates)).numpy()
    return dict(zip(ids, is_retrieved(ranked[:, 0], ranked[:, 1:]).tolist(), strict=True))


def paired(before: Mapping[str, bool], after: Mapping[str, bool]) -> dict[str, Any]:
    """Prompts gained and lost, and the sign test's probability of so many gained or more by chance."""
    gained, lost = (sum(b is not want and after[i] is want for i, b in before.items()) for want in (True, False))
    total = gained + lost
    chance = sum(comb(total, number) for number in range(gained, total + 1)) / 2**total
    return {"gained": gained, "lost": lost, "chance": digits(chance), "prompts": len(before)}
