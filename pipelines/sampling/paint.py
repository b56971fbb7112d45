"""Prompts to one picture or one animation, by any model that gives images.

A picture has a row for each prompt and a column for each noise, which all prompts of a column share. An animation goes
from prompts to another prompt, from noises to others, or both at once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganrnn.data import images
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.sampling import SamplingConfig
from pipelines.config.tracking import TrackingConfig
from pipelines.config.uri_fields import absolute_model
from pipelines.sampling import model_files
from pipelines.sampling.painted_prompts import read_prompts
from pipelines.sampling.sampler import ModelSampler

ZOOM, ZOOM_OF_GRID = 8, 4
FRAMES = 24  # of an animation, by default
_PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}  # by ending, in names of Pillow
_ANIMATIONS = {".webp": "WEBP", ".gif": "GIF"}


@dataclass(frozen=True)
class Painting:
    """What is to be painted.

    prompts:     texts, class labels or attributes NAME=VALUE,...: a row each; none for all classes, or by noise alone
    seeds:       of the noise: a column each, or the first of `num_columns` in a row
    source:      path of the picture to edit, for models that edit
    to:          the prompt at the end of an animation
    to_seed:     the seed at its end in the first column; the others follow it
    out:         path of the file; by default in the working folder, named after the first prompt
    """

    prompts: Sequence[str]
    seeds: Sequence[int] = (0,)
    num_columns: int | None = None
    source: str | None = None
    to: str | None = None
    to_seed: int | None = None
    num_frames: int | None = None
    out: str | None = None

    def __post_init__(self) -> None:
        if any(not prompt.strip() for prompt in (*self.prompts, *([] if self.to is None else [self.to]))):
            raise BadInput("the prompt is empty; say what to paint")
        if self.num_columns is not None and len(self.seeds) > 1:
            raise BadInput(f"--columns is {self.num_columns} and --seed given {len(self.seeds)} times; use one of them")
        if self.num_columns is not None and self.num_columns < 1:
            raise BadInput(f"--columns is {self.num_columns}; allowed are values from 1 up")
        if self.num_frames is not None and not self.is_animation:
            raise BadInput(f"--frames is {self.num_frames}, of an animation; say where it ends, by --to or --to-seed")
        if self.num_frames is not None and self.num_frames < 2:
            raise BadInput(f"--frames is {self.num_frames}; allowed are values from 2 up")
        if Path(self.path).suffix.lower() not in self._formats:
            kinds = "an animation has" if self.is_animation else "allowed are"
            raise BadInput(f"--out is {self.path}; {kinds} file names that end in {', '.join(self._formats)}")

    @property
    def is_animation(self) -> bool:
        """Whether it has frames."""
        return self.to is not None or self.to_seed is not None

    @property
    def path(self) -> str:
        """Of the file."""
        first = re.sub(r"\W+", "-", self.prompts[0].strip())[:60].strip("-") if self.prompts else ""
        return self.out or (first or "picture") + next(iter(self._formats))

    @property
    def image_format(self) -> str:
        """Of the file, in names of Pillow."""
        return self._formats[Path(self.path).suffix.lower()]

    @property
    def column_seeds(self) -> list[int]:
        """A seed for each column."""
        return [self.seeds[0] + column for column in range(self.num_columns)] if self.num_columns else list(self.seeds)

    @property
    def end_seeds(self) -> list[int]:
        """The seed of each column at the end of an animation."""
        seeds = self.column_seeds
        return seeds if self.to_seed is None else [self.to_seed + column for column in range(len(seeds))]

    @property
    def _formats(self) -> dict[str, str]:
        return _ANIMATIONS if self.is_animation else _PICTURES


def paint(painting: Painting, model_uri: str, tracking_uri: str) -> str:
    """Write a picture or an animation, and return its path. Raises BadInput for what the model cannot do."""
    target = storage.absolute(painting.path, "--out")
    tracking = TrackingConfig(tracking_uri=storage.absolute_database(tracking_uri, "--tracking-uri"))
    files = model_files.fetch_files(absolute_model(model_uri, "--model"), tracking)
    sampler = ModelSampler(files, SamplingConfig(micro_batch_size=8))
    prompts = read_prompts(sampler.task, model_uri, painting.prompts, painting.source)
    ends = _ends(sampler.task, model_uri, painting) if painting.to is not None else None
    if num_unknown := sum(sum(sampler.task.count_unknown(rows)) for rows in (prompts, ends) if rows):
        words = "word of the prompt is" if num_unknown == 1 else "words of the prompt are"
        print(f"{num_unknown} {words} unknown to this model")
    seeds, num_rows = painting.column_seeds, len(prompts["prompt_id"])
    rows = {name: [value for value in column for _ in seeds] for name, column in prompts.items()}
    # The noise of a picture depends on its seed and its prompt; here all prompts of a column share that of the first.
    keys = [(seed, prompts["prompt_id"][0]) for seed in seeds] * num_rows
    zoom = ZOOM if len(keys) == 1 else ZOOM_OF_GRID
    if painting.is_animation:
        to_rows = {name: column * len(keys) for name, column in ends.items()} if ends else rows
        to_keys = [(seed, prompts["prompt_id"][0]) for seed in painting.end_seeds] * num_rows
        last = (painting.num_frames or FRAMES) - 1
        frames = [sampler.sample_between(rows, keys, to_rows, to_keys, number / last) for number in range(last + 1)]
        data = images.encode_animation([_grid(frame, len(seeds), zoom) for frame in frames], painting.image_format)
    else:
        pictures, failed = sampler.sample(rows, keys)
        if failed:
            raise BadInput(f"the prompt cannot be painted: {failed[min(failed)]}")
        data = images.encode(_grid(pictures, len(seeds), zoom), painting.image_format)
    storage.commit_bytes(target, data)
    return painting.path


def _ends(task: Any, model_uri: str, painting: Painting) -> dict[str, list[Any]]:
    """The one row at which an animation ends."""
    if getattr(task.config, "word_attention", False):
        raise BadInput(f"{model_uri} attends to the words of its prompt, and no words lie between two; leave out --to")
    if not set(task.prompt_columns) - {"source_image"}:
        raise BadInput(f"{model_uri} paints by noise alone; use --to-seed instead of --to {painting.to}")
    return read_prompts(task, model_uri, [painting.to or ""], painting.source)


def _grid(pictures: Sequence[np.ndarray], num_columns: int, zoom: int) -> np.ndarray:
    """Pictures uint8 [H, W, 3] as one, a row of `num_columns` after another."""
    return images.grid(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2), num_columns, zoom)
