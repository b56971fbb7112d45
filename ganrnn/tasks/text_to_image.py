"""Text in, matching picture out: an RNN reads the prompt, a GAN paints it.

The step and the sampling are those of ganrnn/gan.py. The text encoder learns with the discriminator, where true and
false captions of real pictures teach it words, and the generator reads its state.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from ganrnn import images as pictures
from ganrnn.gan import Gan
from ganrnn.gan_config import TextGanConfig
from ganrnn.task import Batch, Rows
from ganrnn.text import Vocabulary, meaning_key


@dataclass(frozen=True)
class TextToImageConfig(TextGanConfig):
    """The reader of prompts and their painter; by default pictures are matched with words."""

    name: Literal["text_to_image"] = "text_to_image"
    matching_weight: float = 1.0


class TextToImage(Gan):
    """The task."""

    config_type = TextToImageConfig
    vocabulary_type = Vocabulary
    input_columns = ("image", "text", "attributes")
    prompt_columns = ("prompt",)
    encoder_inputs = ("tokens", "lengths")
    config: TextToImageConfig

    def __init__(self, config: TextToImageConfig, vocabulary: Vocabulary, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.vocabulary = vocabulary
        super().__init__(config, config.text_encoder(len(vocabulary)))

    @staticmethod
    def vocabulary_columns(config: TextToImageConfig) -> Sequence[str]:
        """The data set's columns that `build_vocabulary` reads."""
        return ("text",)

    @staticmethod
    def build_vocabulary(config: TextToImageConfig, rows: Iterable[tuple[Any, ...]]) -> Vocabulary:
        """The words or characters of the training captions."""
        return Vocabulary.build((text for (text,) in rows), config.vocabulary)

    def collate(self, rows: Rows) -> dict[str, torch.Tensor]:
        """Data set rows to images uint8 [N, 3, H, W], tokens int64 [N, T], lengths and keys of meaning int64 [N]."""
        tokens, lengths = self.vocabulary.encode(rows["text"], self.config.max_tokens)
        keys = [meaning_key(t, a) for t, a in zip(rows["text"], rows["attributes"], strict=True)]
        images = pictures.to_tensor([image["bytes"] for image in rows["image"]])
        return {"images": images, "tokens": tokens, "lengths": lengths, "keys": torch.tensor(keys)}

    def encode_prompts(self, rows: Rows) -> Batch:
        """`prompt` to tokens int64 [N, T] and lengths int64 [N]."""
        tokens, lengths = self.vocabulary.encode(rows["prompt"], self.config.max_tokens)
        return {"tokens": tokens, "lengths": lengths}

    def count_unknown(self, rows: Mapping[str, Sequence[Any]]) -> list[int]:
        """How many words of each prompt the vocabulary does not hold."""
        return [self.vocabulary.count_unknown(text) for text in rows["prompt"]]


TASK = TextToImage
