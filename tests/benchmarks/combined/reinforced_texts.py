"""Does a discriminator make a language model write better captions? Before its steps and after, beside temperatures.

The recipe reinforced_captions is trained with all of its checkpoints. From the one where the discriminator comes in, a
plain language model is also read at many temperatures, and one that had as many more steps of likelihood instead:
a text GAN is worth its trouble only where it beats that whole curve (Caccia et al., "Language GANs falling short",
ICLR 2020). A caption is grammatical that is the description of a scene, in any wording.
"""

from collections.abc import Sequence
from typing import Any

from ganrnn.data import scenes
from ganrnn.decoding.rules import Decoding
from ganrnn.metrics.texts.diversity import distinct, duplicates, self_bleu
from pipelines import storage
from pipelines.config.loader import load_recipe
from pipelines.config.recipe import Recipe
from pipelines.config.sampling import SamplingConfig
from pipelines.evaluate.texts import metrics
from pipelines.formats.dataset import read_manifest, shard_uris
from pipelines.sampling.model_files import fetch_files
from pipelines.sampling.sampler import ModelSampler
from tests.benchmarks.recipe_scores import report
from tests.benchmarks.record import ROOT, Figure, digits, recipe_path

NAME = "reinforced_captions"
ALL_CHECKPOINTS = 1_000
NUM_TEXTS, NUM_SELF_BLEU = 1_000, 200
TEMPERATURES = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
NUM_WORDINGS = 6  # a multiple of how many there are in either language


def measure() -> list[Figure]:
    """Train both as far as that has not been done, and score what their checkpoints write."""
    for one in settings():
        report(NAME, one)
    recipe, alone = (load_recipe(str(ROOT / recipe_path(NAME)), one) for one in settings())
    switch, last = recipe.task.num_pretraining_steps, recipe.task.num_steps
    by_step = {str(step): _scores(recipe, step, 1.0) for step in _steps(recipe) if step >= switch}
    curves = {
        "before": {str(t): _scores(recipe, switch, t) for t in TEMPERATURES},
        "likelihood_alone": {str(t): _scores(alone, last, t) for t in TEMPERATURES},
        "after": {str(t): _scores(recipe, last, t) for t in TEMPERATURES},
    }
    details = {"num_texts": NUM_TEXTS, "by_step": by_step, "by_temperature": curves, "real": _floors(recipe)}
    before, after = by_step[str(switch)], by_step[str(last)]
    return [
        Figure("captions_grammatical", after["grammatical"], details),
        Figure("captions_grammatical_before", before["grammatical"], {}),
        Figure("captions_grammatical_likelihood_alone", curves["likelihood_alone"]["1.0"]["grammatical"], {}),
    ]


def settings() -> tuple[list[str], list[str]]:
    """Of the recipe, and of a training that has steps of likelihood in the place of the adversarial ones."""
    recipe = load_recipe(str(ROOT / recipe_path(NAME)))
    longer = [f"task.num_pretraining_steps={recipe.task.num_steps}", f"run_uri={recipe.run_uri}_likelihood_alone"]
    return [f"train.keep_checkpoints={ALL_CHECKPOINTS}"], longer


def _steps(recipe: Recipe) -> list[int]:
    """Of the checkpoints that a training left."""
    names = storage.list_folders(recipe.train.checkpoint_uri)
    return sorted(int(name.removeprefix("step-")) for name in names if name.startswith("step-"))


def _rows(recipe: Recipe, split: str) -> list[str]:
    uri = recipe.ingest.dataset_uri
    table = storage.read_table(shard_uris(uri, read_manifest(uri), split), ["text"])
    rows: list[str] = table["text"].to_pylist()
    return rows


def _scores(recipe: Recipe, step: int, temperature: float) -> dict[str, float]:
    """Of NUM_TEXTS texts by a checkpoint, and how likely it holds real ones."""
    place = f"{recipe.train.checkpoint_uri}/step-{step:08d}"
    sampler = ModelSampler(fetch_files(place, recipe.tracking), SamplingConfig())
    rules = Decoding(temperature=temperature, max_tokens=recipe.generate.sampling.decoding.max_tokens)
    rows: dict[str, Any] = {"prompt_id": ["all"] * NUM_TEXTS, "decoding": [rules] * NUM_TEXTS}
    written, failed = sampler.sample(rows, [(0, f"captions/{i}") for i in range(NUM_TEXTS)])
    assert not failed, failed
    held_out = _rows(recipe, "test")
    total, num_tokens = sampler.task.negative_log_likelihood({"text": held_out}, cut_rows_end=False)
    likelihood = metrics.likelihood(total, num_tokens, sampler.task.reading({"text": held_out}), 0.0)
    found = _of_texts(recipe, [one.text for one in written])
    found["perplexity_test"] = digits(likelihood.metrics["perplexity_test"])
    print(f"  {place} at {temperature:g}: {found}", flush=True)
    return found


def _floors(recipe: Recipe) -> dict[str, float]:
    """Of as many training texts."""
    return _of_texts(recipe, _rows(recipe, "train")[:NUM_TEXTS])


def _of_texts(recipe: Recipe, texts: Sequence[str]) -> dict[str, float]:
    known = _captions()
    scores = {
        "grammatical": sum(text in known for text in texts) / len(texts),
        "different": len(set(texts)) / len(texts),
        **{f"distinct{n}_{len(texts)}": distinct(texts, n, "word") for n in (1, 2, 3)},
        f"self_bleu_{NUM_SELF_BLEU}": self_bleu(texts, NUM_SELF_BLEU, recipe.seed).score,
        "in_training_set": duplicates(texts, _rows(recipe, "train")).value,
        "length": sum(map(len, texts)) / len(texts),
        "in_chinese": sum(not text.isascii() for text in texts) / len(texts),
        "of_two_objects": sum(any(sign in text for sign in ("above", "left of", "面")) for text in texts) / len(texts),
    }
    return {name: digits(value) for name, value in scores.items()}


def _captions() -> frozenset[str]:
    """Of every scene, in every wording and language."""
    return frozenset(
        scenes.describe(combination, language, wording)
        for combination in scenes.single_combinations() + scenes.pair_combinations()
        for language in ("en", "zh")
        for wording in range(NUM_WORDINGS)
    )
