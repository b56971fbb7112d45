"""Exponential moving averages (EMA) of weights: the networks that sample and are scored.

`torch.optim.swa_utils.AveragedModel` is not used: it wraps the module, which would change the names in checkpoints, and
its EMA has a fixed decay, where this one depends on the step.
"""

import torch
from torch import nn


@torch.no_grad()
def update(average: nn.Module, network: nn.Module, step_index: int, half_life_steps: float) -> None:
    """Update the average of a network's weights by one step; buffers are copied.

    The half-life is at most 1 + step_index / 10 steps, so that the average forgets the first weights quickly.
    """
    decay = 0.5 ** (1 / min(half_life_steps, 1 + step_index / 10))
    if any(True for _ in network.parameters()):
        torch._foreach_lerp_([*average.parameters()], [*network.parameters()], 1 - decay)
    for averaged, current in zip(average.buffers(), network.buffers(), strict=True):
        averaged.copy_(current)
