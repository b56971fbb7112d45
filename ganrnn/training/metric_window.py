"""Metrics accumulated over steps on their device, so that no step waits for the GPU."""

from collections.abc import Mapping

import torch


class MetricWindow:
    """Sums and maxima by name; a metric may be missing in some steps. NaN stays NaN in both."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._largest: dict[str, torch.Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, metrics: Mapping[str, torch.Tensor]) -> None:
        """Add the detached scalars of one step."""
        for name, value in metrics.items():
            is_known = name in self._sums
            self._sums[name] = self._sums[name] + value if is_known else value
            self._largest[name] = torch.maximum(self._largest[name], value) if is_known else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> tuple[dict[str, float], dict[str, float]]:
        """Means and maxima by name; empties the window."""
        means = {name: (total / self._counts[name]).item() for name, total in self._sums.items()}
        largest = {name: value.item() for name, value in self._largest.items()}
        self._sums, self._largest, self._counts = {}, {}, {}
        return means, largest
