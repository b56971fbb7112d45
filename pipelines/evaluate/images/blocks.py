"""Blocks of images: what one call of a worker scores, and the rows of a block in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import torch

from ganrnn.data import images as pictures
from ganrnn.errors import BadInput
from ganrnn.text.captions import caption_of
from pipelines import storage
from pipelines.evaluate.images.meaning import meanings
from pipelines.formats import prompts

Condition = Literal["text", "attributes", "label", "none"]


@dataclass(frozen=True)
class Block:
    """What one call scores. `set_name` says to which set it belongs: reference, real, training or samples."""

    set_name: str
    index: int
    num_rows: int
    uri: str = ""
    row_group: int = 0
    shard: prompts.Shard | None = None


def blocks_of_files(set_name: str, uris: Sequence[str]) -> list[Block]:
    """A block for each row group."""
    groups = [(uri, group, num_rows) for uri in uris for group, num_rows in enumerate(storage.RowGroups(uri).sizes)]
    return [Block(set_name, index, rows, uri, group) for index, (uri, group, rows) in enumerate(groups)]


@dataclass(frozen=True)
class BlockRows:
    """The rows of a block: images and, for image_to_image, their sources uint8 [N, 3, H, W]; pngs as encoded.

    A row without a group has an empty one; so has one of which nothing says what it is asked to be, its condition.
    """

    ids: list[str]
    texts: list[str]
    attributes: list[dict[str, str]]
    groups: list[str]
    conditions: list[str]
    images: torch.Tensor
    pngs: list[bytes]
    sources: torch.Tensor | None


def decode_images(uri: str, ids: Sequence[str], pngs: Sequence[bytes]) -> torch.Tensor:
    """Pictures uint8 [N, 3, H, W]; BadInput that names the first one that is none, or of another size."""
    images = []
    for name, png in zip(ids, pngs, strict=True):
        try:
            images.append(pictures.to_tensor([png])[0])
        except BadInput as error:
            raise BadInput(f"picture {name!r} of {uri} cannot be read: {error}") from error
        if images[-1].shape != images[0].shape:
            sizes = [f"{image.shape[1]} x {image.shape[2]}" for image in (images[-1], images[0])]
            raise BadInput(f"picture {name!r} of {uri} has {sizes[0]} pixels, others {sizes[1]}; one size is needed")
    return torch.stack(images) if images else torch.empty(0)


def source_images(table: pa.Table, images: torch.Tensor) -> torch.Tensor | None:
    """The source images, scaled to the size of the images; None unless every row has one."""
    if "source_image" not in table.column_names or table.column("source_image").null_count or not len(images):
        return None
    encoded = [image["bytes"] for image in table.column("source_image").to_pylist()]
    height, width = images.shape[2:]
    return pictures.to_scaled_tensor(encoded, (height, width))


def attributes_of(table: pa.Table) -> list[dict[str, str]]:
    if "attributes" not in table.column_names:
        return [{}] * table.num_rows
    return [dict(pairs or []) for pairs in table.column("attributes").to_pylist()]


def captions_of(texts: list[str | None], attributes: list[dict[str, str]], table: pa.Table) -> list[str]:
    """The text of each row; without one, as in a data set, its attributes or label, or nothing, in words."""
    labels = table.column("label").to_pylist() if "label" in table.column_names else [None] * table.num_rows
    return [
        text or caption_of(pairs) or ("" if label is None else f"label {label}")
        for text, pairs, label in zip(texts, attributes, labels, strict=True)
    ]


def condition_of(task: Any) -> Condition:
    """What a task's images are generated from, by its config: the text unless it has a choice."""
    return getattr(task, "condition", "text")


def conditions_of(
    condition: Condition, by_attributes: bool, texts: list[str], attributes: list[dict[str, str]], table: pa.Table
) -> list[str]:
    """What each picture is asked to be: a label, or the meaning of its text and attributes.

    Empty for pictures made of another one: no second picture is asked for by the same source.
    """
    has_sources = "source_image" in table.column_names and table.column("source_image").null_count < len(texts)
    if condition == "none" or has_sources:
        return [""] * len(texts)
    if condition == "label":
        return groups_of("label", texts, attributes, table)
    return list(map(str, meanings(texts, attributes, by_attributes)))


def groups_of(group_by: str, texts: list[str], attributes: list[dict[str, str]], table: pa.Table) -> list[str]:
    if group_by == "text":
        return texts
    if group_by == "label":
        labels = table.column("label").to_pylist() if "label" in table.column_names else [None] * len(texts)
        return ["" if label is None else str(label) for label in labels]
    return [pairs.get(group_by, "") for pairs in attributes]
