"""An autoencoder from texts to latents on a sphere and back: for training, and in exact sums for decoding.

The decoder reads the latent and, if texts have labels, the label's embedding at each token; a bridge computes its
initial state from both.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn import exact
from ganrnn.networks.texts.bidirectional_encoder import BidirectionalEncoder, ExactBidirectionalEncoder
from ganrnn.networks.texts.bridge import Bridge, ExactBridge
from ganrnn.networks.texts.language_network import ExactLanguageNetwork, LanguageNetwork
from ganrnn.networks.texts.latent_sphere import exact_on_sphere, on_sphere
from ganrnn.networks.texts.recurrent import Cell
from ganrnn.text.vocabulary import PAD, TextVocabulary


class TextAutoencoder(nn.Module):
    """Encoder and decoder share an embedding, with `tied` also the output weights. `rules`: see `RecurrentStack`."""

    def __init__(
        self,
        num_tokens: int,
        cell: Cell,
        embedding_dim: int,
        hidden_dim: int,
        num_encoder_layers: int,
        num_decoder_layers: int,
        latent_dim: int,
        num_labels: int,
        label_dim: int,
        *,
        tied: bool,
        **rules: Any,
    ) -> None:
        super().__init__()
        self.reader = BidirectionalEncoder(cell, embedding_dim, hidden_dim, num_encoder_layers, 2, **rules)
        self.to_latent = nn.Linear(hidden_dim, latent_dim)
        self.labels = nn.Embedding(num_labels, label_dim) if num_labels else None
        condition_dim = latent_dim + (label_dim if num_labels else 0)
        self.bridge = Bridge(cell, condition_dim, hidden_dim, num_decoder_layers)
        self.decoder = LanguageNetwork(
            num_tokens,
            cell,
            embedding_dim,
            hidden_dim,
            num_decoder_layers,
            tied=tied,
            condition_dim=condition_dim,
            **rules,
        )

    def encode(self, tokens: torch.Tensor) -> torch.Tensor:
        """Texts int64 [N, S] with END, padded at the end, to latents [N, D]."""
        lengths = (tokens != PAD).sum(1).clamp_min(1)
        _, end = self.reader(self.decoder.embedding(tokens), lengths)
        return on_sphere(self.to_latent(end))

    def forward(
        self,
        latents: torch.Tensor,  # [N, D]
        labels: torch.Tensor | None,  # int64 [N]
        tokens: torch.Tensor,  # int64 [N, T], BEGIN first
    ) -> torch.Tensor:  # features [N, T, H] for the decoder's `logits`
        condition = latents if self.labels is None else torch.cat([latents, self.labels(labels)], dim=1)
        features: torch.Tensor = self.decoder(tokens, self.bridge(condition), condition)[0]
        return features


class ExactEncoder:
    """The encoder in sums that neither other rows nor padding change."""

    @torch.no_grad()
    def __init__(self, network: TextAutoencoder) -> None:
        self.embedding = exact.snapped(network.decoder.embedding.weight)
        self.reader = ExactBidirectionalEncoder(network.reader)
        self.to_latent = exact.Linear(network.to_latent.weight, network.to_latent.bias)

    @torch.no_grad()
    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens int64 [N, S] to snapped latents [N, D]."""
        lengths = (tokens != PAD).sum(1)
        _, end = self.reader(F.embedding(tokens, self.embedding), lengths)
        return exact_on_sphere(exact.snapped(self.to_latent(end)))


@dataclass(frozen=True)
class DecoderState:
    """The decoder's state for N rows."""

    condition: torch.Tensor  # float64 [N, C], latent and label
    states: torch.Tensor  # float64 [L, S, N, H]


class ExactDecoder:
    """An `AutoregressiveModel` of `ganrnn/decoding/decode.py`."""

    @torch.no_grad()
    def __init__(self, network: TextAutoencoder, vocabulary: TextVocabulary) -> None:
        self.vocabulary = vocabulary
        self.bridge, self.decoder = ExactBridge(network.bridge), ExactLanguageNetwork(network.decoder, vocabulary)
        self.labels = None if network.labels is None else exact.snapped(network.labels.weight)

    def begin(self, latents: torch.Tensor, labels: torch.Tensor | None) -> DecoderState:
        """The state before the first token, of snapped latents [N, D] and labels int64 [N]."""
        condition = latents if self.labels is None else torch.cat([latents, self.labels[labels]], dim=1)
        return DecoderState(condition, self.bridge(condition))

    def step(self, tokens: torch.Tensor, state: DecoderState) -> tuple[torch.Tensor, DecoderState]:
        """Tokens int64 [N] to logits float64 [N, V] of what follows."""
        logits, states = self.decoder.step(tokens, state.states, state.condition)
        return logits, DecoderState(state.condition, states)

    def select_rows(self, state: DecoderState, rows: torch.Tensor) -> DecoderState:
        """The states of some rows."""
        return DecoderState(state.condition.index_select(0, rows), self.decoder.select_rows(state.states, rows))

    def log_coverage(self, state: DecoderState) -> list[float]:
        """A point has nothing left to read."""
        return self.decoder.log_coverage(state.states)
