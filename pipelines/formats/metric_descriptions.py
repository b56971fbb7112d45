"""What metrics mean to a reader, looked up by their names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

LOWER, REAL = "lower is better", "as real is best"


@dataclass(frozen=True)
class MetricDescription:
    """Title and meaning of the metrics whose names match `pattern`; `{}` in them stands for the pattern's group."""

    pattern: str
    title: str
    meaning: str
    better: str = "higher is better"
    is_accuracy: bool = False


_IMAGES = (
    (r"fid\d", "Fréchet distance", "distance between the distributions of generated and real images", LOWER),
    (r"kid\d", "Kernel distance", "the same distance without assuming a normal distribution", LOWER),
    (r"is\d", "Inception Score", "each image clearly belongs to one class, and all classes occur"),
    (r"fid_limit\d", "Fréchet distance, in the limit", "extrapolated to an unlimited number of samples", LOWER),
    (r"precision\d", "Precision", "share of samples within the neighbourhood of a real image", REAL),
    (r"recall\d", "Recall", "share of real images within the neighbourhood of a sample", REAL),
    (
        r"density\d",
        "Density",
        "neighbourhoods of real images around a sample, relative to the expected number",
        REAL,
    ),
    (r"coverage\d", "Coverage", "share of real images with a sample in their neighbourhood", REAL),
    (
        r"clipped_density\d",
        "Clipped density",
        "share of samples as close to real images as these are to each other, if the others are far away",
        REAL,
    ),
    (
        r"clipped_coverage\d",
        "Clipped coverage",
        "share of real images, drawn again, that would fill the neighbourhoods of real images as far",
        REAL,
    ),
    (
        r"diversity_given_prompt_(\w+)$",
        "Diversity given the prompt, by {}",
        "distance between samples of one meaning or label, relative to real images of it",
        REAL,
    ),
    (
        r"coverage_given_prompt_(\w+)$",
        "Coverage given the prompt, by {}",
        "share of real images with a sample of their meaning or label nearer than the nearest other real one",
        REAL,
    ),
    (
        r"spread_(\w+)$",
        "Spread of the {} given the prompt",
        "standard deviation among samples of one meaning, relative to that among real images of it",
        REAL,
    ),
    (r"near_duplicates\d", "Near-duplicates", "share of samples with a near-duplicate among the samples", REAL),
    (
        r"copied\d",
        "Copies",
        "share of samples closer to a training image than that image's nearest real neighbour",
        REAL,
    ),
    (
        r"r_precision_(\d+)_by_judge$",
        "R-precision, by a judge",
        "the same, ranked by a judge that neither taught the generator nor chose samples",
    ),
    (r"r_precision_(\d+)", "R-precision", "share of images that match their own prompt best out of {}"),
    (r"edit_changed$", "Edits made", "share of images that show everything that was to change"),
    (r"edit_kept$", "Edits without a side effect", "share of images that show everything that was to stay"),
    (r"pixels_kept$", "Pixels kept", "share of pixels that are the same as before", REAL),
    (
        r"seam_vs_interior$",
        "Seam",
        "difference between the left and the right edge, relative to neighbouring columns inside",
        "1 is best",
    ),
)
_TEXTS = (
    (r"loss_test$", "Cross-entropy", "nats per token of held-out texts under the model", LOWER),
    (r"perplexity_test$", "Perplexity", "number of equally likely tokens with the same cross-entropy", LOWER),
    (r"bits_per_character_test$", "Bits per character", "the same for any choice of tokens", LOWER),
    (r"bleu$", "BLEU", "share of word sequences that are also in the human reference"),
    (r"chrf$", "chrF", "overlap with the human reference in sequences of characters"),
    (r"rouge(\w)$", "ROUGE-{}", "overlap with the human reference, missing and surplus words both counted"),
    (r"distinct(\d)_\d+$", "Distinct-{}", "share of different sequences of {} words", REAL),
    (
        r"distinct_given_prompt$",
        "Distinct given the prompt",
        "share of different texts among the samples of one prompt",
        REAL,
    ),
    (r"self_bleu_\d+$", "Self-BLEU", "BLEU of each text against the other texts", REAL),
    (r"nats_per_character$", "Likelihood", "nats per character under a language model of real texts", REAL),
    (
        r"reverse_nats_per_character$",
        "Reverse likelihood",
        "nats per character of held-out texts under a language model of the generated texts",
        LOWER,
    ),
    (r"frechet\d+_reader$", "Fréchet distance", "between features of a language model of real texts", LOWER),
    (r"bleu_test$", "BLEU", "share of word sequences that are also in a held-out text", REAL),
    (r"in_training_set$", "In the training set", "share of texts that are also in the training set", REAL),
    (r"in_form$", "In form", "share of poems that have exactly the requested form"),
    (r"constraint_nats_per_token$", "Cost of the form", "likelihood lost to the constraint, nats per token", LOWER),
    (r"validity$", "Validity", "share of texts that are molecules"),
    (r"unique_\d+$", "Uniqueness", "share of different molecules among the valid ones"),
    (r"novelty$", "Novelty", "share of different molecules that are not in the training set"),
    (r"internal_diversity$", "Internal diversity", "mean distance between the molecules", REAL),
    (r"frechet_fingerprint_\d+$", "Fréchet distance", "to the fingerprints of held-out molecules", LOWER),
)
_VERDICTS = (
    (r"right$", "Correct verdicts", "share of statements that are judged correctly"),
    (r"right_on_(\w+)$", "Correct on {} statements", "share of the {} statements that are judged correctly"),
    (r"majority$", "Majority", "share that the more frequent answer alone would get right"),
)

DESCRIPTIONS = (
    *(MetricDescription(*entry) for entry in (*_IMAGES, *_TEXTS, *_VERDICTS)),
    MetricDescription(
        r"(\w+)_accuracy$", "{}", "share of images that show the {} that their prompt asks for", is_accuracy=True
    ),
)


def description_of(name: str) -> MetricDescription:
    """The description of a metric; without one, its name is its title."""
    for description in DESCRIPTIONS:
        if match := re.match(description.pattern, name):
            group = match.group(1).replace("_", " ") if match.re.groups else ""
            title, meaning = description.title.format(group), description.meaning.format(group)
            return replace(description, title=title, meaning=meaning)
    return MetricDescription("", name, "", "")


def kind_of(name: str) -> str:
    """The name of a metric without the number of samples: fid_indomain for fid2k_indomain."""
    return re.sub(r"^([a-z_]*[a-z])\d+k?_", r"\1_", name)


# By which models are compared where a recipe does not say: the first that a report has. Images, texts, verdicts.
_CHAMPION_METRICS = (r"r_precision_\d+$", r"fid\d+k?_indomain$", r"bits_per_character_test$", r"right$", r"loss_test$")


def default_champion_metric(names: Iterable[str]) -> str:
    """The metric of a report by which models are compared."""
    known = sorted(names)
    matches = (name for pattern in _CHAMPION_METRICS for name in known if re.match(pattern, name))
    return next(matches, "r_precision_100")


def is_higher_better(name: str) -> bool:
    """Whether more of a metric is better, as far as its description says."""
    return description_of(name).better != LOWER
