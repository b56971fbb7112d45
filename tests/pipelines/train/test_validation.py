"""Validation of images: samples of one condition are compared with real ones of it; bad rows are refused by name."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ganrnn.data.images import encode_png
from ganrnn.errors import BadInput
from pipelines.train.validation import ImageQuality


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (encode_png(np.zeros((8, 12, 3), np.uint8)), "an image has 8 x 12 pixels, not 16 x 16"),
        (b"no picture", "not a readable image (none of the formats that are read)"),
    ],
)
def test_the_row_is_named(data: bytes, sentence: str, tmp_path: Path) -> None:
    good = encode_png(np.zeros((16, 16, 3), np.uint8))
    rows = [{"id": f"val-{i}", "text": "a", "image": {"bytes": data if i == 5 else good}} for i in range(20)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "val.parquet")
    task = SimpleNamespace(
        config=SimpleNamespace(height=16, width=16), prompt_columns=["prompt"], input_columns=["text"]
    )
    with pytest.raises(BadInput) as raised:
        ImageQuality([str(tmp_path / "val.parquet")], num_samples=32, seed=0)(task)
    assert str(raised.value) == f"validation row 'val-5': {sentence}; ingest the data set again"


class TwoGreys:
    """A task whose condition is a text; samples are of one grey for each text, or of two by turns."""

    config = SimpleNamespace(height=16, width=16)
    prompt_columns = ("prompt",)
    input_columns = ("text",)

    def __init__(self, reads_noise: bool) -> None:
        self.reads_noise = reads_noise

    def collate(self, rows: dict[str, list[str]]) -> dict[str, torch.Tensor]:
        return {"keys": torch.tensor([int(text) for text in rows["text"]])}

    def sample(self, rows: dict[str, list[str]], keys: list[tuple[int, str]]) -> torch.Tensor:
        greys = [10 * int(text) for text in rows["prompt"]]
        greys = [g + 40 * (i % 2) * self.reads_noise for i, g in enumerate(greys)]
        return torch.tensor(greys, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 16, 16)


class Painted(TwoGreys):
    """A task that paints over a source picture."""

    prompt_columns = ("prompt", "source_image")  # type: ignore[assignment]


def test_samples_of_one_source_are_not_compared_with_pictures_of_its_label(tmp_path: Path) -> None:
    images = [{"bytes": encode_png(np.full((16, 16, 3), 10 * i, np.uint8))} for i in range(20)]
    rows = [{"id": f"val-{i}", "text": "1", "image": image, "source_image": image} for i, image in enumerate(images)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "val.parquet")
    measured = ImageQuality([str(tmp_path / "val.parquet")], num_samples=32, seed=0)(Painted(reads_noise=False))
    assert measured is not None and measured[0].diversity_given_condition is None


@pytest.mark.parametrize(("num_of_each", "reads_noise", "expected"), [(4, False, 0.0), (4, True, 0.9), (1, True, None)])
def test_samples_of_a_condition_are_compared_with_real_images_of_it(
    num_of_each: int, reads_noise: bool, expected: float | None, tmp_path: Path
) -> None:
    """Of four real images of a text 4 of 6 pairs differ, by 40 grey levels; of six samples 9 of 15 pairs do."""
    rows = []
    for i in range(20):
        grey = 10 * (i // num_of_each) + 40 * (i % 2)
        image = encode_png(np.full((16, 16, 3), grey, np.uint8))
        rows.append({"id": f"val-{i}", "text": str(i // num_of_each), "image": {"bytes": image}})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "val.parquet")
    measured = ImageQuality([str(tmp_path / "val.parquet")], num_samples=32, seed=0)(TwoGreys(reads_noise))
    assert measured is not None
    quality, metrics = measured
    assert quality.diversity_given_condition == (None if expected is None else pytest.approx(expected, abs=1e-6))
    assert ("quick_diversity_given_condition" in metrics) == (expected is not None)
