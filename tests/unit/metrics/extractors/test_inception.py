"""Inception's weights from bytes and nothing else, the reference's resize, and features that no neighbour changes."""

import hashlib
import io

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from ganrnn.errors import BadInput
from ganrnn.metrics.extractors import inception
from ganrnn.metrics.extractors.inception import InceptionExtractor, probabilities, resized
from tests.unit.inception_weights import random_weights

GENERATOR = torch.Generator().manual_seed(0)


def pictures(count: int, height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, height, width), generator=GENERATOR, dtype=torch.uint8)


def saved(contents: object, **options: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(contents, buffer, **options)
    return buffer.getvalue()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def data() -> bytes:
    return save(random_weights())


@pytest.fixture(scope="module")
def extractor(data: bytes) -> InceptionExtractor:
    return InceptionExtractor(data, "random.safetensors", digest(data))


def tensorflow_bilinear(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The rule written out: [H, W] to [299, 299]."""
    height, width = picture.shape
    out = np.empty((299, 299))
    for i in range(299):
        y, x = i * height / 299, np.arange(299) * width / 299
        top, left = int(y), x.astype(int)
        bottom, right = min(top + 1, height - 1), np.minimum(left + 1, width - 1)
        rows = [picture[row].astype(np.float64) for row in (top, bottom)]
        upper, lower = (row[left] + (row[right] - row[left]) * (x - left) for row in rows)
        out[i] = upper + (lower - upper) * (y - top)
    return out


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 48), (1, 2), (299, 299), (512, 301)])
def test_resize_is_that_of_tensorflow_1(height: int, width: int) -> None:
    images = pictures(2, height, width)
    result = resized(images)
    assert result.shape == (2, 3, 299, 299) and result.dtype == torch.float32
    expected = (tensorflow_bilinear(images[1, 2].numpy()) - 128) / 128
    # Positions of float32 are off by up to 1e-5 of a pixel, and neighbouring pixels differ by up to 2.
    np.testing.assert_allclose(result[1, 2].numpy(), expected, rtol=0, atol=1e-4)
    if (height, width) == (299, 299):
        assert torch.equal(result, (images.float() - 128) / 128)


def test_features_depend_on_the_picture_alone(extractor: InceptionExtractor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inception, "MICRO_BATCH_SIZE", 3)
    images = pictures(6, 32, 32)
    features, logits = extractor(images)
    assert features.shape == (6, 2048) and logits.shape == (6, 1008) and features.dtype == logits.dtype == np.float32
    order = [5, 0, 3]
    again, _ = extractor(images[order])
    np.testing.assert_allclose(again, features[order], rtol=1e-5, atol=1e-5)
    assert np.abs(features[0] - features[1]).max() > 0.1


def test_other_pictures_change_no_bit_of_a_picture_in_its_place(
    extractor: InceptionExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last micro-batch is filled up, so that convolutions have one shape whether pictures are many or few."""
    monkeypatch.setattr(inception, "MICRO_BATCH_SIZE", 3)
    images, counts = pictures(4, 32, 32), []
    hook = extractor.network.register_forward_pre_hook(lambda network, given: counts.append(len(given[0])))
    whole = extractor(images)
    for start, stop in ((0, 2), (3, 4)):
        for result, expected in zip(extractor(images[start:stop]), whole, strict=True):
            np.testing.assert_array_equal(result, expected[start:stop])
    hook.remove()
    assert counts == [3] * 4


def test_no_picture_gives_no_features(extractor: InceptionExtractor) -> None:
    assert [images.shape for images in extractor(pictures(0, 8, 8))] == [(0, 2048), (0, 1008)]


def test_probabilities_are_the_softmax_of_the_logits() -> None:
    logits = np.array([[0.0, np.log(3)], [1000.0, 1000.0]], np.float32)
    result = probabilities(logits)
    np.testing.assert_allclose(result, [[0.25, 0.75], [0.5, 0.5]], rtol=1e-7)
    np.testing.assert_allclose(result.sum(axis=1), 1, rtol=1e-15)


@pytest.mark.parametrize("zip_file", [True, False])
def test_both_forms_of_a_torch_file_are_read(zip_file: bool) -> None:
    """With a key that is not needed, as the published file has some; the few tensors then show that they were read."""
    contents = {
        "fc.weight": torch.zeros(1008, 2048),
        "fc.bias": torch.zeros(1008),
        "bn.num_batches_tracked": torch.tensor(0),
    }
    content = saved(contents, _use_new_zipfile_serialization=zip_file)
    with pytest.raises(BadInput, match=r"w\.pth: 470 of 472 tensors"):
        InceptionExtractor(content, "w.pth", digest(content))


def test_a_torch_file_gives_what_safetensors_gives(extractor: InceptionExtractor) -> None:
    content = saved(random_weights())
    other = InceptionExtractor(content, "w.pth", digest(content))
    assert other.digest == digest(content) != extractor.digest
    for tensor, expected in zip(other.network.buffers(), extractor.network.buffers(), strict=True):
        assert torch.equal(tensor, expected)


def test_absent_and_other_files_are_refused_by_name_size_and_digest(data: bytes) -> None:
    published = f"{inception.FILE_NAME}, 95,628,359 bytes, sha256 {inception.SHA256}"
    assert inception.SHA256.startswith(inception.FILE_NAME[-12:-4])
    with pytest.raises(BadInput, match=r"/data/w\.pth does not exist.*" + published):
        InceptionExtractor(None, "/data/w.pth")
    with pytest.raises(BadInput, match=rf"w\.safetensors: {len(data):,} bytes with sha256 {digest(data)}.*{published}"):
        InceptionExtractor(data, "w.safetensors")
    with pytest.raises(BadInput, match=r"3 bytes with sha256 .*, expected is 00ff$"):
        InceptionExtractor(b"abc", "w.pth", "00ff")


@pytest.mark.parametrize("source", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"abc", b"PK\x03\x04"])
def test_files_that_hold_no_tensors_are_refused(content: bytes, source: str) -> None:
    with pytest.raises(BadInput, match=rf"{source}: {len(content)} bytes are no tensors"):
        InceptionExtractor(content, source, digest(content))


class Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("executed",)


def test_code_in_a_torch_file_does_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    content = saved({"fc.weight": Code()})
    with pytest.raises(BadInput, match=r"w\.pth: .* no tensors"):
        InceptionExtractor(content, "w.pth", digest(content))
    assert "executed" not in capsys.readouterr().out


def test_weights_of_another_network_are_refused() -> None:
    for contents, message in (
        (
            {"conv1.weight": torch.zeros(1)},
            r"472 of 472 tensors.*Conv2d_1a_3x3\.conv\.weight is absent.*\[32, 3, 3, 3\]",
        ),
        (random_weights() | {"fc.weight": torch.zeros(1000, 2048)}, r"1 of .*fc\.weight is of shape \[1000, 2048\]"),
    ):
        content = save(contents)
        with pytest.raises(BadInput, match=message):
            InceptionExtractor(content, "w.safetensors", digest(content))
    content = saved([torch.zeros(1)])
    with pytest.raises(BadInput, match=r"w\.pth holds no dict of tensors"):
        InceptionExtractor(content, "w.pth", digest(content))
