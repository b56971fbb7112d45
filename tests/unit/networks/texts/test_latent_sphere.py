"""Points on the sphere, the way between two of them, and the same bits in any company."""

import math

import pytest
import torch

from ganrnn import exact
from ganrnn.networks.texts.latent_sphere import (
    exact_between,
    exact_on_sphere,
    mean_cosine,
    on_sphere,
    relative_diversity,
)

D = 12


def points(num: int = 5, scale: float = 3.0) -> torch.Tensor:
    return exact.snapped(scale * torch.randn(num, D, generator=torch.Generator().manual_seed(0)))


def test_a_point_keeps_its_direction_and_gets_the_radius() -> None:
    x = points()
    for middle in (on_sphere(x), exact_on_sphere(x)):
        torch.testing.assert_close(middle.norm(dim=1), torch.full((5,), D**0.5).double(), rtol=1e-4, atol=0)
        torch.testing.assert_close(
            middle / middle.norm(dim=1, keepdim=True), x / x.norm(dim=1, keepdim=True), atol=1e-4, rtol=0
        )
    assert torch.equal(exact.snapped(exact_on_sphere(x)), exact_on_sphere(x))
    assert exact_on_sphere(torch.zeros(1, D).double()).abs().max() == 0


def test_an_exact_point_has_the_same_bits_in_any_company() -> None:
    x = exact.snapped(torch.randn(64, 130, generator=torch.Generator().manual_seed(1)))
    together = exact_on_sphere(x)
    assert all(torch.equal(exact_on_sphere(x[i : i + 1])[0], together[i]) for i in range(64))


def test_alikeness_is_the_mean_cosine_of_all_pairs() -> None:
    x = on_sphere(points())
    cosines = torch.nn.functional.cosine_similarity(x[:, None], x[None], dim=2)
    assert float(mean_cosine(x)) == pytest.approx(float(cosines.mean()), abs=1e-9)
    one = x[:1].expand(4, -1)
    assert float(mean_cosine(one)) == pytest.approx(1.0)
    assert float(relative_diversity(one, x)) == pytest.approx(0.0, abs=1e-9)
    assert float(relative_diversity(x, x)) == 1.0 and math.isfinite(float(relative_diversity(one, one)))


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_way_between_two_points_is_even(share: float) -> None:
    start, end = exact_on_sphere(points(2))
    middle = exact_between(start, end, share)
    whole = math.acos(float(start @ end) / D)
    assert float(middle.norm()) == pytest.approx(D**0.5, abs=1e-3) and torch.equal(exact.snapped(middle), middle)
    assert math.acos(min(1.0, float(start @ middle) / D)) == pytest.approx(share * whole, abs=0.02)
    if share in (0.0, 1.0):
        assert torch.equal(middle, end if share else start)


def test_from_a_point_to_itself_there_is_no_way() -> None:
    (point,) = exact_on_sphere(points(1))
    assert torch.equal(exact_between(point, point.clone(), 0.3), point)
