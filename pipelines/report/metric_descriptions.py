"""What metrics mean to a reader, found by their names."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Sense:
    """What a metric means to a reader, found by its name; `{}` in the texts stands for the pattern's group."""

    pattern: str
    title: str
    meaning: str
    better: str = "higher is better"
    is_accuracy: bool = False


SENSES = (
    Sense(r"fid\d", "Fréchet distance", "how far generated pictures as a whole lie from real ones", "lower is better"),
    Sense(r"kid\d", "Kernel distance", "the same question without assuming a bell shape", "lower is better"),
    Sense(r"is\d", "Inception Score", "each picture clearly one thing, all of them together many things"),
    Sense(r"fid_limit\d", "Fréchet distance, in the limit", "what it would be of endlessly many", "lower is better"),
    Sense(r"precision\d", "Precision", "samples that look like real pictures", "as real is best"),
    Sense(r"recall\d", "Recall", "real pictures that look like samples", "as real is best"),
    Sense(r"density\d", "Density", "how deep samples lie among real pictures", "as real is best"),
    Sense(r"coverage\d", "Coverage", "real pictures that have a sample beside them", "as real is best"),
    Sense(r"near_duplicates\d", "Twins", "samples that have another nearly like them", "as real is best"),
    Sense(r"copied\d", "Copies", "samples nearer to a training picture than its own like is", "as real is best"),
    Sense(r"r_precision_(\d+)_by_judge$", "R-precision, by a judge", "the same, seen by a judge that taught nobody"),
    Sense(r"r_precision_(\d+)", "R-precision", "how often a picture picks its own prompt out of {}"),
    Sense(r"edit_changed$", "Edits made", "how often a picture shows all that was to change"),
    Sense(r"edit_kept$", "Edits without a side effect", "how often a picture shows all that was to stay"),
    Sense(r"pixels_kept$", "Pixels kept", "how many pixels are as before", "as real is best"),
    Sense(r"seam_vs_interior$", "Seam", "the step from edge to edge, beside steps between other columns", "1 is best"),
    Sense(r"loss_test$", "Cross-entropy", "nats that a token of held-out texts costs the model", "lower is better"),
    Sense(r"perplexity_test$", "Perplexity", "how many tokens the model hesitates between", "lower is better"),
    Sense(r"bits_per_character_test$", "Bits per character", "the same for any choice of tokens", "lower is better"),
    Sense(r"bleu$", "BLEU", "how many runs of words are those of a person", "higher is better"),
    Sense(r"chrf$", "chrF", "the same of characters", "higher is better"),
    Sense(r"rouge(\w)$", "ROUGE-{}", "how much of what a person wrote is there, and nothing else"),
    Sense(r"distinct(\d)_\d+$", "Distinct-{}", "how many groups of {} words are said only once", "as real is best"),
    Sense(r"self_bleu_\d+$", "Self-BLEU", "how alike the texts are to each other", "as real is best"),
    Sense(
        r"nats_per_character$", "Likelihood", "nats that a character costs a reader of real texts", "as real is best"
    ),
    Sense(r"reverse_nats_per_character$", "Reverse", "nats of held-out text to a reader of these", "lower is better"),
    Sense(r"frechet\d+_reader$", "Fréchet distance", "of what that reader makes of held-out texts", "lower is better"),
    Sense(r"bleu_test$", "BLEU", "how many runs of words are those of some held-out text", "as real is best"),
    Sense(r"in_training_set$", "In the training set", "texts that were learnt by heart", "as real is best"),
    Sense(r"in_form$", "In form", "poems of exactly the form that was asked for"),
    Sense(r"constraint_nats_per_token$", "Cost of the form", "nats it takes from the likelihood", "lower is better"),
    Sense(r"validity$", "Validity", "texts that are molecules"),
    Sense(r"unique_\d+$", "Uniqueness", "valid ones that differ"),
    Sense(r"novelty$", "Novelty", "different ones that are not in the training set"),
    Sense(r"internal_diversity$", "Internal diversity", "how unlike the molecules are", "as real is best"),
    Sense(r"frechet_fingerprint_\d+$", "Fréchet distance", "of fingerprints from held-out ones", "lower is better"),
    Sense(r"right$", "Right", "verdicts that are true"),
    Sense(r"right_on_(\w+)$", "Right on what is {}", "of statements that are {} of their picture"),
    Sense(r"majority$", "Majority", "what always the commoner answer would reach"),
    Sense(r"(\w+)_accuracy$", "{}", "how often a picture shows the {} its prompt asks for", is_accuracy=True),
)


def sense(name: str) -> Sense:
    """Of a metric, by its name; one that nobody has described means what its name says."""
    for held in SENSES:
        if match := re.match(held.pattern, name):
            group = match.group(1).replace("_", " ") if match.re.groups else ""
            title, meaning = held.title.format(group), held.meaning.format(group)
            return Sense(held.pattern, title, meaning, held.better, held.is_accuracy)
    return Sense("", name, "", "")


def kind_of(name: str) -> str:
    """A metric whatever the number of samples: fid2k_indomain is fid_indomain."""
    return re.sub(r"^([a-z_]*[a-z])\d+k?_", r"\1_", name)
