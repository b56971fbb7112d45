"""Attention from positions of a generator's feature maps to the words of a prompt (Xu et al., "AttnGAN", CVPR 2018)."""

from dataclasses import dataclass

import torch
from torch import nn

MAX_POSITIONS = 256  # of a map with word attention


@dataclass(frozen=True)
class Words:
    """The encoder outputs of N texts, float32 [N, T, word_dim], and their mask, bool [N, T], False at padding."""

    outputs: torch.Tensor
    mask: torch.Tensor

    @classmethod
    def of(cls, outputs: torch.Tensor, lengths: torch.Tensor) -> "Words":
        """The outputs of texts with `lengths` int64 [N]."""
        return cls(outputs, torch.arange(outputs.shape[1], device=outputs.device) < lengths[:, None])


class WordAttention(nn.Module):
    """Adds attended word vectors to each position, with a gain that starts at 0."""

    def __init__(self, channels: int, word_dim: int) -> None:
        super().__init__()
        self.to_query = nn.Linear(channels, channels)
        self.to_key = nn.Linear(word_dim, channels)
        self.to_value = nn.Linear(word_dim, channels)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor, words: Words) -> torch.Tensor:  # [N, C, H, W] -> [N, C, H, W]
        positions = x.flatten(2).transpose(1, 2)
        scores = self.to_query(positions) @ self.to_key(words.outputs).transpose(1, 2) * x.shape[1] ** -0.5
        shares = scores.masked_fill(~words.mask[:, None], -torch.inf).softmax(2)
        return x + self.gain * (shares @ self.to_value(words.outputs)).transpose(1, 2).view_as(x)
