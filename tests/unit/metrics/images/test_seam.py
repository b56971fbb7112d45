"""The seam: steps at the edge beside steps inside, and how sure one can be."""

import pytest
import torch

from ganrnn.metrics.images.seam import Seam


def test_the_ratio_by_hand() -> None:
    picture = torch.tensor([0, 10, 20, 30], dtype=torch.uint8).expand(1, 3, 2, 4)
    seam = Seam.of(picture)
    assert (seam.at_seam, seam.inside) == (30.0, 10.0)
    assert seam.ratio()[0] == 3.0


def rings(num_images: int, seed: int = 0) -> torch.Tensor:
    noise = torch.rand(num_images, 3, 8, 32, generator=torch.Generator().manual_seed(seed)) * 255
    return noise.to(torch.uint8)


def test_a_ring_has_none_and_a_slope_does() -> None:
    ratio, low, high = Seam.of(rings(400)).ratio()
    assert low < 1 < high and ratio == pytest.approx(1, abs=0.02)
    slope = (rings(400) // 2 + torch.arange(32, dtype=torch.uint8) * 4).to(torch.uint8)
    ratio, low, high = Seam.of(slope).ratio()
    assert low > 1.5


def test_the_interval_covers_the_truth_about_95_times_in_100() -> None:
    covered = 0
    for seed in range(200):
        _, low, high = Seam.of(rings(40, seed)).ratio()
        covered += low <= 1 <= high
    assert 180 <= covered <= 199


def test_parts_add_up() -> None:
    images = rings(10)
    total = Seam.of(images[:3]) + Seam.of(images[3:])
    assert total.ratio() == pytest.approx(Seam.of(images).ratio())
