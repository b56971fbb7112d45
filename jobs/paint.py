"""One prompt to one PNG, by the model of the demo or any other.

ganrnn paint "a large blue triangle at the left on a black background"
ganrnn paint "左边有一个大的蓝色三角形" --model models:/scenes@champion --seed 7
"""

import argparse
import re

from ganrnn import images
from ganrnn.errors import BadInput
from jobs import cli
from pipelines import model, storage
from pipelines.config import SamplingConfig, TrackingConfig
from pipelines.sampling import ModelSampler

ZOOM = 8


def paint(prompt: str, model_uri: str, tracking_uri: str, seed: int, out: str | None) -> str:
    """Paint a prompt, write a PNG in the working folder or at `out`, and return its path."""
    if not prompt.strip():
        raise BadInput("the prompt is empty; say what to paint")
    tracking = TrackingConfig(tracking_uri=storage.absolute(tracking_uri))
    uri = model_uri if model_uri.startswith("models:") else storage.absolute(model_uri)
    sampler = ModelSampler(model.fetch_files(uri, tracking), SamplingConfig(micro_batch_size=8))
    if tuple(sampler.task.prompt_columns) != ("prompt",):
        raise BadInput(
            f"{model_uri} paints by {' and '.join(sampler.task.prompt_columns) or 'noise alone'}, not by text"
        )
    rows = {"prompt": [prompt]}
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
    given = parser.parse_args()
    cli.finish(lambda: print(paint(given.prompt, given.model, given.tracking_uri, given.seed, given.out)))


if __name__ == "__main__":
    main()
