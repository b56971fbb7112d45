"""A user's own network as a feature extractor: weights in safetensors whose header describes the layers.

    save_file(network.state_dict(), "own.safetensors", {"extractor": json.dumps({
        "name": "own", "size": [64, 64], "resizer": "bicubic", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
        "layers": [{"Conv2d": {"in_channels": 3, "out_channels": 32, "kernel_size": 4, "stride": 4}}, {"ReLU": {}},
                   {"Residual": {"layers": [...], "shortcut": []}}, {"AdaptiveAvgPool2d": {"output_size": 1}},
                   {"Flatten": {}}],
    })})

Layers are named as in torch.nn and applied one after the other as in `nn.Sequential`, so that the keys of the weights
are `0.weight` and so on; `Residual` adds the output of its `layers` to the output of its `shortcut` for the same input.
No code comes with the weights: a layer that is not on the list is refused.
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
    """Computes features of pictures by a described network."""

    def __init__(self, data: bytes, source: str) -> None:
        """Build the network that the header of safetensors bytes describes, and load its weights.

        Raises BadInput, which names `source`, for a description or weights that cannot be used.
        """
        self.description = _Description.read(data, source)
        self.network = nn.Sequential(*_modules(self.description.layers, source)).eval()
        try:
            self.network.load_state_dict(load(data))
            shape = self.network(torch.zeros((2, 3, *self.description.size))).shape
        except (RuntimeError, SafetensorError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise BadInput(f"{source}: weights and layers do not fit each other ({reason})") from error
        if len(shape) != 2 or shape[0] != 2:
            raise BadInput(f"{source}: the layers make {list(shape)} of 2 pictures; a row of features each is needed")

    @property
    def resizer(self) -> str:
        """How pictures are resized, for reports."""
        height, width = self.description.size
        return f"{self.description.resizer} of torch, antialiased, to {height} x {width}"

    @torch.inference_mode()
    def __call__(self, pictures: torch.Tensor) -> NDArray[np.float32]:
        """Features [N, D] of pictures uint8 [N, 3, H, W]; a row does not depend on the other pictures."""
        description = self.description
        mean, std = (torch.tensor(x, device=pictures.device).view(3, 1, 1) for x in (description.mean, description.std))
        features = []
        for micro_batch in pictures.split(MICRO_BATCH_SIZE):
            # The last micro-batch is padded, so that every picture goes through layers of the same shape.
            padded = torch.cat(
                (micro_batch, micro_batch.new_zeros((MICRO_BATCH_SIZE - len(micro_batch), *micro_batch.shape[1:])))
            )
            x = padded.float() / 255
            if x.shape[2:] != torch.Size(description.size):
                x = F.interpolate(x, description.size, mode=description.resizer, antialias=True).clamp(0, 1)
            features.append(self.network((x - mean) / std)[: len(micro_batch)].float().cpu().numpy())
        return np.concatenate(features)


@dataclass(frozen=True)
class _Description:
    name: str
    size: tuple[int, int]
    resizer: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layers: Sequence[Any]

    @classmethod
    def read(cls, data: bytes, source: str) -> "_Description":
        try:
            description = json.loads(header_description(data) or "null")
        except json.JSONDecodeError as error:
            raise BadInput(f"{source}: {HEADER!r} in the header is not JSON ({error})") from error
        if not isinstance(description, dict) or set(description) != set(_KEYS):
            keys = ", ".join(sorted(description)) if isinstance(description, dict) else type(description).__name__
            raise BadInput(f"{source}: {HEADER!r} in the header has to hold {', '.join(_KEYS)}; it holds {keys}")
        if description["resizer"] not in _RESIZERS:
            raise BadInput(f"{source}: the resizer is {description['resizer']!r}; allowed are {', '.join(_RESIZERS)}")
        if not str(description["name"]).isidentifier():
            raise BadInput(
                f"{source}: the name is {description['name']!r}; it ends names of metrics: letters, digits and _"
            )
        for key, length in (("size", 2), ("mean", 3), ("std", 3)):
            values = description[key]
            numbers = isinstance(values, list) and all(isinstance(value, int | float) for value in values)
            if not numbers or len(values) != length or (key != "mean" and min(values) <= 0):
                raise BadInput(f"{source}: {key} is {values!r}; {length} numbers are needed")
        sizes = {key: tuple(description[key]) for key in ("size", "mean", "std")}
        return cls(description["name"], resizer=description["resizer"], layers=description["layers"], **sizes)


def header_description(data: bytes) -> str | None:
    """The network's description in the header of safetensors bytes; None if it has none or the bytes are others."""
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= len(data) - 8:
        return None
    try:
        header = json.loads(data[8 : 8 + length])
    except ValueError:
        return None
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    description: str | None = metadata.get(HEADER) if isinstance(metadata, dict) else None
    return description


class _Residual(nn.Module):
    def __init__(self, layers: Sequence[Any], shortcut: Sequence[Any], source: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_modules(layers, source))
        self.shortcut = nn.Sequential(*_modules(shortcut, source))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.layers(x) + self.shortcut(x)
        return output


def _modules(layers: Any, source: str) -> list[nn.Module]:
    modules: list[nn.Module] = []
    for layer in layers if isinstance(layers, list) else [layers]:
        if not isinstance(layer, Mapping) or len(layer) != 1:
            raise BadInput(f"{source}: a layer is {layer!r}; it has to be one name with its settings")
        ((name, settings),) = layer.items()
        if name != "Residual" and name not in _LAYERS:
            raise BadInput(f"{source}: a layer is {name!r}; allowed are {', '.join((*_LAYERS, 'Residual'))}")
        try:
            if name == "Residual":
                modules.append(_Residual(settings["layers"], settings["shortcut"], source))
            else:
                modules.append(getattr(nn, name)(**settings))
        except (TypeError, ValueError, KeyError) as error:
            raise BadInput(f"{source}: {name} cannot be made of {settings!r} ({error})") from error
    return modules
