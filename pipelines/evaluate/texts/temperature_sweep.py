"""Quality against diversity of texts: models beside each other at several temperatures, and real texts beside them.

A text GAN is worth its trouble only where it lies beyond the whole curve that temperature draws for a language model
(Caccia et al., "Language GANs falling short", ICLR 2020).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from ganrnn.errors import BadInput
from ganrnn.metrics.images.frechet import frechet_distance
from ganrnn.metrics.statistics.moments import Moments
from ganrnn.metrics.texts.diversity import distinct, duplicates, mean_bleu, self_bleu
from ganrnn.metrics.texts.text_reader import TextReader
from ganrnn.text.vocabulary import TextVocabulary
from pipelines.config import Recipe
from pipelines.formats import prompts
from pipelines.formats.schemas import TEXT_SAMPLES
from pipelines.sampling import model_files
from pipelines.sampling.sampler import ModelSampler
from pipelines.sampling.samples import draw

_OWN = ("temperature", "num_samples", "num_beams", "best")  # columns of prompts that a sweep sets itself


def sweep(
    recipe: Recipe, files: Mapping[str, bytes], training: Sequence[str], held_out: Sequence[str]
) -> dict[str, Any]:
    """Curves of the recipe's model, whose files these are, and of those beside it: name -> digest and points.

    A point holds the temperature and the scores of `Scale`, all points of as many texts. Raises BadInput where a model
    cannot write for the prompts.
    """
    config = recipe.evaluate.sweep
    if recipe.name in config.beside:
        raise BadInput(f"evaluate.sweep.beside holds {recipe.name}, the name of the recipe's own model; choose another")
    others = {name: model_files.fetch_files(uri, recipe.tracking) for name, uri in config.beside.items()}
    sampling = recipe.generate.sampling
    samplers = {name: ModelSampler(held, sampling) for name, held in {recipe.name: files, **others}.items()}
    asked = _prompts(recipe, samplers)
    places = [(name, temperature) for name in samplers for temperature in config.temperatures]
    with tqdm(total=2 * len(places), desc="sweep", unit="step") as bar:
        texts = {}
        for name, temperature in places:
            texts[name, temperature] = _written(recipe, samplers[name], asked, temperature)
            bar.update()
        num_texts = min(len(training), *map(len, texts.values()))
        if num_texts < 2:
            raise BadInput(f"evaluate.sweep: of {asked.num_rows} prompts {num_texts} have a text; 2 are needed")
        scale = Scale(recipe, training, held_out)
        curves: dict[str, Any] = {name: {"model_digest": s.model_digest, "points": []} for name, s in samplers.items()}
        for name, temperature in places:
            scores = scale.of(texts[name, temperature][:num_texts])
            curves[name]["points"].append({"temperature": temperature, **scores})
            bar.update()
    return {"curves": curves, "real": scale.of(training[:num_texts]), "signatures": scale.signatures}


def _prompts(recipe: Recipe, samplers: Mapping[str, ModelSampler]) -> pa.Table:
    """The first prompts, each for one text."""
    config, sampling = recipe.generate, recipe.generate.sampling
    uris = list(prompts.find(config.prompts_uri, config.since, config.where))
    for name, sampler in samplers.items():
        if sampler.task.output_modality != "texts":
            raise BadInput(
                f"evaluate.sweep.beside: {name} gives {sampler.task.output_modality}; allowed are models of texts"
            )
    columns = sorted({column for sampler in samplers.values() for column in sampler.task.prompt_columns})
    asked = prompts.plan(uris, columns, sampling.shard_rows, config.max_reject_share, TEXT_SAMPLES.names)
    reader, held, num_texts = prompts.ShardReader(), [], recipe.evaluate.sweep.num_texts
    for index in range(min(asked.num_shards, -(-num_texts // asked.shard_rows))):
        held.append(reader.read(asked.shard(index)))
    table = pa.concat_tables(held, promote_options="default").slice(0, num_texts)
    return table.drop_columns([name for name in _OWN if name in table.column_names])


def _written(recipe: Recipe, sampler: ModelSampler, asked: pa.Table, temperature: float) -> list[str]:
    column = pa.array([temperature] * asked.num_rows, pa.float64())
    assert recipe.generate.seed is not None
    drawn = draw(sampler, asked.append_column("temperature", column), recipe.generate.seed)
    return [written.text for written in drawn.outputs]


class Scale:
    """What texts are measured by, the same for all models."""

    def __init__(self, recipe: Recipe, training: Sequence[str], held_out: Sequence[str]) -> None:
        self.config, self.seed = recipe.evaluate, recipe.seed
        self.training, self.held_out = training, held_out
        self.vocabulary = TextVocabulary.build("character", training)
        self.reader = TextReader(training, self.vocabulary, self.config.sweep.reader, self.seed)
        self.reference = Moments.from_features(self.reader.features(held_out))
        self.signatures: dict[str, str] = {}

    def of(self, texts: Sequence[str]) -> dict[str, float]:
        """Quality (of a reader of real texts, and BLEU), diversity (of a reader of these, and among themselves)."""
        num = min(self.config.num_self_bleu, len(texts))
        own = TextReader(texts, self.vocabulary, self.config.sweep.reader, self.seed)
        among, against = self_bleu(texts, num, self.seed), mean_bleu(texts, self.held_out)
        self.signatures |= {f"self_bleu_{num}": among.signature, "bleu_test": against.signature}
        return {
            "nats_per_character": self.reader.nats(texts),
            "reverse_nats_per_character": own.nats(self.held_out),
            f"frechet{len(texts)}_reader": frechet_distance(
                Moments.from_features(self.reader.features(texts)), self.reference
            ),
            "bleu_test": against.score,
            f"self_bleu_{num}": among.score,
            f"distinct2_{len(texts)}": distinct(texts, 2, "word"),
            "in_training_set": duplicates(texts, self.training).value,
        }
