"""Generator and critic of latents: their definition, and exact sums near it that no neighbour changes."""

import pytest
import torch

from ganrnn import exact
from ganrnn.networks.texts.latent_sphere import on_sphere
from ganrnn.networks.texts.residual_mlp import ExactLatentGenerator, LatentGenerator, ResidualMlp

Z, H, D = 6, 300, 10  # wide enough for the order of a sum to show
LABELS = torch.tensor([2, 0, 1, 2, 1, 1, 0])


def made_of(kind: type[ResidualMlp], num_labels: int = 0) -> ResidualMlp:
    torch.manual_seed(0)
    return kind(Z, H, 2, D, num_labels, 4)


def normal(num: int = 7) -> torch.Tensor:
    return torch.randn(num, Z, generator=torch.Generator().manual_seed(1))


def test_a_block_is_added_to_what_it_reads() -> None:
    mlp = made_of(ResidualMlp, num_labels=3)
    z = normal()

    def leaky(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    assert mlp.embedding is not None
    x = torch.cat([z, mlp.embedding.weight[LABELS]], 1) @ mlp.begin.weight.T + mlp.begin.bias
    for first, second in mlp.layers():
        inner = leaky(x) @ first.weight.T + first.bias
        x = x + leaky(inner) @ second.weight.T + second.bias
    torch.testing.assert_close(mlp(z, LABELS), leaky(x) @ mlp.end.weight.T + mlp.end.bias)
    torch.testing.assert_close(made_of(LatentGenerator, 3)(z, LABELS), on_sphere(mlp(z, LABELS)))


@pytest.mark.parametrize("num_labels", [0, 3])
def test_exact_latents_are_near_and_the_same_in_any_company(num_labels: int) -> None:
    generator = made_of(LatentGenerator, num_labels).requires_grad_(False)
    dream, z = ExactLatentGenerator(generator), normal(64)  # type: ignore[arg-type]
    labels = torch.arange(64) % 3 if num_labels else None
    together = dream(z, labels)
    torch.testing.assert_close(together, generator(z, labels).double(), rtol=0, atol=2e-3)
    for i in range(64):
        assert torch.equal(dream(z[i : i + 1], None if labels is None else labels[i : i + 1])[0], together[i])
    if labels is not None:
        assert (dream(z, (labels + 1) % 3) - together).abs().amax(1).min() > 1e-2


def test_all_that_is_multiplied_is_rounded_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a sum would be rounded in an order of its own, which shows once in a great many rows."""
    product, seen = exact.Linear.__call__, []

    def checked(self: exact.Linear, x: torch.Tensor) -> torch.Tensor:
        seen.append(torch.equal(exact.snapped(x), x))
        return product(self, x)

    monkeypatch.setattr(exact.Linear, "__call__", checked)
    dream = ExactLatentGenerator(made_of(LatentGenerator, 3))  # type: ignore[arg-type]
    latents = dream(normal(), LABELS)
    assert seen == [True] * 6 and torch.equal(exact.snapped(latents), latents)
