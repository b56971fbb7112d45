"""R-precision of pictures of scenes, and of the best of four by a judge that no generator has learnt from.

The recipes demo and scene_judge are trained as far as that has not been done. What counts is a judge of another seed,
since the one that chooses cannot, and beside it (`_indomain`) the in-domain network of the demo's evaluation. Both ways
answer the same prompts: the details say how many the choice gained and how many it lost, with the probability of as
uneven a split by chance.
"""

from collections.abc import Mapping
from math import comb
from typing import Any

import numpy as np
import torch
from recipe_scores import report
from record import ROOT, Figure, digits
from taught_pictures import figures_of, painted, scene_judges

from ganrnn import checkpoint
from ganrnn.images import to_tensor
from ganrnn.metrics.retrieval import candidate_indices, is_retrieved
from ganrnn.text import meaning_key
from pipelines import model, storage
from pipelines.config import Recipe, load_recipe
from pipelines.dataset import read_manifest, shard_uris
from pipelines.schemas import MANIFEST

NUM_CANDIDATES = 100


def measure() -> list[Figure]:
    """Both, on the same prompts."""
    report("demo", [])
    report("scene_judge", [])
    judges = scene_judges()
    found = painted("demo", "runs/demo", (), judges)
    recipe = load_recipe(str(ROOT / "jobs/recipes/demo.yaml"), [])
    plain, best = (_hits(recipe, f"{recipe.run_uri}/{way}", judges[1]) for way in ("all", "best_of_4"))
    found["best_of_4"]["paired"] = _paired(plain, best)
    return figures_of("scenes", found)


def _hits(recipe: Recipe, samples_uri: str, judge_uri: str) -> dict[str, bool]:
    """Of each sample, whether it finds its own caption by a judge, as evaluate has it."""
    judge = checkpoint.load_sampler(model.fetch_files(judge_uri, recipe.tracking))
    uri = recipe.ingest.dataset_uri
    captions: dict[str, str] = {}
    for row in storage.read_table(shard_uris(uri, read_manifest(uri), "test"), ["text", "attributes"]).to_pylist():
        key = str(meaning_key(row["text"], dict(row["attributes"])))
        captions[key] = min(captions.get(key, row["text"]), row["text"])
    keys = sorted(captions)
    place = {key: number for number, key in enumerate(keys)}
    shards = [f"{samples_uri}/{shard['uri']}" for shard in storage.read_json(f"{samples_uri}/{MANIFEST}")["shards"]]
    rows = storage.read_table(shards).to_pylist()
    true = np.array([place[str(meaning_key(row["prompt"], dict(row["attributes"])))] for row in rows])
    ids = [row["sample_id"] for row in rows]
    candidates = candidate_indices(keys, ids, true, NUM_CANDIDATES, recipe.seed)
    images = to_tensor([row["image"]["bytes"] for row in rows])
    ranked = judge.rank(images, [captions[key] for key in keys], torch.from_numpy(candidates)).numpy()
    return dict(zip(ids, is_retrieved(ranked[:, 0], ranked[:, 1:]).tolist(), strict=True))


def _paired(before: Mapping[str, bool], after: Mapping[str, bool]) -> dict[str, Any]:
    """Prompts gained and lost, and the sign test's probability of so many gained or more."""
    gained, lost = (sum(b is not want and after[i] is want for i, b in before.items()) for want in (True, False))
    total = gained + lost
    chance = sum(comb(total, number) for number in range(gained, total + 1)) / 2**total
    return {"gained": gained, "lost": lost, "chance": digits(chance), "prompts": len(before)}
