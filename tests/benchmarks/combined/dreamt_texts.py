"""Dreamt captions beside those of a plain language model of the same texts and steps, both at temperature 1.

A caption is right when a scene of `ganrnn/data/scenes.py` has it, letter by letter. Most captions there are were
trained on, so that being right and being known go together: the floors in the details are those of held-out captions
themselves. Reconstructions and interpolations, of and between held-out captions, take the likeliest tokens.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ganrnn.data.scenes import describe, pair_combinations, single_combinations
from ganrnn.decoding.rules import Decoding
from ganrnn.metrics.statistics.share import Share
from ganrnn.metrics.texts.diversity import distinct, duplicates, self_bleu
from pipelines import storage
from pipelines.config.loader import load_recipe
from pipelines.formats.dataset import read_manifest, shard_uris
from pipelines.sampling.model_files import fetch_files
from pipelines.sampling.sampler import ModelSampler
from tests.benchmarks.recipe_scores import report
from tests.benchmarks.record import Figure, digits, recipe_path

DREAMER = "dreamt_captions"
# The plain model reads what the dreamer does: words, and as many of them, as often.
PLAIN = ("scene_captions", ("task.vocabulary=word", "task.num_tokens=24", "task.num_steps=2000"))
PLAIN_TRAIN = ("train.global_batch_size=64", "run_uri=runs/scene_captions_words")
NUM_TEXTS = 1_000
NUM_SELF_BLEU = 500
MAX_TOKENS = 32
NUM_WORDINGS = 6
SHARES = (0.25, 0.5, 0.75)


def measure() -> list[Figure]:
    """Train both as far as that has not been done, write, look at each text."""
    name, settings = PLAIN
    plain_settings = [*settings, *PLAIN_TRAIN]
    held = report(DREAMER, [])
    report(name, plain_settings)
    dreamer, plain = _sampler(DREAMER, []), _sampler(name, plain_settings)
    train, test = (_texts(split) for split in ("train", "test"))
    captions = scene_captions()
    dreamt = _scores(_written(dreamer, 1.0), train, captions)
    details = {
        "dreamt": dreamt,
        "dreamt_greedy": _scores(_written(dreamer, 0.0), train, captions),
        "language_model": _scores(_written(plain, 1.0), train, captions),
        "held_out": _scores(test, train, captions),
        "report": held,
    }
    spoken = _written(dreamer, 0.0, from_text=test)
    exact = Share(sum(own == text for own, text in zip(spoken, test, strict=True)), len(test))
    return [
        Figure("dreamt_right", dreamt["right"], details),
        Figure("dreamt_reconstructed", digits(exact.value), {"interval": exact.interval()}),
        _interpolated(dreamer, test, captions),
    ]


def _interpolated(dreamer: ModelSampler, test: Sequence[str], captions: set[str]) -> Figure:
    """Between each held-out caption and the next: how many are right, by how far it is to them."""
    ends = [*test[1:], test[0]]
    shares, shown = {}, []
    for share in SHARES:
        made = _written(dreamer, 0.0, from_text=test, to_text=ends, share=[share] * len(test))
        shares[str(share)] = digits(_right(made, captions).value)
        shown.append(made[:10])
    lines = [list(line) for line in zip(test, *shown, ends, strict=False)]
    return Figure("dreamt_between_right", shares["0.5"], {"by_share": shares, "ways": lines[:10]})


def scene_captions() -> set[str]:
    """All that a scene can have."""
    combinations = [*single_combinations(), *pair_combinations()]
    return {describe(c, language, i) for c in combinations for language in ("en", "zh") for i in range(NUM_WORDINGS)}


def _texts(split: str) -> list[str]:
    """Of a split of the data set; as many of the held-out ones as are written."""
    uri = load_recipe(recipe_path(DREAMER)).ingest.dataset_uri
    table = storage.read_table(shard_uris(uri, read_manifest(uri), split), ["text"])
    texts: list[str] = table.column("text").to_pylist()
    return texts if split == "train" else texts[:NUM_TEXTS]


def _sampler(name: str, settings: Sequence[str]) -> ModelSampler:
    recipe = load_recipe(recipe_path(name), settings)
    return ModelSampler(fetch_files(recipe.generate.model_uri, recipe.tracking), recipe.generate.sampling)


def _written(sampler: ModelSampler, temperature: float, **columns: Sequence[Any]) -> list[str]:
    """So many texts, at a temperature, of further columns of prompts."""
    rules = Decoding(temperature=temperature, max_tokens=MAX_TOKENS)
    ids = [str(i) for i in range(NUM_TEXTS)]
    rows: Mapping[str, Sequence[Any]] = {"prompt_id": ids, "decoding": [rules] * NUM_TEXTS, **columns}
    outputs, failed = sampler.sample(rows, [(0, i) for i in ids])
    assert not failed, failed
    return [written.text for written in outputs]


def _right(texts: Sequence[str], captions: set[str]) -> Share:
    return Share(sum(text in captions for text in texts), len(texts))


def _scores(texts: Sequence[str], training: Sequence[str], captions: set[str]) -> dict[str, Any]:
    """How many are right, new, new and right; how different they are."""
    known, right = duplicates(texts, training), _right(texts, captions)
    new = {*texts} - {*training}
    return {
        "right": digits(right.value),
        "right_interval": [digits(value) for value in right.interval()],
        "in_training_set": digits(known.value),
        "different": len({*texts}),
        "new_and_different": len(new),
        "new_different_and_right": len(new & captions),
        **{f"distinct{n}_{len(texts)}": digits(distinct(texts, n, "word")) for n in (1, 2, 3)},
        f"self_bleu_{NUM_SELF_BLEU}": digits(self_bleu(texts, NUM_SELF_BLEU, seed=0).score),
        "texts": list(texts[:20]),
    }
