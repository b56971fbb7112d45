"""A recurrent network that predicts the next token: for training, and in exact sums for decoding."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn import exact
from ganrnn.networks.texts.exact_rnn import ExactStack
from ganrnn.networks.texts.recurrent import Cell, RecurrentStack
from ganrnn.text.vocabulary import BEGIN, END, PAD, TextVocabulary


class LanguageNetwork(nn.Module):
    """Embedding, recurrent stack, logits; with `tied` the embeddings are also the output weights (Press & Wolf 2017).

    With `condition_dim` the stack also reads a condition vector at each token, the same for all tokens of a row.
    `rules` are those of `RecurrentStack`.
    """

    def __init__(
        self,
        num_tokens: int,
        cell: Cell,
        embedding_dim: int,
        hidden_dim: int,
        num_layers: int,
        *,
        tied: bool,
        condition_dim: int = 0,
        **rules: Any,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_dim, padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=embedding_dim**-0.5)
        self.stack = RecurrentStack(cell, embedding_dim + condition_dim, hidden_dim, num_layers, **rules)
        self.projection = nn.Linear(hidden_dim, embedding_dim) if tied and embedding_dim != hidden_dim else None
        self.own_weight = None if tied else nn.Parameter(torch.randn(num_tokens, hidden_dim) * hidden_dim**-0.5)
        self.bias = nn.Parameter(torch.zeros(num_tokens))

    @property
    def logit_weight(self) -> torch.Tensor:
        """The weight of the last layer, [V, D]."""
        return self.embedding.weight if self.own_weight is None else self.own_weight

    def forward(
        self,
        tokens: torch.Tensor,  # int64 [N, T]
        state: torch.Tensor,  # [L, S, N, H]
        condition: torch.Tensor | None = None,  # [N, C]
    ) -> tuple[torch.Tensor, torch.Tensor]:  # features [N, T, D] for `logits`, next state [L, S, N, H]
        x = self.embedding(tokens)
        if condition is not None:
            x = torch.cat([x, condition[:, None].expand(-1, x.shape[1], -1)], dim=2)
        outputs, next_state = self.stack(x, state)
        outputs = self.stack.drop(outputs)
        if self.projection is not None:
            outputs = self.projection(outputs)
        return outputs, next_state

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N, T, D] to logits [N, T, V]."""
        return F.linear(features, self.logit_weight, self.bias)

    def choice_logits(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N, T, D] to logits [N, T, V - END] of END and later tokens, the only ones that are generated."""
        return F.linear(features, self.logit_weight[END:], self.bias[END:])

    @torch.no_grad()
    def draw(self, num_rows: int, num_tokens: int) -> torch.Tensor:
        """Samples for training, int64 [N, T + 1] with T up to `num_tokens`: BEGIN, tokens, END, then PAD.

        Random numbers come from torch's global generator, and sums are not exact: a row may depend on the other rows.
        """
        state = self.stack.begin(num_rows)
        last = torch.full((num_rows,), BEGIN, device=state.device)
        is_over = torch.zeros_like(last, dtype=torch.bool)
        tokens = [last]
        while len(tokens) <= num_tokens and not is_over.all():
            features, state = self(last[:, None], state)
            last = END + torch.multinomial(self.choice_logits(features)[:, 0].softmax(1), 1)[:, 0]
            last = last.masked_fill(is_over, PAD)
            is_over = is_over | (last == END)
            tokens.append(last)
        return torch.stack(tokens, dim=1)


class ExactLanguageNetwork:
    """An `AutoregressiveModel` of `ganrnn/decoding/decode.py`; its states are float64 [L, S, N, H]."""

    @torch.no_grad()
    def __init__(self, network: LanguageNetwork, vocabulary: TextVocabulary) -> None:
        self.vocabulary, self.stack = vocabulary, ExactStack(network.stack)
        self.embedding = exact.snapped(network.embedding.weight)
        projection = network.projection
        self.projection = None if projection is None else exact.Linear(projection.weight, projection.bias)
        self.to_logits = exact.Linear(network.logit_weight, network.bias)
        self._begin = network.stack.begin

    def begin(self, num_rows: int) -> torch.Tensor:
        """The states before the first token."""
        return self._begin(num_rows).double()

    def step(
        self, tokens: torch.Tensor, state: torch.Tensor, condition: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens int64 [N] and snapped conditions [N, C] to logits float64 [N, V] and the next states."""
        x = F.embedding(tokens.to(self.embedding.device), self.embedding)
        if condition is not None:
            x = torch.cat([x, condition], dim=1)
        x, next_state = self.stack.step(x, state)
        if self.projection is not None:
            x = exact.snapped(self.projection(x))
        return self.to_logits(x), next_state

    def select_rows(self, state: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """The states of the rows int64 [M]."""
        return state.index_select(2, rows)

    def log_coverage(self, state: Any) -> list[float]:
        """Zeros: there is no source."""
        return [0.0] * state.shape[2]
