"""Features and logits of pictures by the published Inception weights: `InceptionExtractor(bytes, name of the file)`.

FID (Heusel et al. 2017), KID and Inception Score are defined with these weights, the graph of 5 December 2015, in the
form that torch-fidelity and pytorch-fid publish. Pictures are resized as in that graph, by the bilinear rule of
TensorFlow 1: output pixel i samples position i * height / 299, without a half-pixel shift and without antialiasing.
Other resizers change FID by several points (Parmar et al. 2022, "On Aliased Resizing and Surprising Subtleties in GAN
Evaluation").
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
# Large enough for efficient convolutions, which repack their weights for each micro-batch; a larger one would have
# activations that malloc does not reuse.
MICRO_BATCH_SIZE = 16


class InceptionExtractor:
    """Computes features of pictures; a row does not depend on the other pictures, apart from the last bits."""

    def __init__(self, data: bytes | None, source: str, sha256: str = SHA256) -> None:
        """Load weights that were read from the file `source`.

        data:    content of the file, None if it does not exist: safetensors if `source` ends so, else a dict of tensors
                 as torch.save writes it
        source:  names the file in errors
        sha256:  required digest of `data`; another than the published one stands for other weights

        Raises BadInput, which names file, size and digest, if the file does not exist or has other content.
        """
        self.digest = _checked_digest(data, source, sha256)
        weights = _tensors(data or b"", source)
        expected = shapes()
        unfit = [key for key, shape in expected.items() if key not in weights or tuple(weights[key].shape) != shape]
        if unfit:
            key = unfit[0]
            actual = f"of shape {list(weights[key].shape)}" if key in weights else "absent"
            raise BadInput(
                f"{source}: {len(unfit)} of {len(expected)} tensors of Inception are absent or of another shape; "
                f"{key} is {actual}, expected is {list(expected[key])}"
            )
        self.network = Inception(weights)

    def __call__(self, pictures: torch.Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features [N, 2048] and logits without bias [N, 1008] of pictures uint8 [N, 3, H, W] of any size.

        FID, KID and metrics of neighbours use the features; Inception Score uses `probabilities` of the logits.
        """
        assert pictures.dtype == torch.uint8 and pictures.ndim == 4 and pictures.shape[1] == 3, pictures.shape
        features, logits = [np.empty((0, 2048), np.float32)], [np.empty((0, 1008), np.float32)]
        for start in range(0, len(pictures), MICRO_BATCH_SIZE):
            micro_batch = pictures[start : start + MICRO_BATCH_SIZE]
            # The last micro-batch is padded, so that every picture goes through convolutions of the same shape.
            padded = torch.cat(
                (micro_batch, micro_batch.new_zeros((MICRO_BATCH_SIZE - len(micro_batch), *micro_batch.shape[1:])))
            )
            outputs = self.network(resized(padded))
            for blocks, output in zip((features, logits), outputs, strict=True):
                blocks.append(output[: len(micro_batch)].cpu().numpy())
        return np.concatenate(features), np.concatenate(logits)


def resized(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures uint8 [N, 3, H, W] to the network's input: float32 [N, 3, 299, 299], (grey level - 128) / 128."""
    x = (pictures.permute(0, 2, 3, 1).contiguous().float() - 128) / 128
    for axis in (2, 1):  # columns first: a small picture has fewer rows at that point
        length = x.shape[axis]
        position = torch.arange(SIZE, dtype=torch.float32, device=x.device) * (length / SIZE)
        low = position.long()
        share = (position - low).view(-1, *[1] * (3 - axis))
        x = torch.lerp(x.index_select(axis, low), x.index_select(axis, (low + 1).clamp_max(length - 1)), share)
    return x.permute(0, 3, 1, 2)


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Softmax in float64 of logits [N, K], for `InceptionSums.from_probabilities`."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    normalised: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return normalised


def _checked_digest(data: bytes | None, source: str, sha256: str) -> str:
    of_published = f"; published are {FILE_NAME}, {NUM_BYTES:,} bytes, sha256 {SHA256}" if sha256 == SHA256 else ""
    if data is None:
        raise BadInput(f"{source} does not exist; expected are weights of Inception with sha256 {sha256}{of_published}")
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise BadInput(f"{source}: {len(data):,} bytes with sha256 {digest}, expected is {sha256}{of_published}")
    return digest


def _tensors(data: bytes, source: str) -> Mapping[str, torch.Tensor]:
    try:
        tensors = load(data) if source.endswith(".safetensors") else torch.load(io.BytesIO(data), weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, EOFError, IndexError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{source}: {len(data):,} bytes are no tensors that can be loaded ({reason})") from error
    if not isinstance(tensors, Mapping) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise BadInput(f"{source} holds no dict of tensors, as weights are")
    return tensors
