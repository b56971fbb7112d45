"""Validation images that cannot be compared are refused by name, before anything is sampled."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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
    task = SimpleNamespace(config=SimpleNamespace(height=16, width=16), prompt_columns=["prompt"])
    with pytest.raises(BadInput) as raised:
        ImageQuality([str(tmp_path / "val.parquet")], num_samples=32, seed=0)(task)
    assert str(raised.value) == f"validation row 'val-5': {sentence}; ingest the data set again"
