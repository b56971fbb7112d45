"""Discriminators with a logit for every prefix of a text: no logit depends on a later token."""

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn.networks.texts.recurrent import Cell, RecurrentStack
from ganrnn.text.vocabulary import PAD

PrefixDiscriminatorName = Literal["rnn", "cnn"]
_WIDTHS = (1, 2, 4, 8)  # of convolution filters, in tokens


class RecurrentPrefixDiscriminator(nn.Module):
    """Embedding, one recurrent layer from left to right, a logit after each token."""

    def __init__(self, num_tokens: int, cell: Cell, embedding_dim: int, hidden_dim: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_dim, padding_idx=PAD)
        self.stack = RecurrentStack(cell, embedding_dim, hidden_dim, 1, dropout)
        self.to_logit = nn.Linear(hidden_dim, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Texts int64 [N, T], without BEGIN, padded at the end, to logits [N, T]."""
        logits: torch.Tensor = self.to_logit(self.stack.drop(self.stack.read(self.embedding(tokens))))
        return logits[:, :, 0]


class ConvolutionalPrefixDiscriminator(nn.Module):
    """Embedding, convolution filters of several widths, their maximum over the prefix, a logit after each token.

    The sentence classifier of Kim, "Convolutional neural networks for sentence classification" (EMNLP 2014), which is
    the discriminator of Yu et al., "SeqGAN" (AAAI 2017), with padding on the left and a maximum over the prefix.
    """

    def __init__(self, num_tokens: int, embedding_dim: int, hidden_dim: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_dim, padding_idx=PAD)
        self.filters = nn.ModuleList(nn.Conv1d(embedding_dim, hidden_dim, width) for width in _WIDTHS)
        self.drop = nn.Dropout(dropout)
        self.to_logit = nn.Linear(hidden_dim * len(_WIDTHS), 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Texts int64 [N, T], without BEGIN, padded at the end, to logits [N, T]."""
        words = self.drop(self.embedding(tokens)).transpose(1, 2)
        responses = [f(F.pad(words, (width - 1, 0))) for width, f in zip(_WIDTHS, self.filters, strict=True)]
        features = F.relu(torch.cat(responses, dim=1)).cummax(2).values.transpose(1, 2)
        logits: torch.Tensor = self.to_logit(self.drop(features))
        return logits[:, :, 0]


def prefix_discriminator(
    name: PrefixDiscriminatorName, num_tokens: int, cell: Cell, embedding_dim: int, hidden_dim: int, dropout: float
) -> nn.Module:
    """A new discriminator; `cell` is for `rnn`, `hidden_dim` the size of its state or the filters of each width."""
    if name == "rnn":
        return RecurrentPrefixDiscriminator(num_tokens, cell, embedding_dim, hidden_dim, dropout)
    return ConvolutionalPrefixDiscriminator(num_tokens, embedding_dim, hidden_dim, dropout)
