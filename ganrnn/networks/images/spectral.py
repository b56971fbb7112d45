"""Spectral normalisation of a discriminator: every layer has a Lipschitz constant of at most one.

Miyato et al., "Spectral normalization for generative adversarial networks" (ICLR 2018).
"""

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


def normalise_spectrally(module: nn.Module) -> None:
    """Parametrise the weight of every Conv2d and Linear in `module` as itself divided by its largest singular value.

    The value is estimated by one power iteration at each forward pass in training mode. The vectors of the iterations
    are buffers, so the state_dict has all of the state; `weight` is in it as `parametrizations.weight.original`.
    """
    for layer in list(module.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            spectral_norm(layer)
