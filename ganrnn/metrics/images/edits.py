"""Was done what was asked, and nothing else? Pictures made from a source picture, held against it."""

from collections.abc import Mapping, Sequence

import torch

KEPT_LEVELS = 16  # a pixel is kept that is at most so many grey levels off


def edited(
    before: Sequence[Mapping[str, str]], wanted: Sequence[Mapping[str, str]], after: Sequence[Mapping[str, str]]
) -> dict[str, list[int]]:
    """What pictures show before and after, against what was to be shown: name -> [edits, all of them].

    `edit_changed` counts pictures that show all that was to change, `edit_kept` those that show all else as before.
    """
    changed = kept = 0
    for old, asked, new in zip(before, wanted, after, strict=True):
        right = {name: new.get(name) == value for name, value in asked.items()}
        changed += all(right[name] for name, value in asked.items() if old.get(name) != value)
        kept += all(right[name] for name, value in asked.items() if old.get(name) == value)
    return {"edit_changed": [changed, len(wanted)], "edit_kept": [kept, len(wanted)]}


def kept_pixels(sources: torch.Tensor, images: torch.Tensor) -> list[int]:
    """Of uint8 [N, 3, H, W] twice: [pixels that are as before, all pixels]."""
    assert sources.shape == images.shape, (sources.shape, images.shape)
    off = (sources.short() - images.short()).abs().amax(1)
    return [int((off <= KEPT_LEVELS).sum()), off.numel()]
