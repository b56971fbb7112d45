"""One class an output modality: what it makes of a micro-batch, of a file, and of two samplings of the same prompts."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

import numpy as np
import pyarrow as pa
import pytest
import torch

from ganrnn.data import images
from ganrnn.decoding.decode import GeneratedText
from ganrnn.errors import BadInput
from ganrnn.outputs import plain_output
from ganrnn.task import Task, task_class
from pipelines.config.sampling import SamplingConfig
from pipelines.formats import schemas
from pipelines.sampling.outputs import output_of

MODALITIES = get_args(get_type_hints(Task)["output_modality"])
TASKS = [path.stem for path in (Path(__file__).parents[3] / "ganrnn/tasks").glob("[!_]*.py")]
BATCHES: dict[str, Any] = {
    "images": torch.arange(2 * 3 * 2 * 2, dtype=torch.uint8).reshape(2, 3, 2, 2),
    "texts": [GeneratedText("one", (4, 5), -1.5, 0.25, "end"), GeneratedText("two", (6,), -0.5, 0.0, "length")],
    "scores": torch.tensor([0.123456, 0.5]),
}


def of(modality: str) -> Any:
    """The output of a task that has nothing but a modality."""
    return output_of(SimpleNamespace(output_modality=modality))


def table(modality: str, batch: Any) -> pa.Table:
    """A batch as the columns of a samples file."""
    output = of(modality)
    return pa.table(output.columns(output.values(batch), ["a/0", "b/0"], num_threads=2))


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_an_output(name: str) -> None:
    output = output_of(task_class(name))
    assert output.column in output.schema.names
    assert output.column == plain_output(task_class(name)).column


@pytest.mark.parametrize("modality", MODALITIES)
def test_values_fill_the_columns_of_a_samples_file(modality: str) -> None:
    columns, schema = table(modality, BATCHES[modality]), of(modality).schema
    shared = {field.name for field in (*schemas.SAMPLES, *schemas.SCORES)} - {"image", "match_score"}
    assert set(columns.column_names) == set(schema.names) - shared
    assert all(columns.schema.field(name).type == schema.field(name).type for name in columns.column_names)


def test_plain_values_are_what_a_data_frame_holds() -> None:
    pngs = of("images").plain(BATCHES["images"])
    first = np.array([[[0, 4, 8], [1, 5, 9]], [[2, 6, 10], [3, 7, 11]]], np.uint8)
    assert pngs[0] == images.encode_png(first) and table("images", BATCHES["images"])["image"][0].as_py() == {
        "bytes": pngs[0],
        "path": "a/0.png",
    }
    assert of("texts").plain(BATCHES["texts"]) == ["one", "two"]
    assert of("scores").plain(torch.tensor([0.5, 0.25])) == [0.5, 0.25]
    assert of("scores").values(BATCHES["scores"]) == [0.1235, 0.5]


def test_a_text_that_cannot_be_written_is_a_problem_of_its_row() -> None:
    texts = [BATCHES["texts"][0], None, GeneratedText.failed("no form")]
    assert of("texts").problems(texts) == {2: "no form"} and of("images").problems([None]) == {}
    with pytest.raises(BadInput, match="no form"):
        of("texts").plain(texts[:1] + texts[2:])


def test_only_texts_are_decoded() -> None:
    sampling = SamplingConfig()
    rows = pa.table({"prompt_id": ["a", "b"], "temperature": [0.5, -1.0]})
    assert of("texts").decoding(sampling) == sampling.decoding and list(of("texts").rejects(rows, sampling)) == ["b"]
    decodings = of("texts").settings(rows, ["a/0", "b/0"], sampling)["decoding"]
    assert [each.temperature for each in decodings] == [0.5, 1.0]
    for modality in ("images", "scores"):
        assert of(modality).decoding(sampling) is None
        assert of(modality).rejects(rows, sampling) == of(modality).settings(rows, ["a/0", "b/0"], sampling) == {}


def test_images_alone_may_differ_by_rounding() -> None:
    again, far = BATCHES["images"].clone(), BATCHES["images"].clone()
    again[1, 0, 0, 0] += 1
    far[1, 0, 0, 0] += 2
    stored = table("images", BATCHES["images"])
    rounded = [of("images").num_rounded(stored, table("images", batch)) for batch in (BATCHES["images"], again, far)]
    assert rounded == [0, 1, None]
    assert (
        of("images").num_rounded(
            stored.append_column("prompt", [["x", "y"]]), stored.append_column("prompt", [["x", "z"]])
        )
        is None
    )
    scores = table("scores", BATCHES["scores"])
    assert of("scores").num_rounded(scores, scores) == 0
    assert of("scores").num_rounded(scores, table("scores", torch.tensor([0.1236, 0.5]))) is None


def test_previews() -> None:
    rows = {"prompt": ["x", "y"]}
    assert of("texts").preview(BATCHES["texts"], rows) == ("txt", b"one\n\ntwo")
    assert of("scores").preview(BATCHES["scores"], rows) == ("txt", b"0.123  x\n\n0.500  y")
    suffix, sheet = of("images").preview(BATCHES["images"], rows)
    assert suffix == "png" and images.to_tensor([sheet]).shape == (1, 3, 4, 32)
