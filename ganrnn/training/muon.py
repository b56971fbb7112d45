"""Muon, an optimizer of weight matrices: each step moves a matrix by the nearest orthogonal one to its gradient.

Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024). Every direction of a matrix moves by
the same length, where Adam lets the few directions of the largest gradients decide. torch.optim.Muon takes matrices
alone and works in bfloat16, whose results differ from processor to processor; here kernels of convolutions are matrices
of [out_channels, the rest], and all numbers are float32.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import nn

_MOMENTUM = 0.95
_NUM_ITERATIONS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, from the authors' code


class Muon(torch.optim.Optimizer):
    """Nesterov momentum of the gradients, made orthogonal, times the learning rate.

    A matrix [rows, columns] moves by sqrt(max(1, rows / columns)) times the rate in each of its directions.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure is ever called
        """Move all matrices that have a gradient."""
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            stacks: dict[torch.Size, list[tuple[torch.Tensor, torch.Tensor]]] = defaultdict(list)
            for parameter, momentum in zip(parameters, self._momenta_of(parameters), strict=True):
                stacks[momentum.shape].append((parameter, momentum))
            for (num_rows, num_columns), pairs in stacks.items():
                matrices = orthogonalised(torch.stack([momentum for _, momentum in pairs]))
                rate = group["lr"] * max(1.0, num_rows / num_columns) ** 0.5
                for (parameter, _), matrix in zip(pairs, matrices, strict=True):
                    parameter.sub_(matrix.view_as(parameter), alpha=rate)

    def _momenta_of(self, parameters: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Nesterov's look ahead along the running averages of the gradients, [rows, columns] each, which move on."""
        # Contiguous, whatever the memory format: a training goes on with the same bits when it is resumed.
        gradients = [parameter.grad.contiguous().flatten(1) for parameter in parameters if parameter.grad is not None]
        states = [self.state[parameter] for parameter in parameters]
        for state, gradient in zip(states, gradients, strict=True):
            if not state:
                state["average"] = torch.zeros_like(gradient)
        averages = [state["average"] for state in states]
        torch._foreach_lerp_(averages, gradients, 1 - _MOMENTUM)
        momenta: tuple[torch.Tensor, ...] = torch._foreach_lerp(gradients, averages, _MOMENTUM)
        return momenta


def orthogonalised(matrices: torch.Tensor) -> torch.Tensor:
    """Matrices [K, rows, columns] with all singular values near 1 (0.7 to 1.2), by a Newton-Schulz iteration."""
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if is_tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(_NUM_ITERATIONS):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x
