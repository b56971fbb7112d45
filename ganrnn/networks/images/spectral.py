"""Spectral normalisation of a discriminator: no layer stretches any direction of its input by more than one.

Miyato et al., "Spectral normalization for generative adversarial networks" (ICLR 2018).
"""

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


def normalise_spectrally(module: nn.Module) -> None:
    """Divide, from now on, the weight of every Conv2d and Linear in `module` by its largest singular value.

    The value is followed by one power iteration at each forward pass in training mode. The vectors of these iterations
    are buffers, so the state_dict holds all of the state; `weight` is in it as `parametrizations.weight.original`.
    """
    for layer in list(module.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            spectral_norm(layer)
