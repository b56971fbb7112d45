"""One prompt to one picture, by any model that gives images for a text."""

import re
from pathlib import Path
from typing import Any

from ganrnn.data import images
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.sampling import SamplingConfig
from pipelines.config.tracking import TrackingConfig
from pipelines.config.uri_fields import absolute_model
from pipelines.sampling import model_files
from pipelines.sampling.sampler import ModelSampler

ZOOM = 8
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}  # by ending, in names of Pillow


def paint(prompt: str, model_uri: str, tracking_uri: str, seed: int, out: str | None, source: str | None = None) -> str:
    """Paint a prompt, over the image `source` where the model edits images; returns the path of the picture.

    It is `out`, in the format of its ending, or a PNG in the working folder that is named after the prompt. Raises
    BadInput for another ending, and where the model reads or gives something else.
    """
    if not prompt.strip():
        raise BadInput("the prompt is empty; say what to paint")
    path = out or (re.sub(r"\W+", "-", prompt.strip())[:60].strip("-") or "picture") + ".png"
    image_format = _FORMATS.get(Path(path).suffix.lower())
    if image_format is None:
        raise BadInput(f"--out is {path}; allowed are file names that end in {', '.join(_FORMATS)}")
    target = storage.absolute(path, "--out")
    tracking = TrackingConfig(tracking_uri=storage.absolute_database(tracking_uri, "--tracking-uri"))
    uri = absolute_model(model_uri, "--model")
    sampler = ModelSampler(model_files.fetch_files(uri, tracking), SamplingConfig(micro_batch_size=8))
    rows = _prompt_rows(sampler, model_uri, prompt, source)
    if num_unknown := sampler.task.count_unknown(rows)[0]:
        words = "word of the prompt is" if num_unknown == 1 else "words of the prompt are"
        print(f"{num_unknown} {words} unknown to this model")
    pictures, failed = sampler.sample(rows, [(seed, prompt)])
    if failed:
        raise BadInput(f"the prompt cannot be painted: {failed[0]}")
    enlarged = pictures[0].repeat(ZOOM, 0).repeat(ZOOM, 1)
    storage.commit_bytes(target, images.encode(enlarged, image_format))
    return path


def _prompt_rows(sampler: ModelSampler, model_uri: str, prompt: str, source: str | None) -> dict[str, list[Any]]:
    """The columns that the model reads, for one prompt."""
    if sampler.task.output_modality != "images":
        raise BadInput(f"{model_uri} gives {sampler.task.output_modality} and no pictures; use ganrnn generate")
    rows: dict[str, list[Any]] = {"prompt": [prompt]}
    columns = set(sampler.task.prompt_columns) - {"source_image"}
    if columns != {"prompt"}:
        raise BadInput(f"{model_uri} paints by {' and '.join(sorted(columns)) or 'noise alone'}, not by text")
    if "source_image" in sampler.task.prompt_columns:
        if source is None:
            raise BadInput(f"{model_uri} paints over a picture; give one with --source")
        rows["source_image"] = [{"bytes": storage.read_bytes(storage.absolute(source, "--source"), "check --source")}]
    elif source is not None:
        raise BadInput(f"{model_uri} paints from the prompt alone and reads no picture; leave out --source {source}")
    return rows
