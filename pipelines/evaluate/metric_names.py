"""Which metrics an evaluation gives, before it has run, so that a threshold on any other is refused at once.

tests/pipelines/systems/test_metric_names.py compares with what the evaluation of every system gives.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from ganrnn.data.built_in import KINDS
from ganrnn.data.scenes import FACTOR_COLUMNS
from ganrnn.errors import BadInput
from ganrnn.metrics.extractors.described_network import DescribedExtractor
from ganrnn.metrics.extractors.load import Extractor
from ganrnn.metrics.images.frechet_limit import ROWS_PER_FEATURE
from ganrnn.metrics.images.precision_recall import ManifoldScores
from ganrnn.task import task_class
from pipelines import storage
from pipelines.config.recipe import Recipe
from pipelines.evaluate.images.blocks import condition_of
from pipelines.evaluate.images.metrics import LEAST_ROWS, count_name
from pipelines.evaluate.images.set_statistics import IN_DOMAIN
from pipelines.formats.ratings import PREFIX


@dataclass(frozen=True)
class Expected:
    """What is known of a data set and its prompts; None for what only ingest will tell.

    num_samples:     the least and the most that the prompts can give
    num_candidates:  of R-precision; 0 where there is none
    attributes:      of built-in scenes, which can be read back from images; empty for other data
    has_sources:     whether images are made of source images
    """

    num_samples: tuple[int, int | None] = (0, None)
    num_candidates: int | None = None
    attributes: tuple[str, ...] = ()
    has_sources: bool = False


@dataclass(frozen=True)
class MetricName:
    """A metric; `{}` in its template stands for a number, such as that of the samples.

    least, most:  between which the number will be; without `most`, nothing is known of it
    has_k:        whether the name has 2k for 2000
    is_certain:   whether every evaluation gives it, however the samples turn out
    """

    template: str
    least: int = 0
    most: int | None = None
    has_k: bool = False
    is_certain: bool = True

    def matches(self, name: str) -> bool:
        """Whether an evaluation may give a metric of this name here."""
        match = re.fullmatch(re.escape(self.template).replace(r"\{\}", r"(\d+)(k?)"), name)
        if not match or not match.groups():
            return match is not None
        number = int(match[1]) * (1000 if match[2] else 1)
        is_spelled = match[1] + match[2] == (count_name(number) if self.has_k else str(number))
        return is_spelled and self.least <= number and (self.most is None or number <= self.most)

    def __str__(self) -> str:
        if self.most is None:
            return self.template.format("N")
        return self.template.format(count_name(self.most) if self.has_k else self.most)


def has_prompts_of_dataset(recipe: Recipe) -> bool:
    """Whether the prompts are those that ingest writes."""
    return storage.is_within(recipe.generate.prompts_uri, recipe.ingest.dataset_uri)


def metric_names(recipe: Recipe, expected: Expected, extractor: Extractor | None) -> list[MetricName]:
    """The metrics that the evaluation of a recipe gives; `extractor` is that of `evaluate.extractor`."""
    modality = task_class(recipe.task.name).output_modality
    if modality == "images":
        return list(_image_names(recipe, expected, extractor))
    if modality == "texts":
        return list(_text_names(recipe, expected))
    shares = [MetricName(name, is_certain=False) for name in ("right_on_true", "right_on_false")]
    return [MetricName("loss_test"), MetricName("right"), MetricName("majority"), *shares]


def require_metrics(recipe: Recipe, names: Sequence[MetricName]) -> None:
    """Raises BadInput for the first metric of the section `promote` that the evaluation does not give."""
    config = recipe.promote
    asked = [("promote.at_least", name) for name in config.at_least]
    asked += [("promote.at_most", name) for name in config.at_most]
    asked += [("promote.champion_metric", config.champion_metric)] if config.champion_metric else []
    for key, name in asked:
        if name.startswith(PREFIX):
            if not config.ratings_uri:
                raise BadInput(f"{key} is on {name!r}; promote.ratings_uri has to name a study of it")
        elif not any(known.matches(name) for known in names):
            shown = [str(known) for known in names]
            near = difflib.get_close_matches(name, shown, n=1, cutoff=0.6)
            advice = f"did you mean {near[0]}? " if near else ""
            raise BadInput(
                f"{key} is on {name!r}, which this evaluation does not give; {advice}It gives {', '.join(shown)}"
                + (" (N is a number of samples)" if any("N" in one for one in shown) else "")
            )


def _image_names(recipe: Recipe, expected: Expected, extractor: Extractor | None) -> Iterator[MetricName]:
    config, samples = recipe.evaluate, expected.num_samples
    kept = _at_most(samples, config.num_kid_features)
    has_classes = {IN_DOMAIN: True}
    if extractor:
        has_classes[extractor.name] = not isinstance(extractor.network, DescribedExtractor)
    for name, is_classifier in has_classes.items():
        for score in ("fid{}", "kid{}", *(["is{}"] if is_classifier else [])):
            yield MetricName(f"{score}_{name}", *samples, has_k=True)
            if score != "fid{}":
                yield MetricName(f"{score}_{name}_std", *samples, has_k=True)
        if samples[1] is None or samples[1] >= LEAST_ROWS:
            for score in (*(each.name for each in fields(ManifoldScores)), "near_duplicates", "copied"):
                yield MetricName(f"{score}{{}}_{name}", *kept, has_k=True, is_certain=False)
        num_features = config.indomain.feature_dim if name == IN_DOMAIN else 1
        if kept[1] is None or kept[1] >= 2 * ROWS_PER_FEATURE * num_features:
            yield MetricName(f"fid_limit{{}}_{name}", *kept, has_k=True, is_certain=False)
    candidates = (expected.num_candidates or 0, expected.num_candidates)
    if expected.num_candidates != 0:
        yield MetricName("r_precision_{}", *candidates)
    if config.judge_uri and expected.num_candidates != 0:
        yield MetricName("r_precision_{}_by_judge", *candidates)
    if recipe.task.wrap_horizontally:
        yield MetricName("seam_vs_interior")
    if expected.has_sources:
        yield MetricName("pixels_kept")
    elif condition_of(recipe.task) != "none":
        for compared in ("pixels", *has_classes):
            for score in ("diversity", "coverage"):
                yield MetricName(f"{score}_given_prompt_{compared}", is_certain=False)
        if expected.attributes and KINDS[recipe.ingest.scenes.kind].factors:
            yield from (MetricName(f"spread_{factor}", is_certain=False) for factor in FACTOR_COLUMNS)
    if expected.attributes:
        yield from (MetricName(f"{name}_accuracy", is_certain=False) for name in expected.attributes)
        if expected.has_sources:
            yield from (MetricName(name) for name in ("edit_changed", "edit_kept"))


def _text_names(recipe: Recipe, expected: Expected) -> Iterator[MetricName]:
    config, samples = recipe.evaluate, expected.num_samples
    yield from map(MetricName, ("loss_test", "perplexity_test", "in_training_set"))
    yield MetricName("bits_per_character_test", is_certain=False)
    for n in (1, 2, 3):
        yield MetricName(f"distinct{n}_{{}}", *samples)
    yield MetricName("distinct_given_prompt", is_certain=False)
    yield MetricName("self_bleu_{}", *_at_most(samples, config.num_self_bleu))
    if task_class(recipe.task.name).dataset_kind == "pairs":
        yield from (MetricName(name, is_certain=False) for name in ("bleu", "chrf", "rouge1", "rouge2", "rougeL"))
    # Prompts of one's own may ask for a constraint row by row.
    constraint = recipe.generate.sampling.decoding.constraint
    has_own_prompts = not has_prompts_of_dataset(recipe)
    if constraint == "poem" or has_own_prompts:
        yield MetricName("in_form", is_certain=not has_own_prompts)
    if constraint != "none" or has_own_prompts:
        yield MetricName("constraint_nats_per_token", is_certain=not has_own_prompts)
    if config.molecules:
        yield from map(MetricName, ("validity", "novelty"))
        yield MetricName("unique_{}", *samples)
        yield MetricName("internal_diversity", is_certain=False)
        yield MetricName("frechet_fingerprint_{}", *samples, is_certain=False)


def _at_most(samples: tuple[int, int | None], limit: int) -> tuple[int, int]:
    least, most = samples
    return min(least, limit), limit if most is None else min(most, limit)
