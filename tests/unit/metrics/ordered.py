"""Partials by name, brought to `OrderedMerge` in the order in which a mapping has them, to be merged by name."""

from collections.abc import Mapping
from typing import TypeVar

from ganrnn.metrics.statistics.mergeable import Mergeable, OrderedMerge

Partial = TypeVar("Partial", bound=Mergeable)


def merge_in_order(partials: Mapping[str, Partial]) -> Partial:
    """What the partials come to."""
    merge, positions = OrderedMerge[Partial](), {name: position for position, name in enumerate(sorted(partials))}
    for name, partial in partials.items():
        merge.add(positions[name], partial)
    assert merge.is_complete and merge.total is not None
    return merge.total
