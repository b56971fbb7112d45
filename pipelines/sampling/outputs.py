"""What a model makes of prompts, as files and workers handle it: one class an output modality.

    output = output_of(task)
    columns = output.columns(values, sample_ids, num_threads=1)

A further modality is a class here and one in `ganrnn.outputs`, which has what a registered model needs.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ganrnn.data import images
from ganrnn.decoding.rules import Decoding
from ganrnn.errors import BadInput
from ganrnn.outputs import PlainImages, PlainOutput, PlainScores, PlainTexts
from pipelines.config.sampling import SamplingConfig
from pipelines.formats import schemas
from pipelines.sampling.decoding_columns import decodings

PREVIEW_COLUMNS, PREVIEW_ZOOM = 8, 2
_SCORE_DIGITS = 4  # so that rounding elsewhere seldom shows


class Output(PlainOutput):
    """An output modality; `schema` is that of a samples file."""

    schema: pa.Schema

    def values(self, outputs: Any) -> list[Any]:
        """A value for each row of a micro-batch, from what `Task.sample` returns."""
        raise NotImplementedError

    def columns(self, values: Sequence[Any], sample_ids: Sequence[str], num_threads: int) -> dict[str, pa.Array]:
        """The columns of a samples file that hold the values."""
        raise NotImplementedError

    def preview(self, outputs: Any, rows: Mapping[str, Sequence[Any]]) -> tuple[str, bytes]:
        """What `Task.sample` returns for prompts as a file to look at: its suffix and content."""
        raise NotImplementedError

    def problems(self, values: Sequence[Any]) -> dict[int, str]:
        """Row -> reason, for rows whose value says that it could not be sampled."""
        return {}

    def decoding(self, sampling: SamplingConfig) -> Decoding | None:
        """How rows are decoded that do not say it themselves; None where nothing is decoded."""
        return None

    def require_truncation(self, task_config: Any, sampling: SamplingConfig) -> None:
        """BadInput where the noise of a model is to be truncated to which that means nothing."""
        if sampling.truncation != 1:
            raise BadInput(
                f"generate.sampling.truncation is {sampling.truncation}, which shortens the noise of images, and "
                f"{task_config.name} gives none; leave it out"
            )

    def rejects(self, table: pa.Table, sampling: SamplingConfig) -> dict[str, str]:
        """The ids of prompts that ask for what cannot be -> reason."""
        return {}

    def settings(self, table: pa.Table, sample_ids: Sequence[str], sampling: SamplingConfig) -> dict[str, list[Any]]:
        """Columns for `Task.sample` besides those that the model reads; `table` has a row for each sample."""
        return {}

    def num_rounded(self, stored: pa.Table, again: pa.Table) -> int | None:
        """How many rows of two samplings differ by rounding alone; None where they differ by more."""
        return 0 if stored.equals(again) else None


class ImageOutput(PlainImages, Output):
    """Images: uint8 [H, W, 3] in memory, PNG in files."""

    schema = schemas.SAMPLES

    def values(self, outputs: torch.Tensor) -> list[np.ndarray]:
        """From uint8 [N, 3, H, W]."""
        return list(outputs.permute(0, 2, 3, 1).numpy())

    def columns(self, values: Sequence[Any], sample_ids: Sequence[str], num_threads: int) -> dict[str, pa.Array]:
        """Encoded by `num_threads` threads."""
        with ThreadPoolExecutor(num_threads) as threads:
            pngs = list(threads.map(images.encode_png, values))
        encoded = [{"bytes": png, "path": f"{i}.png"} for png, i in zip(pngs, sample_ids, strict=True)]
        return {self.column: pa.array(encoded, schemas.IMAGE)}

    def preview(self, outputs: torch.Tensor, rows: Mapping[str, Sequence[Any]]) -> tuple[str, bytes]:
        """A contact sheet."""
        return "png", images.encode_png(images.grid(outputs, PREVIEW_COLUMNS, PREVIEW_ZOOM))

    def require_truncation(self, task_config: Any, sampling: SamplingConfig) -> None:
        """Of images it means something, unless the model takes the noise at one length."""
        if sampling.truncation != 1 and not task_config.is_truncatable:
            raise BadInput(
                f"generate.sampling.truncation is {sampling.truncation}, and this model has no condition and scales "
                "its noise to one length, so that shorter noise gives the same images; leave it out"
            )

    def settings(self, table: pa.Table, sample_ids: Sequence[str], sampling: SamplingConfig) -> dict[str, list[Any]]:
        """By what the noise of each row is multiplied."""
        return {} if sampling.truncation == 1 else {"truncation": [sampling.truncation] * len(sample_ids)}

    def num_rounded(self, stored: pa.Table, again: pa.Table) -> int | None:
        """Another kind of CPU or GPU rounds in another way, which is one grey level at most."""
        if stored.equals(again):
            return 0
        if not stored.drop_columns([self.column]).equals(again.drop_columns([self.column])):
            return None
        pairs = zip(stored.column(self.column).to_pylist(), again.column(self.column).to_pylist(), strict=True)
        different = [(a["bytes"], b["bytes"]) for a, b in pairs if a != b]
        is_rounded = all(np.abs(_pixels(a) - _pixels(b)).max() <= 1 for a, b in different)
        return len(different) if is_rounded else None


class TextOutput(PlainTexts, Output):
    """Texts, with how likely they are and why they end."""

    schema = schemas.TEXT_SAMPLES

    def values(self, outputs: Sequence[Any]) -> list[Any]:
        """N `GeneratedText` as they are."""
        return list(outputs)

    def columns(self, values: Sequence[Any], sample_ids: Sequence[str], num_threads: int) -> dict[str, pa.Array]:
        """Text, length, likelihood, what a form cost, why it ends."""
        return {
            self.column: pa.array([text.text for text in values], pa.string()),
            "num_tokens": pa.array([len(text.tokens) for text in values], pa.int32()),
            "log_probability": pa.array([text.log_probability for text in values], pa.float64()),
            "constraint_cost": pa.array([text.constraint_cost for text in values], pa.float64()),
            "finish": pa.array([text.finish for text in values], pa.string()),
        }

    def preview(self, outputs: Sequence[Any], rows: Mapping[str, Sequence[Any]]) -> tuple[str, bytes]:
        """The texts, with an empty line between two."""
        return "txt", "\n\n".join(text.text for text in outputs).encode()

    def problems(self, values: Sequence[Any]) -> dict[int, str]:
        """Texts that no rules of decoding allow to end."""
        return {row: text.problem for row, text in enumerate(values) if text and text.problem}

    def decoding(self, sampling: SamplingConfig) -> Decoding | None:
        """That of the recipe."""
        return sampling.decoding

    def rejects(self, table: pa.Table, sampling: SamplingConfig) -> dict[str, str]:
        """Prompts whose columns of decoding hold values that are not allowed."""
        return decodings(table, sampling.decoding)[1]

    def settings(self, table: pa.Table, sample_ids: Sequence[str], sampling: SamplingConfig) -> dict[str, list[Any]]:
        """How each row is decoded."""
        numbers = [int(sample_id.rsplit("/", 1)[1]) for sample_id in sample_ids]
        return {"decoding": list(decodings(table, sampling.decoding, numbers)[0])}


class ScoreOutput(PlainScores, Output):
    """Scores of a judge."""

    schema = schemas.SCORES

    def values(self, outputs: torch.Tensor) -> list[float]:
        """From float32 [N]."""
        return [round(score, _SCORE_DIGITS) for score in outputs.tolist()]

    def columns(self, values: Sequence[Any], sample_ids: Sequence[str], num_threads: int) -> dict[str, pa.Array]:
        """One column."""
        return {self.column: pa.array(values, pa.float32())}

    def preview(self, outputs: torch.Tensor, rows: Mapping[str, Sequence[Any]]) -> tuple[str, bytes]:
        """The scores, each with the statement that it is of."""
        pairs = zip(outputs.tolist(), rows["prompt"], strict=True)
        return "txt", "\n\n".join(f"{score:.3f}  {text}" for score, text in pairs).encode()


_BY_MODALITY: dict[str, type[Output]] = {"images": ImageOutput, "texts": TextOutput, "scores": ScoreOutput}


def output_of(task: Any) -> Output:
    """The output modality of a task or of its class."""
    return _BY_MODALITY[task.output_modality]()


def _pixels(png: bytes) -> np.ndarray:
    return np.asarray(images.decode(png), dtype=np.int16)
