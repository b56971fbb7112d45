"""One prompt to one PNG, by the model of the demo or any other.

ganrnn paint "a large blue triangle at the left on a black background"
ganrnn paint "左边有一个大的蓝色三角形" --model models:/scenes@champion --seed 7
ganrnn paint "make it red" --model runs/scene_edits/checkpoints --source before.png
"""

import argparse
import re
from typing import Any

from ganrnn.data import images
from ganrnn.errors import BadInput
from jobs import cli
from pipelines import storage
from pipelines.config import SamplingConfig, TrackingConfig
from pipelines.sampling import model_files
from pipelines.sampling.sampler import ModelSampler

ZOOM = 8


def paint(prompt: str, model_uri: str, tracking_uri: str, seed: int, out: str | None, source: str | None = None) -> str:
    """Paint a prompt, over the picture `source` where the model does that; returns the path of the PNG.

    It is written in the working folder, or to `out`. Raises BadInput where the model reads something else.
    """
    if not prompt.strip():
        raise BadInput("the prompt is empty; say what to paint")
    tracking = TrackingConfig(tracking_uri=storage.absolute(tracking_uri))
    uri = model_uri if model_uri.startswith("models:") else storage.absolute(model_uri)
    sampler = ModelSampler(model_files.fetch_files(uri, tracking), SamplingConfig(micro_batch_size=8))
    if sampler.task.output_modality != "images":
        raise BadInput(
            f"{model_uri} gives {sampler.task.output_modality} and no pictures; ganrnn generate has it at work"
        )
    rows: dict[str, list[Any]] = {"prompt": [prompt]}
    columns = set(sampler.task.prompt_columns) - {"source_image"}
    if columns != {"prompt"}:
        raise BadInput(f"{model_uri} paints by {' and '.join(sorted(columns)) or 'noise alone'}, not by text")
    if "source_image" in sampler.task.prompt_columns:
        if source is None:
            raise BadInput(f"{model_uri} paints over a picture; give one with --source")
        rows["source_image"] = [{"bytes": storage.read_bytes(storage.absolute(source))}]
    if num_unknown := sampler.task.count_unknown(rows)[0]:
        print(f"{num_unknown} words of the prompt are unknown to this model")
    pictures, failed = sampler.sample(rows, [(seed, prompt)])
    if failed:
        raise BadInput(f"the prompt cannot be painted: {failed[0]}")
    picture = pictures[0]
    path = out or (re.sub(r"\W+", "-", prompt.strip())[:60].strip("-") or "picture") + ".png"
    storage.commit_bytes(storage.absolute(path), images.encode_png(picture.repeat(ZOOM, 0).repeat(ZOOM, 1)))
    return path


def main() -> None:
    """Entry point of `ganrnn paint`."""
    parser = argparse.ArgumentParser(prog="ganrnn paint", description=cli.VERBS["paint"])
    parser.add_argument("prompt")
    parser.add_argument("--model", default="runs/demo/checkpoints", help="checkpoint folder or models:/NAME@ALIAS")
    parser.add_argument("--tracking-uri", default=TrackingConfig().tracking_uri)
    parser.add_argument("--seed", type=int, default=0, help="another seed, another picture")
    parser.add_argument("--out", help="where to write the PNG")
    parser.add_argument("--source", help="the picture to change, for models of image_to_image")
    given = parser.parse_args()
    where = (given.model, given.tracking_uri, given.seed, given.out, given.source)
    cli.finish(lambda: print(paint(given.prompt, *where)))


if __name__ == "__main__":
    main()
