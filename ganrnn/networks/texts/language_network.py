"""An RNN that reads tokens and says of each place what may come next, and the same in exact sums, a step at a time."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn import exact
from ganrnn.networks.texts.exact_rnn import ExactStack
from ganrnn.networks.texts.recurrent import Cell, RecurrentStack
from ganrnn.text.vocabulary import BEGIN, END, PAD, TextVocabulary


class LanguageNetwork(nn.Module):
    """Embedding, recurrent stack, logits; with `tied` the embeddings give the logits too (Press & Wolf 2017).

    With `condition_dim` the stack reads so many numbers beside each token, the same for all tokens of a row. `rules`
    are those of `RecurrentStack`.
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
        """Of the last layer, [V, D]."""
        return self.embedding.weight if self.own_weight is None else self.own_weight

    def forward(
        self,
        tokens: torch.Tensor,  # int64 [N, T]
        state: torch.Tensor,  # [L, S, N, H]
        condition: torch.Tensor | None = None,  # [N, C]
    ) -> tuple[torch.Tensor, torch.Tensor]:  # features [N, T, D], of which `logits` are made; [L, S, N, H]
        x = self.embedding(tokens)
        if condition is not None:
            x = torch.cat([x, condition[:, None].expand(-1, x.shape[1], -1)], dim=2)
        outputs, after = self.stack(x, state)
        outputs = self.stack.drop(outputs)
        if self.projection is not None:
            outputs = self.projection(outputs)
        return outputs, after

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N, T, D] to [N, T, V]."""
        return F.linear(features, self.logit_weight, self.bias)

    def choice_logits(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N, T, D] to [N, T, V - END]: of END and what stands after it, which alone is ever written."""
        return F.linear(features, self.logit_weight[END:], self.bias[END:])

    @torch.no_grad()
    def draw(self, num_rows: int, num_tokens: int) -> torch.Tensor:
        """Texts to learn from, int64 [N, T + 1] with T up to `num_tokens`: BEGIN, tokens, END, PAD behind it.

        Choices come from torch's global generator, and sums are not exact: a row may depend on its neighbours.
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
        """Tokens int64 [N], and a snapped condition [N, C] of each, to logits float64 [N, V] of what follows."""
        x = F.embedding(tokens.to(self.embedding.device), self.embedding)
        if condition is not None:
            x = torch.cat([x, condition], dim=1)
        x, after = self.stack.step(x, state)
        if self.projection is not None:
            x = exact.snapped(self.projection(x))
        return self.to_logits(x), after

    def select_rows(self, state: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """The states of some rows."""
        return state.index_select(2, rows)

    def log_coverage(self, state: Any) -> list[float]:
        """There is no source."""
        return [0.0] * state.shape[2]
