"""The encoder of labels and attributes: one linear layer."""

import torch
from torch import nn


class ConditionEncoder(nn.Module):
    """A linear layer on the vectors of `Conditions.encode`; without conditions its output has no elements."""

    def __init__(self, num_values: int, out_dim: int) -> None:
        super().__init__()
        self.out_dim = out_dim if num_values else 0
        self.linear = nn.Linear(num_values, out_dim) if num_values else None

    def forward(self, values: torch.Tensor) -> torch.Tensor:  # float32 [N, num_values] -> [N, out_dim]
        # A one-hot vector has a smaller norm than noise of the same size: the gain keeps the layer's variance at 1.
        return self.linear(values) * values.shape[1] ** 0.5 if self.linear else values[:, :0]
