"""Places of a picture in the making look at the words they may be about (Xu et al., "AttnGAN", CVPR 2018)."""

from dataclasses import dataclass

import torch
from torch import nn

MOST_PLACES = 256  # of a map whose places look at words


@dataclass(frozen=True)
class Words:
    """What is known at each word of N texts, float32 [N, T, word_dim], and which are there, bool [N, T]."""

    outputs: torch.Tensor
    mask: torch.Tensor

    @classmethod
    def of(cls, outputs: torch.Tensor, lengths: torch.Tensor) -> "Words":
        """Of texts of so many words, int64 [N]."""
        return cls(outputs, torch.arange(outputs.shape[1], device=outputs.device) < lengths[:, None])


class WordAttention(nn.Module):
    """Adds to each place a mean of the words, by how well they answer it; nothing at first."""

    def __init__(self, channels: int, word_dim: int) -> None:
        super().__init__()
        self.to_query = nn.Linear(channels, channels)
        self.to_key = nn.Linear(word_dim, channels)
        self.to_value = nn.Linear(word_dim, channels)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor, words: Words) -> torch.Tensor:  # [N, C, H, W] -> [N, C, H, W]
        places = x.flatten(2).transpose(1, 2)
        scores = self.to_query(places) @ self.to_key(words.outputs).transpose(1, 2) * x.shape[1] ** -0.5
        shares = scores.masked_fill(~words.mask[:, None], -torch.inf).softmax(2)
        return x + self.gain * (shares @ self.to_value(words.outputs)).transpose(1, 2).view_as(x)
