"""Augmentation: each change against plain numpy, its slopes, its probability, and the controller by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import distributed as dist
from torch import multiprocessing

from ganrnn import augmentation
from ganrnn.augmentation import Augmentation

Draw = Callable[..., torch.Tensor]


def pictures(num: int = 6, height: int = 16, width: int = 24, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(num, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=dtype) * 2 - 1


def fixed(probability: float, wrap: bool = False) -> Augmentation:
    return Augmentation(probability, None, 1, wrap)


def drawn(monkeypatch: pytest.MonkeyPatch, name: str, values: list[float] | list[int]) -> None:
    """Has torch.rand or torch.randint return these values, one a picture."""
    shape = (-1, 1, 1, 1) if name == "rand" else (-1, 1)
    monkeypatch.setattr(torch, name, lambda *_, **kinds: torch.tensor(values, dtype=kinds.get("dtype")).view(shape))


def test_colours_follow_their_formulas(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures(2)
    array = images.numpy()
    drawn(monkeypatch, "rand", [0.25, 1.0])
    shift = np.array([-0.25, 0.5], np.float32).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(augmentation._brighter(images).numpy(), array + shift, rtol=1e-6)
    grey = array.mean(1, keepdims=True)
    factor = np.array([0.5, 2.0], np.float32).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(
        augmentation._more_saturated(images).numpy(), grey + (array - grey) * factor, rtol=1e-5, atol=1e-6
    )
    mean = array.mean((1, 2, 3), keepdims=True)
    factor = np.array([0.75, 1.5], np.float32).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(
        augmentation._more_contrasted(images).numpy(), mean + (array - mean) * factor, rtol=1e-5, atol=1e-6
    )


def test_a_shift_moves_grey_in(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures(2)
    drawn(monkeypatch, "randint", [2, -1])
    moved = augmentation._shifted(images, 3)
    expected = torch.zeros_like(images)
    expected[0, :, 2:, 2:] = images[0, :, :-2, :-2]
    expected[1, :, :-1, :-1] = images[1, :, 1:, 1:]
    assert torch.equal(moved, expected)


def test_a_hole_is_half_as_wide_and_high(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures(2) + 3
    drawn(monkeypatch, "randint", [8, 0])
    hidden = augmentation._holed(images) == 0
    expected = torch.zeros_like(hidden)
    expected[0, :, 4:12, 2:14] = True
    expected[1, :, 0:4, 0:6] = True  # about the corner a quarter of it is left
    assert torch.equal(hidden, expected)


def test_a_panorama_is_turned_whatever_the_probability(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures(2)
    drawn(monkeypatch, "randint", [5, 23])
    turned = fixed(0.0, wrap=True)(images)
    assert torch.equal(turned[0], images[0].roll(5, 2)) and torch.equal(turned[1], images[1].roll(-1, 2))


def test_idle_it_passes_pictures_and_draws_nothing() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    images = pictures()
    assert fixed(0.0)(images) is images
    assert torch.equal(torch.get_rng_state(), state)


def test_at_probability_one_every_picture_changes_and_each_draw_is_another() -> None:
    torch.manual_seed(0)
    images = pictures(1).repeat(16, 1, 1, 1)
    changed = fixed(1.0)(images)
    assert (changed != images).flatten(1).any(1).all()
    assert len({picture.numpy().tobytes() for picture in changed}) == 16
    torch.manual_seed(0)
    assert torch.equal(fixed(1.0)(images), changed)


@pytest.mark.parametrize("name", ["_brighter", "_more_saturated", "_more_contrasted", "_shifted", "_holed"])
def test_each_change_comes_with_its_probability(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    others = {"_brighter", "_more_saturated", "_more_contrasted", "_shifted", "_holed"} - {name}
    for other in others:
        monkeypatch.setattr(augmentation, other, lambda images, *_: images)
    monkeypatch.setattr(augmentation, name, lambda images, *_: images + 1)
    torch.manual_seed(0)
    images = pictures(2_000, 4, 4)
    share = (fixed(0.3)(images) != images).flatten(1).any(1).float().mean().item()
    assert abs(share - 0.3) < 4 * (0.3 * 0.7 / 2_000) ** 0.5


def test_it_can_be_differentiated_twice() -> None:
    images = pictures(2, 8, 8, torch.float64).requires_grad_()

    def changed(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return fixed(1.0)(x).square()

    assert torch.autograd.gradcheck(changed, images, fast_mode=True)
    assert torch.autograd.gradgradcheck(changed, images, fast_mode=True)


def observed(held: Augmentation, num_ahead: int, num_behind: int) -> float:
    """The probability after these pairs."""
    on_real = torch.tensor([1.0] * num_ahead + [-1.0] * num_behind)
    held.observe(on_real + 100, torch.zeros(len(on_real)) + 100)
    held.adjust()
    return held.probability.item()


def test_the_controller_by_hand() -> None:
    held = Augmentation(0.5, target=0.6, ramp_images=100)
    assert observed(held, 10, 0) == pytest.approx(0.6)  # r = 1
    assert observed(held, 8, 2) == pytest.approx(0.6)  # r = 0.6, on target
    assert observed(held, 7, 3) == pytest.approx(0.5)  # r = 0.4
    assert observed(held, 90, 0) == 1.0
    assert observed(held, 0, 200) == 0.0
    held.adjust()
    assert held.probability == 0.0, "nothing was observed"


def test_pairs_add_up_until_the_adjustment() -> None:
    held = Augmentation(0.5, target=0.0, ramp_images=100)
    for _ in range(3):
        held.observe(torch.ones(4), torch.zeros(4))
    assert held.sums.tolist() == [12.0, 12.0]
    held.adjust()
    assert held.probability.item() == pytest.approx(0.62) and held.sums.tolist() == [0.0, 0.0]


def test_its_state_survives_a_checkpoint() -> None:
    held = Augmentation(0.5, target=0.0, ramp_images=100)
    held.observe(torch.ones(4), torch.zeros(4))
    again = Augmentation(0.0, target=0.0, ramp_images=100)
    again.load_state_dict(load(save(held.state_dict())))
    assert observed(again, 6, 0) == observed(held, 6, 0) == pytest.approx(0.6)


def work(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    held = Augmentation(0.5, target=0.6, ramp_images=100)
    # 10 of 12 pairs on one worker, 6 of 8 on the other: r = 12 / 20 on both together, which is the target.
    probabilities = [observed(held, 10, 2) if rank == 0 else observed(held, 6, 2)]
    probabilities.append(observed(held, 5, 0))
    torch.save(probabilities, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_workers_adjust_alike(tmp_path: Path) -> None:
    multiprocessing.spawn(work, args=(str(tmp_path),), nprocs=2)
    both: list[Any] = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    assert both[0] == both[1] == [pytest.approx(0.5), pytest.approx(0.6)]
