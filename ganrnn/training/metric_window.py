"""Metrics of the steps since one last looked, kept on their device: nothing waits for a GPU until it is asked for."""

from collections.abc import Mapping

import torch


class MetricWindow:
    """Sums and maxima by name; a metric need not come with every step. NaN stays NaN in both."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._largest: dict[str, torch.Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, metrics: Mapping[str, torch.Tensor]) -> None:
        """The detached scalars of one step."""
        for name, value in metrics.items():
            seen = name in self._sums
            self._sums[name] = self._sums[name] + value if seen else value
            self._largest[name] = torch.maximum(self._largest[name], value) if seen else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> tuple[dict[str, float], dict[str, float]]:
        """Means and largest values by name; the window is empty afterwards."""
        means = {name: (total / self._counts[name]).item() for name, total in self._sums.items()}
        largest = {name: value.item() for name, value in self._largest.items()}
        self._sums, self._largest, self._counts = {}, {}, {}
        return means, largest
