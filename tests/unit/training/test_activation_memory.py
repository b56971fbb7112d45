"""Bytes saved for backward, counted by hand."""

import torch
from torch import nn

from ganrnn.training.activation_memory import SavedBytes


def test_a_storage_counts_once_and_parameters_do_not() -> None:
    weight = nn.Parameter(torch.ones(1000))
    x = torch.ones(1000)
    with SavedBytes() as saved:
        y = (x * weight) * (x * weight)  # x twice, both products: three storages of 4,000 bytes
        assert saved.peak == 12_000
        y.sum().backward()
    assert torch.equal(weight.grad, torch.full((1000,), 2.0))  # type: ignore[arg-type]


def test_the_peak_is_that_of_the_larger_of_two_passes() -> None:
    weight = nn.Parameter(torch.ones(100))
    with SavedBytes() as saved:
        for factor in (1, 10, 1):
            x = torch.ones(100 * factor)
            (x * weight.repeat(factor)).sum().backward()
    assert saved.peak == 4 * 1000
