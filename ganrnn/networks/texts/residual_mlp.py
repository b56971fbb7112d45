"""Residual multilayer perceptrons, the generator and critic of latents: with torch's kernels, and in exact sums."""

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn import exact
from ganrnn.networks.texts.latent_sphere import exact_on_sphere, on_sphere

_SLOPE = 0.2


class ResidualMlp(nn.Module):
    """Vectors [N, I] and, with `num_labels`, labels int64 [N] to [N, O]; `num_blocks` residual blocks of two layers.

    Residual connections as in Donahue & Rumshisky, "Adversarial text generation without reinforcement learning"
    (2018).
    """

    def __init__(
        self, input_dim: int, hidden_dim: int, num_blocks: int, output_dim: int, num_labels: int, label_dim: int
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_labels, label_dim) if num_labels else None
        self.begin = nn.Linear(input_dim + (label_dim if num_labels else 0), hidden_dim)
        self.blocks = nn.ModuleList(
            nn.ModuleList(nn.Linear(hidden_dim, hidden_dim) for _ in range(2)) for _ in range(num_blocks)
        )
        self.end = nn.Linear(hidden_dim, output_dim)

    def forward(
        self,
        x: torch.Tensor,  # [N, I]
        labels: torch.Tensor | None = None,  # int64 [N]
    ) -> torch.Tensor:  # [N, O]
        if self.embedding is not None:
            x = torch.cat([x, self.embedding(labels)], dim=1)
        x = self.begin(x)
        for first, second in self.layers():
            x = x + second(F.leaky_relu(first(F.leaky_relu(x, _SLOPE)), _SLOPE))
        output: torch.Tensor = self.end(F.leaky_relu(x, _SLOPE))
        return output

    def layers(self) -> list[list[nn.Linear]]:
        """The two layers of each block."""
        return [list(block) for block in self.blocks]  # type: ignore[call-overload]


class LatentGenerator(ResidualMlp):
    """Noise [N, Z] to latents on the sphere [N, D]."""

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return on_sphere(super().forward(x, labels))


class ExactLatentGenerator:
    """`LatentGenerator` in sums that no other row changes."""

    @torch.no_grad()
    def __init__(self, generator: LatentGenerator) -> None:
        embedding = generator.embedding
        self.embedding = None if embedding is None else exact.snapped(embedding.weight)
        self.begin, self.end = (exact.Linear(layer.weight, layer.bias) for layer in (generator.begin, generator.end))
        self.blocks = [[exact.Linear(layer.weight, layer.bias) for layer in pair] for pair in generator.layers()]

    def __call__(self, z: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        """Noise [N, Z] and labels int64 [N] to snapped latents [N, D]."""
        x = exact.snapped(z)
        if self.embedding is not None:
            x = torch.cat([x, self.embedding[labels]], dim=1)
        x = exact.snapped(self.begin(x))
        for first, second in self.blocks:
            x = exact.snapped(x + second(_leaky(first(_leaky(x)))))
        return exact_on_sphere(exact.snapped(self.end(_leaky(x))))


def _leaky(x: torch.Tensor) -> torch.Tensor:
    return exact.snapped(torch.maximum(x, _SLOPE * x))
