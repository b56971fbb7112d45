"""Whether an edited picture has the requested changes and no others, compared with its source picture."""

from collections.abc import Mapping, Sequence

import torch

KEPT_LEVELS = 16  # a pixel counts as unchanged up to this difference in grey levels


def edit_counts(
    before: Sequence[Mapping[str, str]], targets: Sequence[Mapping[str, str]], after: Sequence[Mapping[str, str]]
) -> dict[str, list[int]]:
    """Compares the attributes that N pictures show before and after an edit with their targets: name -> [count, N].

    `edit_changed` counts pictures that show every attribute that had to change, `edit_kept` those that show every other
    attribute as before.
    """
    num_changed = num_kept = 0
    for old, target, new in zip(before, targets, after, strict=True):
        is_right = {name: new.get(name) == value for name, value in target.items()}
        num_changed += all(is_right[name] for name, value in target.items() if old.get(name) != value)
        num_kept += all(is_right[name] for name, value in target.items() if old.get(name) == value)
    return {"edit_changed": [num_changed, len(targets)], "edit_kept": [num_kept, len(targets)]}


def kept_pixels(sources: torch.Tensor, images: torch.Tensor) -> list[int]:
    """[Unchanged pixels, all pixels] of pictures uint8 [N, 3, H, W] and their sources of the same shape."""
    assert sources.shape == images.shape, (sources.shape, images.shape)
    difference = (sources.short() - images.short()).abs().amax(1)
    return [int((difference <= KEPT_LEVELS).sum()), difference.numel()]
