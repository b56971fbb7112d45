"""Text to image: an RNN encodes the prompt, a GAN generates the picture.

Step and sampling are in ganrnn/training/gan_step.py. The discriminator's text encoder learns from matching and
mismatched captions of real pictures, the generator's from what it paints.
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
from ganrnn.networks.images.palette_generator import STYLE_GENERATORS
from ganrnn.networks.images.style_generator import StyleGenerator
from ganrnn.networks.images.word_attention import Words
from ganrnn.networks.texts.text_encoder import TextEncoder
from ganrnn.objectives.matching import matching_loss
from ganrnn.task import Batch, Rows
from ganrnn.tasks.match_judge import MatchJudge
from ganrnn.text.captions import Vocabulary, meaning_key
from ganrnn.training.gan_config import TextGanConfig
from ganrnn.training.gan_step import Gan, MicroBatch


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
        if self.word_attention and self.architecture not in STYLE_GENERATORS:
            raise BadInput(
                f"task.word_attention is for task.architecture {' or '.join(STYLE_GENERATORS)}, which is "
                f"{self.architecture} here"
            )


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
        super().__init__(config, encoder, _attention_generator(config, encoder) if config.word_attention else None)

    def attach_judge(self, judge: MatchJudge) -> None:
        """Add the losses by a judge, whose weights stay fixed, to the generator's, times `judge_weight`."""
        judge.average.to(next(self.generator.parameters()).device)
        self.judge = judge

    @staticmethod
    def vocabulary_columns(config: TextToImageConfig) -> Sequence[str]:
        """The data set's columns that `build_vocabulary` reads."""
        return ("text",)

    @staticmethod
    def build_vocabulary(config: TextToImageConfig, rows: Iterable[tuple[Any, ...]]) -> Vocabulary:
        """The words or characters of the training captions."""
        return Vocabulary.build((text for (text,) in rows), config.vocabulary)

    def collate(self, rows: Rows) -> dict[str, torch.Tensor]:
        """Data set rows to images uint8 [N, 3, H, W], tokens int64 [N, T], lengths and meaning keys int64 [N]."""
        tokens, lengths = self.vocabulary.encode(rows["text"], self.config.max_tokens)
        keys = [meaning_key(t, a) for t, a in zip(rows["text"], rows["attributes"], strict=True)]
        size = (self.config.height, self.config.width)
        images = pictures.to_tensor([image["bytes"] for image in rows["image"]], size)
        batch = {"images": images, "tokens": tokens, "lengths": lengths, "keys": torch.tensor(keys)}
        if self.judge:  # which has its own vocabulary
            batch |= {f"judge_{name}": tensor for name, tensor in self.judge.encode_texts(rows["text"]).items()}
        return batch

    def generator_inputs(self, batch: Batch, encoder: nn.Module) -> tuple[Any, ...]:
        """The words, if the generator attends to them."""
        if not self.config.word_attention:
            return ()
        assert isinstance(encoder, TextEncoder)
        return (), Words.of(encoder.words(batch["tokens"], batch["lengths"]), batch["lengths"])

    def auxiliary_losses(self, micro_batch: MicroBatch, fake: torch.Tensor) -> Mapping[str, tuple[float, torch.Tensor]]:
        """The matching and the binary loss by a judge with fixed weights, if there is one."""
        if not self.judge:
            return {}
        logits = self.judge.pair_logits(fake, micro_batch.batch["judge_tokens"], micro_batch.batch["judge_lengths"])
        loss = matching_loss(logits, micro_batch.batch["keys"]) + F.softplus(-logits.diagonal()).mean()
        return {"judged": (self.config.judge_weight, loss)}

    def encode_prompts(self, rows: Rows) -> Batch:
        """`prompt` to tokens int64 [N, T] and lengths int64 [N]."""
        tokens, lengths = self.vocabulary.encode(rows["prompt"], self.config.max_tokens)
        return {"tokens": tokens, "lengths": lengths}

    def count_unknown(self, rows: Mapping[str, Sequence[Any]]) -> list[int]:
        """For each prompt, how many of its words are not in the vocabulary."""
        return [self.vocabulary.count_unknown(text) for text in rows["prompt"]]


def _attention_generator(config: TextToImageConfig, encoder: TextEncoder) -> StyleGenerator:
    return STYLE_GENERATORS[config.architecture](
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
