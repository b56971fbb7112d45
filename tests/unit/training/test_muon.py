"""Muon: orthogonal steps, against the authors' formula and torch's own optimizer of matrices."""

import pytest
import torch
from torch import nn

from ganrnn.training.muon import Muon, orthogonalised


@pytest.mark.parametrize(("num_rows", "num_columns"), [(8, 8), (4, 30), (30, 4)])
def test_all_singular_values_come_near_one(num_rows: int, num_columns: int) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(3, num_rows, num_columns) * torch.tensor([1e-3, 1.0, 1e3])[:, None, None]
    values = torch.linalg.svdvals(orthogonalised(matrices))
    assert values.min() > 0.3 and values.max() < 1.25
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    nearest = u @ v
    assert ((orthogonalised(matrices) * nearest).sum((1, 2)) / nearest.square().sum((1, 2))).min() > 0.8


def test_steps_of_a_matrix_are_those_of_torch() -> None:
    """torch.optim.Muon rounds to bfloat16; its rate for tall matrices is the same with adjust_lr_fn original."""
    torch.manual_seed(0)
    for shape in ((6, 20), (20, 6)):
        start, gradients = torch.randn(shape), [torch.randn(shape) for _ in range(4)]
        moved = []
        for kind, settings in ((Muon, {}), (torch.optim.Muon, {"weight_decay": 0.0, "adjust_lr_fn": "original"})):
            weight = nn.Parameter(start.clone())
            optimizer = kind([weight], lr=0.1, **settings)  # type: ignore[operator]
            for gradient in gradients:
                weight.grad = gradient.clone()
                optimizer.step()
            moved.append(weight.detach() - start)
        assert (moved[0] - moved[1]).norm() < 0.02 * moved[1].norm()


def test_a_kernel_is_a_matrix_of_its_output_channels() -> None:
    torch.manual_seed(0)
    kernel, matrix = nn.Parameter(torch.zeros(4, 3, 3, 3)), nn.Parameter(torch.zeros(4, 27))
    kernel.grad = torch.randn(4, 3, 3, 3)
    matrix.grad = kernel.grad.flatten(1)
    Muon([kernel, matrix], lr=0.5).step()
    torch.testing.assert_close(kernel.detach().flatten(1), matrix.detach())
    assert torch.linalg.svdvals(matrix.detach()).max() == pytest.approx(0.5, rel=0.3)


def test_memory_layout_changes_nothing() -> None:
    torch.manual_seed(0)
    start, gradient = torch.randn(4, 3, 3, 3), torch.randn(4, 3, 3, 3)
    weights = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        weight = nn.Parameter(start.clone(memory_format=memory_format))
        weight.grad = gradient.to(memory_format=memory_format)
        Muon([weight], lr=0.1).step()
        weights.append(weight.detach().contiguous())
    assert torch.equal(*weights)
