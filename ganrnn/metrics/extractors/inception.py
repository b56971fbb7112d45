"""Features and logits of pictures by the published Inception weights: `InceptionExtractor(bytes, place of the file)`.

The weights are those of the graph of 5 December 2015 that FID (Heusel et al. 2017), KID and Inception Score are defined
with, in the form that torch-fidelity and pytorch-fid publish. Pictures are resized as that graph does it, by the
bilinear rule of TensorFlow 1: output pixel i looks at i * height / 299, without a shift by half a pixel and without
smoothing. Other resizers move FID by several points (Parmar et al. 2022, "On Aliased Resizing and Surprising Subtleties
in GAN Evaluation").
"""

import hashlib
import io
import pickle
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load

from ganrnn.errors import BadInput
from ganrnn.networks.images.inception import SIZE, Inception, shapes

FILE_NAME = "weights-inception-2015-12-05-6726825d.pth"
NUM_BYTES = 95_628_359
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
RESIZER = "bilinear of TensorFlow 1 to 299 x 299"
# Enough for the convolutions to be efficient, whose weights are laid out anew for each micro-batch; with more, single
# activations outgrow what malloc keeps for reuse.
MICRO_BATCH_SIZE = 16


class InceptionExtractor:
    """Pictures to features, the same for a picture whichever others come with it, apart from the last bits."""

    def __init__(self, data: bytes | None, place: str, sha256: str = SHA256) -> None:
        """Load weights that were read from `place`.

        data:    content of the file; None where there is none. Safetensors where the name of `place` ends so, else
                 what torch.save makes of a dict of tensors
        place:   names the file in errors
        sha256:  what the digest of `data` has to be; another than the published one says that the weights are others

        Raises BadInput, which names file, size and digest, when there is no file, or one of other content.
        """
        self.digest = _checked_digest(data, place, sha256)
        weights = _tensors(data or b"", place)
        expected = shapes()
        unfit = [key for key, shape in expected.items() if key not in weights or tuple(weights[key].shape) != shape]
        if unfit:
            key = unfit[0]
            found = f"of shape {list(weights[key].shape)}" if key in weights else "absent"
            raise BadInput(
                f"{place}: {len(unfit)} of {len(expected)} tensors of Inception are absent or of another shape; "
                f"{key} is {found}, expected is {list(expected[key])}"
            )
        self.network = Inception(weights)

    def __call__(self, pictures: torch.Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features [N, 2048] and logits without bias [N, 1008] of pictures uint8 [N, 3, H, W] of any size.

        FID, KID and what counts neighbours take the features; Inception Score takes `probabilities` of the logits.
        """
        assert pictures.dtype == torch.uint8 and pictures.ndim == 4 and pictures.shape[1] == 3, pictures.shape
        features, logits = [np.empty((0, 2048), np.float32)], [np.empty((0, 1008), np.float32)]
        for start in range(0, len(pictures), MICRO_BATCH_SIZE):
            part = pictures[start : start + MICRO_BATCH_SIZE]
            # The last one is filled up, so that every picture goes through convolutions of the same shape.
            full = torch.cat((part, part.new_zeros((MICRO_BATCH_SIZE - len(part), *part.shape[1:]))))
            made = self.network(resized(full))
            for held, output in zip((features, logits), made, strict=True):
                held.append(output[: len(part)].cpu().numpy())
        return np.concatenate(features), np.concatenate(logits)


def resized(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures uint8 [N, 3, H, W] as the network takes them: float32 [N, 3, 299, 299], (grey level - 128) / 128."""
    x = (pictures.permute(0, 2, 3, 1).contiguous().float() - 128) / 128
    for axis in (2, 1):  # columns first: of a small picture there are fewer rows then
        length = x.shape[axis]
        position = torch.arange(SIZE, dtype=torch.float32, device=x.device) * (length / SIZE)
        low = position.long()
        share = (position - low).view(-1, *[1] * (3 - axis))
        x = torch.lerp(x.index_select(axis, low), x.index_select(axis, (low + 1).clamp_max(length - 1)), share)
    return x.permute(0, 3, 1, 2)


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Softmax in float64 of logits [N, K], as `InceptionSums.from_probabilities` takes them."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    shares: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return shares


def _checked_digest(data: bytes | None, place: str, sha256: str) -> str:
    of_published = f"; published are {FILE_NAME}, {NUM_BYTES:,} bytes, sha256 {SHA256}" if sha256 == SHA256 else ""
    if data is None:
        raise BadInput(f"{place} does not exist; expected are weights of Inception with sha256 {sha256}{of_published}")
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise BadInput(f"{place}: {len(data):,} bytes with sha256 {digest}, expected is {sha256}{of_published}")
    return digest


def _tensors(data: bytes, place: str) -> Mapping[str, torch.Tensor]:
    try:
        held = load(data) if place.endswith(".safetensors") else torch.load(io.BytesIO(data), weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, EOFError, IndexError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{place}: {len(data):,} bytes are no tensors that can be loaded ({reason})") from error
    if not isinstance(held, Mapping) or not all(isinstance(value, torch.Tensor) for value in held.values()):
        raise BadInput(f"{place} holds no dict of tensors, as weights are")
    return held
