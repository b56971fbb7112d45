"""Text in, matching picture out: an RNN reads the prompt, a GAN paints it.

The step and the sampling are those of ganrnn/training/gan_step.py. The text encoder learns with the discriminator,
where true and false captions of real pictures teach it words, and the generator reads its state.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn.config import at_least
from ganrnn.data import images as pictures
from ganrnn.errors import BadInput
from ganrnn.networks.images.style_generator import StyleGenerator
from ganrnn.networks.images.word_attention import Words
from ganrnn.networks.texts.text_encoder import TextEncoder
from ganrnn.objectives.matching import matching_loss
from ganrnn.task import Batch, Rows
from ganrnn.tasks.match_judge import MatchJudge
from ganrnn.text.captions import Vocabulary, meaning_key
from ganrnn.training.gan_config import TextGanConfig
from ganrnn.training.gan_step import Chunk, Gan


@dataclass(frozen=True)
class TextToImageConfig(TextGanConfig):
    """The text encoder and the GAN; by default images are matched with their captions."""

    name: Literal["text_to_image"] = "text_to_image"  #: Name of the task.
    matching_weight: float = 1.0  #: Weight of the loss that asks whether an image shows its caption.
    #: Whether each place of the image attends to the words, besides the style from the whole text.
    word_attention: bool = False
    judge_weight: float = 0.0  #: Weight of the opinion of the judge of train.judge_uri.

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("task", self, judge_weight=0)
        if self.word_attention and self.architecture != "style":
            raise BadInput(f"task.word_attention is for task.architecture style, which is {self.architecture} here")


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
        self.judge: MatchJudge | None = None
        encoder = config.text_encoder(len(vocabulary))
        super().__init__(config, encoder, _attentive(config, encoder) if config.word_attention else None)

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
        batch = {"images": images, "tokens": tokens, "lengths": lengths, "keys": torch.tensor(keys)}
        if self.judge:  # which has words of its own
            batch |= {f"judge_{name}": tensor for name, tensor in self.judge.read_texts(rows["text"]).items()}
        return batch

    def drawn_from(self, batch: Batch, encoder: nn.Module) -> tuple[Any, ...]:
        """The words, where the generator looks at them."""
        if not self.config.word_attention:
            return ()
        assert isinstance(encoder, TextEncoder)
        with torch.no_grad():
            return (), Words.of(encoder.words(batch["tokens"], batch["lengths"]), batch["lengths"])

    def further_losses(self, chunk: Chunk, fake: torch.Tensor) -> Mapping[str, tuple[float, torch.Tensor]]:
        """What a judge says that does not learn: which text a picture shows, and whether it does."""
        if not self.judge:
            return {}
        logits = self.judge.judged(fake, chunk.batch["judge_tokens"], chunk.batch["judge_lengths"])
        loss = matching_loss(logits, chunk.batch["keys"]) + F.softplus(-logits.diagonal()).mean()
        return {"judged": (self.config.judge_weight, loss)}

    def encode_prompts(self, rows: Rows) -> Batch:
        """`prompt` to tokens int64 [N, T] and lengths int64 [N]."""
        tokens, lengths = self.vocabulary.encode(rows["prompt"], self.config.max_tokens)
        return {"tokens": tokens, "lengths": lengths}

    def count_unknown(self, rows: Mapping[str, Sequence[Any]]) -> list[int]:
        """How many words of each prompt the vocabulary does not hold."""
        return [self.vocabulary.count_unknown(text) for text in rows["prompt"]]


def _attentive(config: TextToImageConfig, encoder: TextEncoder) -> StyleGenerator:
    return StyleGenerator(
        config.height,
        config.width,
        config.z_dim,
        encoder.out_dim,
        config.style_dim,
        config.base_channels,
        config.wrap_horizontally,
        word_dim=encoder.word_dim,
    )


TASK = TextToImage
