"""Samples of a task as plain values: one class per output modality, found by `Task.output_modality`.

This module is for registered models, which are shipped with ganrnn alone; `pipelines.sampling.outputs` has a class per
modality for files and workers.
"""

from collections.abc import Sequence
from typing import Any

import torch

from ganrnn.data.images import encode_png
from ganrnn.errors import BadInput


class PlainOutput:
    """An output modality.

    column:           name of the samples' column in tables
    signature_type:   type of that column in the signature of a registered model
    reads_decoding:   whether `Task.sample` takes the column `decoding`
    is_exact:         whether samples are equal, bit for bit, in micro-batches of any shape
    """

    column: str
    signature_type: str
    reads_decoding = False
    is_exact = False

    def plain(self, outputs: Any) -> list[Any]:
        """The outputs of `Task.sample` as values of a data frame. Raises BadInput for a sample with a problem."""
        raise NotImplementedError


class PlainImages(PlainOutput):
    """Images, as PNG bytes."""

    column, signature_type = "image", "binary"

    def plain(self, outputs: torch.Tensor) -> list[bytes]:
        """From uint8 [N, 3, H, W]."""
        return [encode_png(image) for image in outputs.permute(0, 2, 3, 1).cpu().numpy()]


class PlainTexts(PlainOutput):
    """Texts."""

    column, signature_type = "text", "string"
    reads_decoding = is_exact = True

    def plain(self, outputs: Sequence[Any]) -> list[str]:
        """From N `GeneratedText`."""
        for text in outputs:
            if text.problem:
                raise BadInput(text.problem)
        return [text.text for text in outputs]


class PlainScores(PlainOutput):
    """Scores of statements about images."""

    column, signature_type = "match_score", "float"

    def plain(self, outputs: torch.Tensor) -> list[float]:
        """From float32 [N]."""
        scores: list[float] = outputs.tolist()
        return scores


_BY_MODALITY: dict[str, type[PlainOutput]] = {"images": PlainImages, "texts": PlainTexts, "scores": PlainScores}


def plain_output(task: Any) -> PlainOutput:
    """The output modality of a task or of its class."""
    return _BY_MODALITY[task.output_modality]()
