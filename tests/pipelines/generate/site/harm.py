"""Prompts that do harm to a model: KILL ends its process, RAISE makes it fail, GREEDY takes memory.

No import of this project: sitecustomize.py loads it as every Python starts.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def harmed(sample: Callable[..., Any], die: Callable[[], object]) -> Callable[..., Any]:
    """`ModelSampler._micro_batch`, harmed by words in prompts; `die` is called at KILL."""

    def harmed_sample(self: Any, rows: Mapping[str, Sequence[Any]], keys: Sequence[tuple[int, str]]) -> Any:
        texts = rows.get("prompt", [])
        if any("KILL" in text for text in texts):
            die()
        if any("RAISE" in text for text in texts):
            raise ValueError("no such\nword")
        if any("GREEDY" in text for text in texts) and self.micro_batch_size > 16:
            raise MemoryError
        return sample(self, rows, keys)

    return harmed_sample
