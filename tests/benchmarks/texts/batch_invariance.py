"""Does what is written for a row depend on the rows that come with it? For every recipe of texts, in a small network.

Each recipe's own task, made small, takes a few steps on the built-in captions of scenes (pairs: English to Chinese) and
writes for the same prompts in several ways: by micro-batches of one, of seven and of sixty-four, with the rows cut in
two as two workers have them, and in another order; sampled and by beam search, by the recipe's other rules but for its
constraint, which captions cannot meet. A row differs where its text or its log-probability is not the same, to the last
bit, in all of them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ganrnn import noise
from ganrnn.checkpoint import SAMPLER_FILES, pack
from ganrnn.data import scenes
from ganrnn.task import task_class
from pipelines.config.loader import load_recipe
from pipelines.config.recipe import Recipe
from pipelines.config.sampling import SamplingConfig
from pipelines.sampling.sampler import ModelSampler
from tests.benchmarks.record import ROOT, Figure

NUM_TRAINING_ROWS, NUM_STEPS, BATCH_ROWS = 256, 12, 8
NUM_PROMPTS, NUM_PREFIX, MAX_TOKENS = 60, 10, 24
DIM = 32
TEXT_TASKS = ("language_model", "seq2seq")
DECODINGS: Mapping[str, Mapping[str, Any]] = {
    "sampled": {"temperature": 1.0, "num_beams": 1},
    "beams": {"num_beams": 4},
}
# Name of a way -> the micro-batch, and the parts that N rows come in.
WAYS: Mapping[str, tuple[int, Callable[[int], list[Sequence[int]]]]] = {
    "micro_batch_64": (64, lambda num: [range(num)]),
    "micro_batch_7": (7, lambda num: [range(num)]),
    "micro_batch_1": (1, lambda num: [range(num)]),
    "two_workers": (64, lambda num: [range(num // 3), range(num // 3, num)]),
    "shuffled": (64, lambda num: [noise.permutation(num, 0, "shuffled").tolist()]),
}


def measure() -> list[Figure]:
    """Rows that differ, over all recipes and both ways to search."""
    differing: dict[str, int] = {}
    for path in sorted((ROOT / "jobs/recipes").rglob("*.yaml")):
        recipe = load_recipe(str(path))
        if recipe.task.name in TEXT_TASKS:
            for kind, found in _of_recipe(recipe).items():
                differing[f"{path.stem} {kind}"] = found
                print(f"  {path.stem}, {kind}: {found} of {NUM_PROMPTS} rows differ", flush=True)
    details = {"rows_each": NUM_PROMPTS, "rows": NUM_PROMPTS * len(differing), "ways": list(WAYS), "by": differing}
    return [Figure("rows_differing_across_batches", sum(differing.values()), details)]


def _of_recipe(recipe: Recipe) -> dict[str, int]:
    files, prompts = _trained(recipe)
    found = {}
    for kind, changes in DECODINGS.items():
        own = recipe.generate.sampling.decoding
        limits: dict[str, Any] = {"max_tokens": MAX_TOKENS, "min_tokens": min(own.min_tokens, MAX_TOKENS)}
        rules = replace(own, constraint="none", **limits, **changes)
        rows: dict[str, list[Any]] = {
            "prompt_id": [str(i) for i in range(NUM_PROMPTS)],
            "prompt": prompts,
            "decoding": [rules] * NUM_PROMPTS,
        }
        made = [_written(files, rows, size, parts(NUM_PROMPTS)) for size, parts in WAYS.values()]
        found[kind] = sum(len(set(of_row)) > 1 for of_row in zip(*made, strict=True))
    return found


def _trained(recipe: Recipe) -> tuple[dict[str, bytes], list[str]]:
    """What a sampler needs of a small model of the recipe, and prompts for it."""
    kind = task_class(recipe.task.name)
    optimiser = replace(recipe.task.optimiser, warmup_steps=2)
    config = replace(recipe.task, embedding_dim=DIM, hidden_dim=DIM, num_steps=NUM_STEPS, optimiser=optimiser)
    captions, prompts = _captions("train", NUM_TRAINING_ROWS), _captions("val", NUM_PROMPTS)
    names = {"text": "source"} if kind.kind == "texts" else {"source": "source", "target": "target"}
    rows = {name: captions[held] for name, held in names.items()}
    columns = kind.vocabulary_columns(config)
    vocabulary = kind.build_vocabulary(config, list(zip(*(rows[name] for name in columns), strict=True)))
    task = kind(config, vocabulary)
    batches = task.batches(rows, BATCH_ROWS, seed=0)
    for step in range(NUM_STEPS):
        task.step(batches.at(step))
    files = pack(task, {}, {})
    length = NUM_PREFIX if kind.kind == "texts" else None
    return {name: files[name] for name in SAMPLER_FILES}, [text[:length] for text in prompts["source"]]


def _captions(split: scenes.Split, num: int) -> dict[str, list[str]]:
    config = scenes.ScenesConfig(num_train=num, num_val=num, languages=("en",))
    drawn = list(scenes.scenes(config, split, 0, 16, 16))
    return {"source": [scene.text for scene in drawn], "target": [scenes.in_chinese(scene) for scene in drawn]}


def _written(
    files: Mapping[str, bytes], rows: Mapping[str, list[Any]], micro_batch: int, parts: Sequence[Sequence[int]]
) -> list[tuple[str, str]]:
    """Text and log-probability of each row, every part by a sampler of its own."""
    made: dict[int, tuple[str, str]] = {}
    for part in parts:
        sampler = ModelSampler(files, SamplingConfig(micro_batch_size=micro_batch))
        keys = [(7, f"{row}/0") for row in part]
        outputs, failed = sampler.sample({name: [held[row] for row in part] for name, held in rows.items()}, keys)
        assert not failed, failed
        assert all(math.isfinite(written.log_probability) for written in outputs)
        made |= {r: (o.text, o.log_probability.hex()) for r, o in zip(part, outputs, strict=True)}
    return [made[row] for row in range(len(made))]
