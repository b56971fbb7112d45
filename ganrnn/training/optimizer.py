"""The update of one player of a GAN: learning rate by step, averaged and clipped gradients, Adam and Muon."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ganrnn.config import above, at_least, below
from ganrnn.distributed import average_gradients
from ganrnn.training.muon import Muon


@dataclass(frozen=True)
class PlayerConfig:
    """Adam and its learning rate."""

    learning_rate: float = 1e-3  #: Largest learning rate of Adam.
    #: How the learning rate falls: to 0 at the last step, or not at all.
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_steps: int = 0  #: Steps in which the learning rate rises to its largest value.
    beta1: float = 0.0  #: Decay of Adam's average of gradients.
    beta2: float = 0.95  #: Decay of Adam's average of squared gradients.
    max_gradient_norm: float = 0.0  #: Norm to which gradients are clipped; 0 does not clip.

    def check(self, section: str) -> None:
        """Raise BadInput for a value out of range; `section` precedes its key in the message."""
        above(section, self, learning_rate=0)
        below(section, self, beta1=1, beta2=1)
        at_least(section, self, warmup_steps=0, max_gradient_norm=0)

    def decay_at(self, step: int, num_steps: int) -> float:
        """The share of the learning rate that a step has; `linear` and `cosine` fall to 0 at `num_steps`."""
        progress = step / num_steps
        decay = {"linear": 1 - progress, "cosine": (1 + math.cos(math.pi * progress)) / 2, "constant": 1.0}[
            self.schedule
        ]
        return decay * min(1.0, (step + 1) / max(1, self.warmup_steps))


class Player:
    """The parameters of one player and their optimizers: Muon for its `matrices`, Adam for the others."""

    def __init__(
        self,
        config: PlayerConfig,
        parameters: Iterable[nn.Parameter],
        matrices: Iterable[nn.Parameter] = (),
        matrix_rate: float = 0.0,
    ) -> None:
        self.config, self.parameters = config, list(parameters)
        matrices = list(matrices)
        self.matrix_rate, self.matrix_optimizer = matrix_rate, Muon(matrices, matrix_rate) if matrices else None
        of_muon = {id(matrix) for matrix in matrices}
        others = [parameter for parameter in self.parameters if id(parameter) not in of_muon]
        betas = (config.beta1, config.beta2)
        # On a CPU the fused kernel assumes that a weight, its gradient and moments have one memory layout: `update`
        # makes gradients so, ganrnn/checkpoint.py moments.
        self.optimizer = torch.optim.Adam(others, lr=config.learning_rate, betas=betas, eps=1e-8, fused=True)

    def begin(self, step: int, num_steps: int, factor: float) -> None:
        """Zero the gradients and set the learning rates of a step, times a factor."""
        for optimizer, rate in self._optimizers():
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = rate * self.config.decay_at(step, num_steps) * factor

    def update(self) -> torch.Tensor:
        """One step with gradients averaged over the workers and clipped; returns their norm before clipping."""
        for parameter in self.parameters:
            if parameter.grad is not None and parameter.grad.stride() != parameter.stride():
                parameter.grad = torch.empty_like(parameter).copy_(parameter.grad)
        average_gradients(self.parameters)
        norm = nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None], foreach=True)
        if self.config.max_gradient_norm:
            nn.utils.clip_grads_with_norm_(self.parameters, self.config.max_gradient_norm, norm, foreach=True)
        for optimizer, _ in self._optimizers():
            optimizer.step()
        return norm.detach()

    def _optimizers(self) -> list[tuple[torch.optim.Optimizer, float]]:
        """The optimizers with their largest learning rates."""
        adam: list[tuple[torch.optim.Optimizer, float]] = [(self.optimizer, self.config.learning_rate)]
        return [*adam, (self.matrix_optimizer, self.matrix_rate)] if self.matrix_optimizer else adam
