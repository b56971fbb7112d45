"""An encoder-decoder network with attention: for training, and in exact sums for decoding.

The first layer of the decoder reads the target tokens and its outputs are the queries of attention; the layers above
also read the attended memory. Attention does not feed back into the first layer, so that training processes all steps
in parallel.
"""

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn import exact
from ganrnn.networks.texts.attention import LEAST_PROBABILITY, Attention, AttentionKind, ExactAttention, mixed
from ganrnn.networks.texts.bidirectional_encoder import BidirectionalEncoder, ExactBidirectionalEncoder
from ganrnn.networks.texts.bridge import Bridge, ExactBridge
from ganrnn.networks.texts.exact_rnn import ExactStack
from ganrnn.networks.texts.recurrent import Cell, RecurrentStack
from ganrnn.text.vocabulary import PAD, TextVocabulary


class Seq2SeqNetwork(nn.Module):
    """Bahdanau et al., "Neural machine translation by jointly learning to align and translate" (2015), and variants.

    With `shared` both sides have one vocabulary and one embedding; with `tied` the embeddings are also the output
    weights. With `copies` tokens may be copied from the source (See et al. 2017), which needs a shared vocabulary.
    `rules` are those of `RecurrentStack`.
    """

    def __init__(
        self,
        num_source_tokens: int,
        num_target_tokens: int,
        cell: Cell,
        embedding_dim: int,
        hidden_dim: int,
        num_encoder_layers: int,
        num_decoder_layers: int,
        num_directions: int,
        attention: AttentionKind,
        *,
        shared: bool,
        tied: bool,
        copies: bool,
        covers: bool,
        **rules: Any,
    ) -> None:
        super().__init__()
        self.target_embedding = _embedding(num_target_tokens, embedding_dim)
        self.source_embedding = None if shared else _embedding(num_source_tokens, embedding_dim)
        self.reader = BidirectionalEncoder(cell, embedding_dim, hidden_dim, num_encoder_layers, num_directions, **rules)
        self.bridge = Bridge(cell, hidden_dim, hidden_dim, num_decoder_layers)
        self.asking = RecurrentStack(cell, embedding_dim, hidden_dim, 1, **rules)
        self.attention = Attention(attention, hidden_dim, hidden_dim, covers)
        num_above = num_decoder_layers - 1
        self.above = RecurrentStack(cell, 2 * hidden_dim, hidden_dim, num_above, **rules) if num_above else None
        output_dim = embedding_dim if tied else hidden_dim
        self.joined = nn.Linear(2 * hidden_dim, output_dim)
        self.own_weight = None if tied else nn.Parameter(torch.randn(num_target_tokens, output_dim) * output_dim**-0.5)
        self.bias = nn.Parameter(torch.zeros(num_target_tokens))
        self.writes = nn.Linear(output_dim, 1) if copies else None

    @property
    def logit_weight(self) -> torch.Tensor:
        """The weight of the last layer, [V, D]."""
        return self.target_embedding.weight if self.own_weight is None else self.own_weight

    @property
    def embeddings(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The embeddings of source tokens and of target tokens, [V, E] each."""
        source_embedding = self.target_embedding if self.source_embedding is None else self.source_embedding
        return source_embedding.weight, self.target_embedding.weight

    def forward(
        self,
        source: torch.Tensor,  # tokens int64 [N, S]
        lengths: torch.Tensor,  # int64 [N]
        tokens: torch.Tensor,  # int64 [N, T]
    ) -> tuple[torch.Tensor, torch.Tensor]:  # features [N, T, D] for `logits`, attention weights [N, T, S]
        memory, end = self.reader(F.embedding(source, self.embeddings[0]), lengths)
        states = self.bridge(end)
        queries, _ = self.asking(self.target_embedding(tokens), states[:1])
        shares = self.attention(queries, memory, token_mask(source, lengths))
        outputs, attended = queries, shares @ memory
        if self.above is not None:
            outputs, _ = self.above(torch.cat([queries, attended], dim=2), states[1:])
        joined = self.joined(self.asking.drop(torch.cat([outputs, attended], dim=2)))
        return self.asking.drop(torch.tanh(joined)), shares

    def logits(self, features: torch.Tensor, shares: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """The results of `forward` and sources int64 [N, S] to logits [N, T, V]."""
        logits = F.linear(features, self.logit_weight, self.bias)
        if self.writes is None:
            return logits
        return mixed(logits, self.writes(features)[:, :, 0], shares, source)


class ExactSeq2Seq:
    """An `AutoregressiveModel` of `ganrnn/decoding/decode.py`."""

    @torch.no_grad()
    def __init__(self, network: Seq2SeqNetwork, vocabulary: TextVocabulary) -> None:
        self.vocabulary = vocabulary
        self.embeddings = [exact.snapped(weight) for weight in network.embeddings]
        self.reader, self.attention = ExactBidirectionalEncoder(network.reader), ExactAttention(network.attention)
        self.bridge = ExactBridge(network.bridge)
        self.asking = ExactStack(network.asking)
        self.above = None if network.above is None else ExactStack(network.above)
        self.joined = exact.Linear(network.joined.weight, network.joined.bias)
        self.to_logits = exact.Linear(network.logit_weight, network.bias)
        writes = network.writes
        self.writes = None if writes is None else exact.Linear(writes.weight, writes.bias)

    @torch.no_grad()
    def begin(self, source: torch.Tensor, lengths: torch.Tensor) -> "Seq2SeqState":
        """The state before the first token, of sources int64 [N, S]."""
        memory, end = self.reader(F.embedding(source, self.embeddings[0]), lengths)
        return Seq2SeqState(
            source,
            token_mask(source, lengths),
            memory,
            self.attention.keys(memory),
            torch.zeros_like(memory[:, :, 0]),
            self.bridge(end).permute(2, 0, 1, 3),
        )

    @torch.no_grad()
    def step(self, tokens: torch.Tensor, state: "Seq2SeqState") -> tuple[torch.Tensor, "Seq2SeqState"]:
        """Tokens int64 [N] to logits float64 [N, V] and the next state."""
        states = state.states.permute(1, 2, 0, 3)
        queries, query_states = self.asking.step(F.embedding(tokens.to(states.device), self.embeddings[1]), states[:1])
        shares = self.attention.shares(queries, state.keys, state.mask, state.covered)
        attended = exact.snapped((shares[:, None] @ state.memory)[:, 0])
        outputs, layer_states = queries, [query_states]
        if self.above is not None:
            outputs, above_states = self.above.step(torch.cat([queries, attended], dim=1), states[1:])
            layer_states.append(above_states)
        outputs = exact.snapped(exact.tanh(self.joined(torch.cat([outputs, attended], dim=1))))
        logits = self.to_logits(outputs)
        if self.writes is not None:
            p_generated = exact.sigmoid(self.writes(outputs))
            copied = torch.zeros_like(logits).scatter_add_(1, state.source, shares)
            logits = exact.log(
                (p_generated * exact.softmax(logits) + (1.0 - p_generated) * copied).clamp_min(LEAST_PROBABILITY)
            )
        states = torch.cat(layer_states).permute(2, 0, 1, 3)
        return logits, state.next_state(state.covered + shares, states)

    def select_rows(self, state: "Seq2SeqState", rows: torch.Tensor) -> "Seq2SeqState":
        """The states of the rows int64 [M]."""
        return Seq2SeqState(*(getattr(state, field.name).index_select(0, rows) for field in fields(state)))

    def log_coverage(self, state: "Seq2SeqState") -> list[float]:
        """The sum over a source's positions of the log of their total attention weight, at most 1 each."""
        parts = exact.log(state.covered.clamp(2.0**-20, 1.0))
        parts = exact.snapped(torch.where(state.mask, parts, 0.0), exact.LOGIT_BITS)
        return parts.sum(1).tolist()


@dataclass(frozen=True)
class Seq2SeqState:
    """The decoder's state for N rows."""

    source: torch.Tensor  # tokens int64 [N, S]
    mask: torch.Tensor  # bool [N, S], False at padding
    memory: torch.Tensor  # float64 [N, S, H]
    keys: torch.Tensor  # float64 [N, S, H]
    covered: torch.Tensor  # float64 [N, S], the sum of the attention weights of all steps
    states: torch.Tensor  # float64 [N, L, S, H]

    def next_state(self, covered: torch.Tensor, states: torch.Tensor) -> "Seq2SeqState":
        """The state after one more token."""
        return Seq2SeqState(self.source, self.mask, self.memory, self.keys, covered, states)


def token_mask(source: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Bool [N, S], False beyond the ends of rows."""
    return torch.arange(source.shape[1], device=source.device) < lengths[:, None]


def _embedding(num_tokens: int, dim: int) -> nn.Embedding:
    embedding = nn.Embedding(num_tokens, dim, padding_idx=PAD)
    nn.init.normal_(embedding.weight, std=dim**-0.5)
    return embedding
