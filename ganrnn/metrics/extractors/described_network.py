"""A network of one's own as an extractor: weights in safetensors, and in their header what it is made of.

    save_file(network.state_dict(), "own.safetensors", {"extractor": json.dumps({
        "name": "own", "size": [64, 64], "resizer": "bicubic", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
        "layers": [{"Conv2d": {"in_channels": 3, "out_channels": 32, "kernel_size": 4, "stride": 4}}, {"ReLU": {}},
                   {"Residual": {"layers": [...], "shortcut": []}}, {"AdaptiveAvgPool2d": {"output_size": 1}},
                   {"Flatten": {}}],
    })})

The layers are those of torch.nn by name, one after the other as `nn.Sequential` has them, so that the keys of the
weights are `0.weight` and so on; `Residual` adds what its `layers` make to what its `shortcut` makes of the same input.
Nothing that comes with the weights is run: a name that is not on the list is refused.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn
from torch.nn import functional as F

from ganrnn.errors import BadInput

HEADER = "extractor"
MICRO_BATCH_SIZE = 8
_LAYERS = (
    *("Conv2d", "Linear", "BatchNorm2d", "GroupNorm", "LayerNorm", "ReLU", "LeakyReLU", "GELU", "SiLU", "Tanh"),
    *("MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "Flatten"),
)
_RESIZERS = ("bilinear", "bicubic")
_KEYS = ("name", "size", "resizer", "mean", "std", "layers")


class DescribedExtractor:
    """Pictures to the features that a described network makes of them."""

    def __init__(self, data: bytes, place: str) -> None:
        """Build the network that the header of safetensors bytes describes, and load its weights.

        Raises BadInput, which names the place, for a description or weights that cannot be used.
        """
        self.description = _Description.read(data, place)
        self.network = nn.Sequential(*_modules(self.description.layers, place)).eval()
        try:
            self.network.load_state_dict(load(data))
            shape = self.network(torch.zeros((2, 3, *self.description.size))).shape
        except (RuntimeError, SafetensorError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise BadInput(f"{place}: weights and layers do not fit each other ({reason})") from error
        if len(shape) != 2 or shape[0] != 2:
            raise BadInput(f"{place}: the layers make {list(shape)} of 2 pictures; a row of features each is needed")

    @property
    def resizer(self) -> str:
        """What a report says of it."""
        height, width = self.description.size
        return f"{self.description.resizer} of torch, antialiased, to {height} x {width}"

    @torch.inference_mode()
    def __call__(self, pictures: torch.Tensor) -> NDArray[np.float32]:
        """Features [N, D] of pictures uint8 [N, 3, H, W], the same whichever other pictures come with one."""
        held = self.description
        mean, std = (torch.tensor(x, device=pictures.device).view(3, 1, 1) for x in (held.mean, held.std))
        made = []
        for part in pictures.split(MICRO_BATCH_SIZE):
            # The last one is filled up, so that every picture goes through layers of the same shape.
            full = torch.cat((part, part.new_zeros((MICRO_BATCH_SIZE - len(part), *part.shape[1:]))))
            x = full.float() / 255
            if x.shape[2:] != torch.Size(held.size):
                x = F.interpolate(x, held.size, mode=held.resizer, antialias=True).clamp(0, 1)
            made.append(self.network((x - mean) / std)[: len(part)].float().cpu().numpy())
        return np.concatenate(made)


@dataclass(frozen=True)
class _Description:
    name: str
    size: tuple[int, int]
    resizer: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layers: Sequence[Any]

    @classmethod
    def read(cls, data: bytes, place: str) -> "_Description":
        try:
            held = json.loads(described(data) or "null")
        except json.JSONDecodeError as error:
            raise BadInput(f"{place}: {HEADER!r} in the header is not JSON ({error})") from error
        if not isinstance(held, dict) or set(held) != set(_KEYS):
            found = ", ".join(sorted(held)) if isinstance(held, dict) else type(held).__name__
            raise BadInput(f"{place}: {HEADER!r} in the header has to hold {', '.join(_KEYS)}; it holds {found}")
        if held["resizer"] not in _RESIZERS:
            raise BadInput(f"{place}: the resizer is {held['resizer']!r}; allowed are {', '.join(_RESIZERS)}")
        if not str(held["name"]).isidentifier():
            raise BadInput(f"{place}: the name is {held['name']!r}; it ends names of metrics: letters, digits and _")
        for key, length in (("size", 2), ("mean", 3), ("std", 3)):
            values = held[key]
            numbers = isinstance(values, list) and all(isinstance(value, int | float) for value in values)
            if not numbers or len(values) != length or (key != "mean" and min(values) <= 0):
                raise BadInput(f"{place}: {key} is {values!r}; {length} numbers are needed")
        sizes = {key: tuple(held[key]) for key in ("size", "mean", "std")}
        return cls(held["name"], resizer=held["resizer"], layers=held["layers"], **sizes)


def described(data: bytes) -> str | None:
    """What the header of safetensors bytes says of the network; None where it says nothing, or they are none."""
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= len(data) - 8:
        return None
    try:
        header = json.loads(data[8 : 8 + length])
    except ValueError:
        return None
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    found: str | None = metadata.get(HEADER) if isinstance(metadata, dict) else None
    return found


class _Residual(nn.Module):
    def __init__(self, layers: Sequence[Any], shortcut: Sequence[Any], place: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_modules(layers, place))
        self.shortcut = nn.Sequential(*_modules(shortcut, place))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.layers(x) + self.shortcut(x)
        return made


def _modules(layers: Any, place: str) -> list[nn.Module]:
    found: list[nn.Module] = []
    for layer in layers if isinstance(layers, list) else [layers]:
        if not isinstance(layer, Mapping) or len(layer) != 1:
            raise BadInput(f"{place}: a layer is {layer!r}; it has to be one name with its settings")
        ((name, settings),) = layer.items()
        if name != "Residual" and name not in _LAYERS:
            raise BadInput(f"{place}: a layer is {name!r}; allowed are {', '.join((*_LAYERS, 'Residual'))}")
        try:
            if name == "Residual":
                found.append(_Residual(settings["layers"], settings["shortcut"], place))
            else:
                found.append(getattr(nn, name)(**settings))
        except (TypeError, ValueError, KeyError) as error:
            raise BadInput(f"{place}: {name} cannot be made of {settings!r} ({error})") from error
    return found
