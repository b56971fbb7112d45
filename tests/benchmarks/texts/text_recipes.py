"""The scores of recipes of texts: each is run from ingest to promote, as far as that has not been done, and read.

Runs lie in runs/ as for anyone. All ask for DATA, a folder that has multi30k_en_de/ (train.parquet, val.parquet and
test_2016_flickr.parquet), smiles_zinc/train.parquet and dialogsum/dev.parquet. Translation keeps all of its checkpoints
and shows how BLEU rose with the steps, of greedy translations.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from ganrnn.decoding.rules import Decoding
from ganrnn.metrics.texts.molecules import (
    CanonicalSmiles,
    canonical_smiles,
    fingerprints,
    internal_diversity,
    novelty,
    uniqueness,
    validity,
)
from ganrnn.metrics.texts.overlap import bleu
from pipelines import storage
from pipelines.config.loader import load_recipe
from pipelines.config.recipe import Recipe
from pipelines.config.sampling import SamplingConfig
from pipelines.formats.dataset import read_manifest, shard_uris
from pipelines.sampling.model_files import fetch_files
from pipelines.sampling.sampler import ModelSampler
from tests.benchmarks.recipe_scores import data_folder, report
from tests.benchmarks.record import ROOT, Figure, digits, recipe_path

ALL_CHECKPOINTS = 1_000
NUM_MOLECULES = 10_000


def translation() -> list[Figure]:
    """English to German: BLEU of the test set, as the recipe decodes and by training step."""
    folder = f"{data_folder()}/multi30k_en_de"
    files = {"source_uri": "train", "holdout_uri": "val", "test_uri": "test_2016_flickr"}
    settings = [f"ingest.{key}={folder}/{name}.parquet" for key, name in files.items()]
    settings.append(f"train.keep_checkpoints={ALL_CHECKPOINTS}")
    held = report("multi30k_en_de", settings)
    curve = _bleu_by_step(load_recipe(str(ROOT / "jobs/recipes/pairs/multi30k_en_de.yaml"), settings))
    return [Figure("multi30k_bleu", held["metrics"]["bleu"], {"greedy_bleu_by_step": curve, **held})]


def molecules() -> list[Figure]:
    """SMILES: those that are molecules, of these those that are new, and those that came once.

    In the details the same of more of them, with the constraint and without, as MOSES has it.
    """
    return molecules_of("smiles_zinc", "smiles")


def molecules_of(recipe: str, prefix: str) -> list[Figure]:
    """The same of any recipe, the names of figures beginning with a prefix."""
    settings = [f"ingest.source_uri={data_folder()}/smiles_zinc/train.parquet"]
    held = report(recipe, settings)
    (unique,) = [name for name in held["metrics"] if name.startswith("unique_")]
    names = {f"{prefix}_validity": "validity", f"{prefix}_novelty": "novelty", f"{prefix}_unique": unique}
    many = _many_molecules(load_recipe(str(ROOT / recipe_path(recipe)), settings))
    return [
        Figure(name, held["metrics"][metric], {"metric": metric, "many": many, **held})
        for name, metric in names.items()
    ]


def dialogues() -> list[Figure]:
    """Summaries of dialogues, and what is said next in them."""
    settings = [f"ingest.source_uri={data_folder()}/dialogsum/dev.parquet"]
    summaries, turns = report("dialogsum", settings), report("dialogue_turns", settings)
    return [
        Figure("dialogsum_rouge1", summaries["metrics"]["rouge1"], summaries),
        Figure("dialogue_turns_loss", turns["metrics"]["loss_test"], turns),
    ]


GROUPS: dict[str, Callable[[], list[Figure]]] = {
    "translation": translation,
    "molecules": molecules,
    "dialogues": dialogues,
}


def _many_molecules(recipe: Recipe) -> dict[str, dict[str, float]]:
    """Scores of NUM_MOLECULES by the last checkpoint, beside what the training set has."""
    uri = recipe.ingest.dataset_uri
    shards = shard_uris(uri, read_manifest(uri), "train")
    known = canonical_smiles(storage.read_table(shards, ["text"])["text"].to_pylist())
    last = max(name for name in storage.list_folders(recipe.train.checkpoint_uri) if name.startswith("step-"))
    sampler = ModelSampler(fetch_files(f"{recipe.train.checkpoint_uri}/{last}", recipe.tracking), SamplingConfig())
    rules = recipe.generate.sampling.decoding
    found = {"training_set": _scores(known, frozenset())}
    for name, held in {"constrained": rules, "free": dataclasses.replace(rules, constraint="none")}.items():
        rows = {"prompt_id": ["all"] * NUM_MOLECULES, "decoding": [held] * NUM_MOLECULES}
        written, failed = sampler.sample(rows, [(0, f"{name}/{i}") for i in range(NUM_MOLECULES)])
        texts = ["" if i in failed else one.text for i, one in enumerate(written)]
        found[name] = _scores(canonical_smiles(texts), frozenset(known))
        print(f"  {name}: {found[name]}", flush=True)
    return found


def _scores(made: Sequence[CanonicalSmiles | None], known: frozenset[CanonicalSmiles | None]) -> dict[str, float]:
    scores = {
        "number": len(made),
        "validity": validity(made).value,
        **{f"unique_{k}": uniqueness(made, k).value for k in (1_000, 10_000)},
        "novelty": novelty(made, known).value,
        "internal_diversity": internal_diversity(fingerprints(made)),
    }
    return {name: digits(value) for name, value in scores.items()}


def _bleu_by_step(recipe: Recipe) -> dict[str, float]:
    """Of each checkpoint that the training left."""
    assert recipe.ingest.test_uri is not None
    pairs = storage.read_table([recipe.ingest.test_uri], ["source", "target"]).to_pydict()
    curve = {}
    for name in sorted(storage.list_folders(recipe.train.checkpoint_uri)):
        if name.startswith("step-"):
            sampler = ModelSampler(
                fetch_files(f"{recipe.train.checkpoint_uri}/{name}", recipe.tracking), SamplingConfig()
            )
            texts = _translated(sampler, pairs["source"], recipe.generate.sampling.decoding.max_tokens)
            step = name.removeprefix("step-").lstrip("0")
            curve[step] = digits(bleu(texts, [pairs["target"]], recipe.evaluate.bleu_tokenizer).score)
            print(f"  step {step}: BLEU {curve[step]}, greedy", flush=True)
    return curve


def _translated(sampler: ModelSampler, sources: Sequence[str], max_tokens: int) -> list[str]:
    """Greedily; nothing where the model cannot."""
    rules = Decoding(temperature=0.0, max_tokens=max_tokens)
    ids = [f"{row:04d}" for row in range(len(sources))]
    rows: dict[str, Any] = {"prompt_id": ids, "prompt": sources, "decoding": [rules] * len(sources)}
    written, failed = sampler.sample(rows, [(0, f"{i}/0") for i in ids])
    return ["" if row in failed else one.text for row, one in enumerate(written)]
