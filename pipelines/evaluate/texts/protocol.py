"""What scores of texts and verdicts depend on, besides the model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from ganrnn.metrics.extractors.inception import SHA256
from pipelines import storage
from pipelines.config.recipe import Recipe

# Settings of images, which texts do not depend on. The digest of the first reports covered the whole section
# `evaluate`; with these values for all other keys, it stays what it was for reports with default settings.
_SETTINGS_OF_IMAGES = {
    "captions": "text",
    "extractor": {"sha256": SHA256, "weights_uri": ""},
    "features_uri": "",
    "from_prompts": False,
    "group_by": "",
    "indomain": {
        "base_channels": 16,
        "batch_size": 128,
        "feature_dim": 64,
        "learning_rate": 0.002,
        "max_rows": 20_000,
        "num_steps": 800,
    },
    "judge_uri": "",
    "num_candidates": 100,
    "num_kid_features": 10_000,
    "num_splits": 10,
    "num_workers": 0,
    "report_uri": "",
    "sweep": None,
}


@dataclass(frozen=True)
class TextProtocol:
    """What has to be equal, besides the texts or verdicts, for two scores to be comparable.

    counts:  samples, and rows of each split that is read
    seed:    picks the texts of Self-BLEU
    """

    bleu_tokenizer: str
    num_self_bleu: int
    molecules: bool
    prompts_digest: str
    counts: Mapping[str, int]
    seed: int

    @classmethod
    def of(cls, recipe: Recipe, prompts_digest: str, counts: Mapping[str, int]) -> "TextProtocol":
        """The protocol of a recipe."""
        config = recipe.evaluate
        return cls(config.bleu_tokenizer, config.num_self_bleu, config.molecules, prompts_digest, counts, recipe.seed)

    @property
    def digest(self) -> str:
        """Equal for two reports whose scores may be compared."""
        settings = {
            "bleu_tokenizer": self.bleu_tokenizer,
            "molecules": self.molecules,
            "num_self_bleu": self.num_self_bleu,
            **_SETTINGS_OF_IMAGES,
            **({"tokens": "smiles"} if self.molecules else {}),  # were words in earlier reports
        }
        content = [settings, self.prompts_digest, dict(self.counts), self.seed]
        return storage.sha256(json.dumps(content, sort_keys=True).encode())
