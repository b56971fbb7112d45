"""Extractors from files: which network it is, what its scores are called, and what is refused."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional as F

from ganrnn.errors import BadInput
from ganrnn.metrics.extractors import inception
from ganrnn.metrics.extractors.load import load_extractor
from tests.unit.inception_weights import random_weights

LAYERS: list[dict[str, Any]] = [
    {"Conv2d": {"in_channels": 3, "out_channels": 8, "kernel_size": 3, "stride": 2}},
    {"Residual": {"layers": [{"Conv2d": {"in_channels": 8, "out_channels": 8, "kernel_size": 1}}], "shortcut": []}},
    {"ReLU": {}},
    {"AdaptiveAvgPool2d": {"output_size": 1}},
    {"Flatten": {}},
]
DESCRIPTION: dict[str, Any] = {
    "name": "own",
    "size": [9, 11],
    "resizer": "bicubic",
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.3, 0.4],
    "layers": LAYERS,
}


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    shapes = {"0.weight": (8, 3, 3, 3), "0.bias": (8,), "1.layers.0.weight": (8, 8, 1, 1), "1.layers.0.bias": (8,)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def packed(**changes: Any) -> bytes:
    return save(weights(), {"extractor": json.dumps(DESCRIPTION | changes)})


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def pictures(count: int, height: int = 9, width: int = 11) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator).to(torch.uint8)


@pytest.mark.parametrize("size", [(9, 11), (5, 6)])
def test_a_described_network_is_that_of_torch(size: tuple[int, int]) -> None:
    data = packed()
    extractor = load_extractor(data, "own.safetensors", digest(data))
    contents = weights()
    x = pictures(3, *size).float() / 255
    if size != (9, 11):
        x = F.interpolate(x, (9, 11), mode="bicubic", antialias=True)
        assert x.min() < 0 < 1 < x.max()  # what bicubic filters add beyond black and white is cut
        x = x.clamp(0, 1)
    x = (x - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    x = F.conv2d(x, contents["0.weight"], contents["0.bias"], 2)
    x = F.relu(x + F.conv2d(x, contents["1.layers.0.weight"], contents["1.layers.0.bias"]))
    features, classes = extractor(pictures(3, *size))
    np.testing.assert_allclose(features, x.mean((2, 3)).numpy(), rtol=2e-5, atol=1e-6)
    assert classes is None and features.dtype == np.float32
    assert extractor.name == f"own_{digest(data)[:8]}"
    assert extractor.facts() == {
        "name": extractor.name,
        "digest": digest(data),
        "resizer": "bicubic of torch, antialiased, to 9 x 11",
    }


def test_a_picture_has_the_same_features_in_any_company() -> None:
    data = packed()
    extractor = load_extractor(data, "own.safetensors", digest(data))
    many = pictures(19, 30, 20)
    whole, _ = extractor(many)
    for rows in ([4], [18, 4, 7], list(range(18, -1, -1))):
        np.testing.assert_array_equal(extractor(many[rows])[0], whole[rows])


def test_inception_of_other_weights_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inception, "MICRO_BATCH_SIZE", 1)
    data = save(random_weights())
    network = load_extractor(data, "random.safetensors", digest(data))
    assert network.name == f"inception_{digest(data)[:8]}" and "TensorFlow 1" in network.resizer
    features, classes = network(pictures(1, 16, 16))
    assert features.shape == (1, 2048) and classes is not None and classes.shape == (1, 1008)
    assert classes.sum() == pytest.approx(1, abs=1e-12)


def test_the_published_weights_are_asked_for_by_name_size_and_digest() -> None:
    published = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
    for data in (None, b"other"):
        with pytest.raises(BadInput, match=f"nowhere.pth.* 95,628,359 bytes, sha256 {published}"):
            load_extractor(data, "nowhere.pth", published)


def test_a_described_network_of_another_digest_is_refused() -> None:
    with pytest.raises(BadInput, match=r"own.safetensors: [\d,]+ bytes with sha256 \w+, expected is 0000"):
        load_extractor(packed(), "own.safetensors", "0" * 64)


def without(key: str) -> bytes:
    contents = {name: value for name, value in DESCRIPTION.items() if name != key}
    return save(weights(), {"extractor": json.dumps(contents)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: packed(layers=[{"Exec": {"code": "1"}}]), "a layer is 'Exec'; allowed are Conv2d"),
        (lambda: packed(layers=["ReLU"]), "a layer is 'ReLU'; it has to be one name with its settings"),
        (lambda: packed(layers=[{"Conv2d": {"channels": 3}}]), "Conv2d cannot be made of"),
        (lambda: packed(layers=[{"Residual": {"layers": []}}]), "Residual cannot be made of"),
        (lambda: packed(layers=LAYERS[1:]), "weights and layers do not fit each other"),
        (lambda: packed(layers=LAYERS[:3]), r"the layers make \[2, 8, 4, 5\] of 2 pictures"),
        (lambda: packed(size=[9, 0]), r"size is \[9, 0\]; 2 numbers are needed"),
        (lambda: packed(std=[1, 1]), r"std is \[1, 1\]; 3 numbers are needed"),
        (lambda: packed(mean=["0", "1", "2"]), r"mean is \['0', '1', '2'\]; 3 numbers are needed"),
        (lambda: packed(resizer="nearest"), "the resizer is 'nearest'; allowed are bilinear, bicubic"),
        (lambda: packed(name="fid 2"), "the name is 'fid 2'; it ends names of metrics"),
        (lambda: without("mean"), "has to hold name, size, resizer, mean, std, layers; it holds layers, name, resizer"),
        (lambda: save(weights(), {"extractor": "{"}), "'extractor' in the header is not JSON"),
    ],
)
def test_what_cannot_be_a_network_is_refused(make: Callable[[], bytes], message: str) -> None:
    data = make()
    with pytest.raises(BadInput, match=f"own.safetensors: .*{message}"):
        load_extractor(data, "own.safetensors", digest(data))


def test_nothing_but_the_list_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else torch.nn has stays out of reach."""
    monkeypatch.setattr(nn, "Conv2dEvil", lambda **settings: pytest.fail("it was made"), raising=False)
    data = packed(layers=[{"Conv2dEvil": {}}])
    with pytest.raises(BadInput, match="a layer is 'Conv2dEvil'"):
        load_extractor(data, "own.safetensors", digest(data))
