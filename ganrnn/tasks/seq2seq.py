"""Text to text: translation, summaries, dialogue turns.

An encoder reads the source in both directions; a decoder generates the target and attends to the source at each token.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from ganrnn import distributed
from ganrnn.config import at_least, multiples, within
from ganrnn.decoding.decode import GeneratedText, generate
from ganrnn.errors import BadInput
from ganrnn.networks.texts.attention import MAX_POSITIONS, AttentionKind
from ganrnn.networks.texts.recurrent import Cell
from ganrnn.networks.texts.seq2seq_network import ExactSeq2Seq, Seq2SeqNetwork
from ganrnn.objectives.sequences import coverage_loss, cross_entropies, linear_cross_entropies
from ganrnn.task import Batch, Keys, Rows
from ganrnn.text.batches import PairBatches, padded
from ganrnn.text.reading import Reading, read_rows
from ganrnn.text.vocabulary import END, PAD, Kind, PairVocabulary
from ganrnn.training.text_step import TextTask, TextTaskConfig, optional_texts

_VALIDATION_ROWS = 16


@dataclass(frozen=True)
class Seq2SeqConfig(TextTaskConfig):
    """A step reads at most train.global_batch_size x (`num_source_tokens` + `num_target_tokens`) tokens."""

    name: Literal["seq2seq"] = "seq2seq"  #: Name of the task.
    vocabulary: Kind = "subword"  #: What a token is.
    max_vocabulary: int = 8_000  #: Largest number of tokens of a vocabulary, the most frequent ones.
    shared_vocabulary: bool = False  #: Whether source and target have the same vocabulary.
    #: Number of tokens of a source; longer ones are cut in training and refused in sampling.
    num_source_tokens: int = 64
    num_target_tokens: int = 64  #: Number of tokens of a target in training; longer ones are cut.
    cell: Cell = "gru"  #: Recurrent cell.
    num_encoder_layers: int = 1  #: Number of recurrent layers of the encoder.
    num_decoder_layers: int = 2  #: Number of recurrent layers of the decoder.
    num_directions: Literal[1, 2] = 2  #: Number of directions in which the encoder reads the source.
    attention: AttentionKind = "multiplicative"  #: How the decoder's state is compared with the source.
    copies: bool = False  #: Whether tokens may be copied from the source.
    covers: bool = False  #: Whether attention knows which places of the source it has read.
    coverage_weight: float = 1.0  #: Weight of the loss for reading a place of the source twice.
    tied: bool = True  #: Whether tokens have the same weights as input and as output.

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("task", self, num_encoder_layers=1, num_decoder_layers=1, num_target_tokens=1, coverage_weight=0)
        within("task", self, num_source_tokens=(1, MAX_POSITIONS))
        multiples("task", self, hidden_dim=("num_directions", 1))
        if self.copies and not self.shared_vocabulary:
            raise BadInput("task.copies needs task.shared_vocabulary: what is copied must be a token of the target")


class Seq2Seq(TextTask):
    """The task."""

    config_type = Seq2SeqConfig
    vocabulary_type = PairVocabulary
    dataset_kind = "pairs"
    input_columns = ("source", "target")
    prompt_columns = ("prompt",)
    optional_columns = ("prefix",)

    def __init__(self, config: Seq2SeqConfig, vocabulary: PairVocabulary, seed: int = 0) -> None:
        torch.manual_seed(seed)
        network = Seq2SeqNetwork(
            len(vocabulary.source),
            len(vocabulary.target),
            config.cell,
            config.embedding_dim,
            config.hidden_dim,
            config.num_encoder_layers,
            config.num_decoder_layers,
            config.num_directions,
            config.attention,
            shared=config.shared_vocabulary,
            tied=config.tied,
            copies=config.copies,
            covers=config.covers,
            **config.rules,
        )
        super().__init__(config, network, vocabulary.target)
        self.vocabulary = vocabulary

    @staticmethod
    def vocabulary_columns(config: Seq2SeqConfig) -> Sequence[str]:
        """The data set's columns that `build_vocabulary` reads."""
        return ("source", "target")

    @staticmethod
    def build_vocabulary(config: Seq2SeqConfig, rows: Iterable[tuple[Any, ...]]) -> PairVocabulary:
        """The vocabularies of the training rows."""
        pairs = ((source, target) for source, target in rows)
        return PairVocabulary.build(config.vocabulary, pairs, config.max_vocabulary, config.shared_vocabulary)

    def batches(self, rows: Rows, num_rows: int, seed: int, rank: int = 0, world_size: int = 1) -> PairBatches:
        """The batches of the training rows; `num_rows` is train.global_batch_size."""
        return PairBatches(
            [self.vocabulary.source.encode(text) for text in rows["source"]],
            [self.vocabulary.target.encode(text) for text in rows["target"]],
            num_rows=num_rows,
            num_source_tokens=self.config.num_source_tokens,
            num_target_tokens=self.config.num_target_tokens,
            seed=seed,
            rank=rank,
            world_size=world_size,
        )

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One update on a batch of `ganrnn/text/batches.py`."""
        tokens = batch["tokens"]
        loss, objective, shares = self._read(self.network, batch, self.config.label_smoothing)
        if not self.config.covers:
            return self.learn(loss, objective, batch["num_targets"])
        coverage = coverage_loss(shares, tokens[:, 1:])
        metrics = self.learn(loss, objective + self.config.coverage_weight * coverage, batch["num_targets"])
        return metrics | {"read_twice": coverage.detach() * distributed.world_size() / batch["num_targets"]}

    def _read(
        self, network: Seq2SeqNetwork, batch: Batch, smoothing: float = 0.0
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The two sums of `cross_entropies` for a batch, and the attention weights."""
        source, tokens = batch["source"], batch["tokens"]
        features, shares = network(source, batch["source_lengths"], tokens[:, :-1])
        if self.config.copies:
            logits = network.logits(features, shares, source)
            return *cross_entropies(logits, tokens[:, 1:], smoothing), shares
        losses = linear_cross_entropies(features, network.logit_weight, network.bias, tokens[:, 1:], smoothing)
        return *losses, shares

    @torch.no_grad()
    def negative_log_likelihood(self, rows: Rows, cut_rows_end: bool = True) -> tuple[float, int]:
        """The negative log-likelihood of targets under the EMA network, in nats, and the number of tokens.

        Targets that are cut count END where they were cut, as in training, or not.
        """
        total, count = 0.0, 0
        for batch in self.batches(rows, _VALIDATION_ROWS, seed=0).once(cut_rows_end):
            tensors = {name: tensor.to(self.device) for name, tensor in batch.items()}
            total += float(self._read(self.average, tensors)[0])
            count += int((tensors["tokens"][:, 1:] != PAD).sum())
        return total, count

    def reading(self, rows: Rows) -> Reading:
        """What `negative_log_likelihood` reads of targets, and how many sources are cut."""
        sources = read_rows(self.vocabulary.source, rows["source"], self.config.num_source_tokens)
        targets = read_rows(self.vocabulary.target, rows["target"], self.config.num_target_tokens)
        return replace(targets, num_cut_sources=sources.num_cut)

    def sample(self, rows: Rows, keys: Keys) -> list[GeneratedText]:
        """Targets for the prompts of rows [N], which begin with `prefix` if they have one.

        The column `decoding` has the rules of each row. Sources of similar length are encoded together.
        """
        network = ExactSeq2Seq(self.average, self.vocabulary.target)
        sources = [[*self.vocabulary.source.encode(text), END] for text in rows["prompt"]]
        requests = self.decoding_requests(rows, keys, optional_texts(rows, "prefix", len(keys)))
        texts: dict[int, GeneratedText] = {}
        rows_by_length: dict[int, list[int]] = {}
        for row, source in enumerate(sources):
            if len(source) > self.config.num_source_tokens:
                texts[row] = GeneratedText.failed(
                    f"the source has {len(source) - 1} tokens; this model reads {self.config.num_source_tokens - 1}"
                )
            else:
                rows_by_length.setdefault(len(source).bit_length(), []).append(row)
        for length_rows in rows_by_length.values():
            tokens = padded([np.array(sources[row]) for row in length_rows]).to(self.device)
            state = network.begin(tokens, (tokens != PAD).sum(1))
            texts |= zip(length_rows, generate(network, state, [requests[row] for row in length_rows]), strict=True)
        return [texts[row] for row in range(len(keys))]

    def count_unknown(self, rows: Mapping[str, Sequence[Any]]) -> list[int]:
        """For each source and prefix, how many of their tokens are unknown."""
        prefixes = optional_texts(rows, "prefix", len(rows["prompt"]))
        return [
            self.vocabulary.source.count_unknown(text) + self.vocabulary.target.count_unknown(prefix)
            for text, prefix in zip(rows["prompt"], prefixes, strict=True)
        ]


TASK = Seq2Seq
