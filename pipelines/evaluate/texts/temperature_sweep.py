"""Quality against diversity of texts: several models at several temperatures, compared with real texts.

A text GAN is worth its trouble only where it lies beyond the whole curve that temperature draws for a language model
(Caccia et al., "Language GANs falling short", ICLR 2020).
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa
from tqdm import tqdm

from ganrnn.errors import BadInput
from ganrnn.metrics.images.frechet import frechet_distance
from ganrnn.metrics.statistics.moments import Moments
from ganrnn.metrics.texts.diversity import distinct, mean_bleu, self_bleu
from ganrnn.metrics.texts.text_reader import TextReader
from ganrnn.text.vocabulary import TextVocabulary
from pipelines.config.recipe import Recipe
from pipelines.evaluate.texts.metrics import memorised, token_kind
from pipelines.formats import prompts
from pipelines.formats.evaluation_report import Sweep, SweepCurve, SweepPoint
from pipelines.formats.schemas import TEXT_SAMPLES
from pipelines.sampling import model_files
from pipelines.sampling.sampler import ModelSampler
from pipelines.sampling.samples import draw

_SET_BY_SWEEP = ("temperature", "num_samples", "num_beams", "best")  # columns of prompts


def sweep(recipe: Recipe, files: Mapping[str, bytes], training: Sequence[str], held_out: Sequence[str]) -> Sweep:
    """A curve of the recipe's model, whose files these are, and of each model of `evaluate.sweep.beside`.

    All points are scores of equally many texts. Raises BadInput where a model cannot write for the prompts.
    """
    config = recipe.evaluate.sweep
    if recipe.name in config.beside:
        raise BadInput(f"evaluate.sweep.beside holds {recipe.name}, the name of the recipe's own model; choose another")
    others = {name: model_files.fetch_files(uri, recipe.tracking) for name, uri in config.beside.items()}
    sampling = recipe.generate.sampling
    samplers = {name: ModelSampler(model, sampling) for name, model in {recipe.name: files, **others}.items()}
    table = _prompts(recipe, samplers)
    settings = [(name, temperature) for name in samplers for temperature in config.temperatures]
    with tqdm(total=2 * len(settings), desc="sweep", unit="step") as bar:
        texts = {}
        for name, temperature in settings:
            texts[name, temperature] = _written(recipe, samplers[name], table, temperature)
            bar.update()
        num_texts = min(len(training), *map(len, texts.values()))
        if num_texts < 2:
            raise BadInput(f"evaluate.sweep: of {table.num_rows} prompts {num_texts} have a text; 2 are needed")
        scale = Scale(recipe, training, held_out)
        points: dict[str, list[SweepPoint]] = {name: [] for name in samplers}
        for name, temperature in settings:
            points[name].append(SweepPoint(temperature, scale.of(texts[name, temperature][:num_texts])))
            bar.update()
    curves = {name: SweepCurve(samplers[name].model_digest, tuple(points[name])) for name in samplers}
    return Sweep(curves, scale.of(training[:num_texts]), scale.signatures)


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
    prompt_set = prompts.plan(uris, columns, sampling.shard_rows, config.max_reject_share, TEXT_SAMPLES.names)
    reader, num_texts = prompts.ShardReader(), recipe.evaluate.sweep.num_texts
    num_shards = min(prompt_set.num_shards, -(-num_texts // prompt_set.shard_rows))
    shards = [reader.read(prompt_set.shard(index)) for index in range(num_shards)]
    table = pa.concat_tables(shards, promote_options="default").slice(0, num_texts)
    return table.drop_columns([name for name in _SET_BY_SWEEP if name in table.column_names])


def _written(recipe: Recipe, sampler: ModelSampler, table: pa.Table, temperature: float) -> list[str]:
    column = pa.array([temperature] * table.num_rows, pa.float64())
    assert recipe.generate.seed is not None
    samples = draw(sampler, table.append_column("temperature", column), recipe.generate.seed)
    return [text.text for text in samples.outputs]


class Scale:
    """The scores of texts, with what they are compared with; the same for all models."""

    def __init__(self, recipe: Recipe, training: Sequence[str], held_out: Sequence[str]) -> None:
        self.config, self.seed = recipe.evaluate, recipe.seed
        self.training, self.held_out = training, held_out
        self.vocabulary = TextVocabulary.build("character", training)
        self.reader = TextReader(training, self.vocabulary, self.config.sweep.reader, self.seed)
        self.reference = Moments.from_features(self.reader.features(held_out))
        self.signatures: dict[str, str] = {}

    def of(self, texts: Sequence[str]) -> dict[str, float]:
        """Quality: likelihood under a model of real texts, BLEU. Diversity: the reverse likelihood, self-BLEU."""
        num = min(self.config.num_self_bleu, len(texts))
        reader = TextReader(texts, self.vocabulary, self.config.sweep.reader, self.seed)
        level = token_kind(self.config)
        among, against = self_bleu(texts, num, self.seed, level), mean_bleu(texts, self.held_out, level)
        self.signatures |= {f"self_bleu_{num}": among.signature, "bleu_test": against.signature}
        return {
            "nats_per_character": self.reader.nats(texts),
            "reverse_nats_per_character": reader.nats(self.held_out),
            f"frechet{len(texts)}_reader": frechet_distance(
                Moments.from_features(self.reader.features(texts)), self.reference
            ),
            "bleu_test": against.score,
            f"self_bleu_{num}": among.score,
            f"distinct2_{len(texts)}": distinct(texts, 2, level),
            "in_training_set": memorised(texts, self.training, self.config).metrics["in_training_set"],
        }
