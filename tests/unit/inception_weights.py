"""Weights of Inception without any training: each layer keeps about the scale of its input."""

from functools import cache

import torch

from ganrnn.networks.images.inception import shapes


@cache
def random_weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """He initialisation, and statistics of batch normalisation that are neither 0 nor 1."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for key, shape in shapes().items():
        if key.endswith(("conv.weight", "fc.weight")):
            tensors[key] = torch.randn(shape, generator=generator) * (2 / torch.Size(shape[1:]).numel()) ** 0.5
        elif key.endswith(("bn.weight", "running_var")):
            tensors[key] = 0.5 + torch.rand(shape, generator=generator)
        else:
            tensors[key] = 0.1 * torch.randn(shape, generator=generator)
    return tensors
