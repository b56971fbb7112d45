"""An RNN that encodes a prompt as one vector: the condition of a generator, a discriminator or a judge."""

from typing import Literal

import torch
from torch import nn

Cell = Literal["gru", "lstm"]


class TextEncoder(nn.Module):
    """Embedding, GRU or LSTM in one or two directions, then the mean and the last output of each direction.

    The backward direction reads each text reversed within its length, so padding follows all words in both directions
    and changes no bit of the result.
    """

    def __init__(
        self,
        num_tokens: int,
        embedding_dim: int,
        hidden_dim: int,
        cell: Cell = "gru",
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        recurrent = {"gru": nn.GRU, "lstm": nn.LSTM}[cell]
        self.embedding = nn.Embedding(num_tokens, embedding_dim, padding_idx=0)
        self.forward_rnn = recurrent(embedding_dim, hidden_dim, batch_first=True)
        self.backward_rnn = recurrent(embedding_dim, hidden_dim, batch_first=True) if bidirectional else None
        self.word_dim = hidden_dim * (2 if bidirectional else 1)
        self.out_dim = 2 * self.word_dim

    def forward(
        self,
        tokens: torch.Tensor,  # int64 [N, T], padded with 0 at the end
        lengths: torch.Tensor,  # int64 [N], 1 to T
    ) -> torch.Tensor:  # float32 [N, out_dim]
        return torch.cat([_pool(outputs, lengths) for outputs in self._outputs(tokens, lengths)], dim=1)

    def words(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """The outputs at each word, float32 [N, T, word_dim]; undefined at padding."""
        forward, *backward = self._outputs(tokens, lengths)
        return torch.cat([forward, *(_reverse(outputs, lengths) for outputs in backward)], dim=2)

    def _outputs(self, tokens: torch.Tensor, lengths: torch.Tensor) -> list[torch.Tensor]:
        """The outputs [N, T, hidden_dim] of each direction, in its reading order."""
        words = self.embedding(tokens)
        outputs = [self.forward_rnn(words)[0]]
        if self.backward_rnn is not None:
            outputs.append(self.backward_rnn(_reverse(words, lengths))[0])
        return outputs


def _pool(outputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The mean output over each text's words, and the last output: [N, 2 D]."""
    position = torch.arange(outputs.shape[1], device=outputs.device)
    mean = (outputs * (position < lengths[:, None])[:, :, None]).sum(1) / lengths[:, None]
    last = outputs[torch.arange(len(outputs), device=outputs.device), lengths - 1]
    return torch.cat([mean, last], dim=1)


def _reverse(words: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Each text's words in reverse order, padding at the end: [N, T, D] -> [N, T, D]."""
    position = torch.arange(words.shape[1], device=words.device).expand(words.shape[:2])
    source = torch.where(position < lengths[:, None], lengths[:, None] - 1 - position, position)
    return words.gather(1, source[:, :, None].expand_as(words))
