"""Averages of weights over the steps of a training: what samples and is scored."""

import torch
from torch import nn


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, step_index: int, half_life_steps: float) -> None:
    """Move an exponential average of a network's weights by one step; buffers are copied.

    It starts short: early weights are forgotten within a tenth of the steps taken so far.
    """
    decay = 0.5 ** (1 / min(half_life_steps, 1 + step_index / 10))
    if any(True for _ in network.parameters()):
        torch._foreach_lerp_([*average.parameters()], [*network.parameters()], 1 - decay)
    for held, own in zip(average.buffers(), network.buffers(), strict=True):
        held.copy_(own)
