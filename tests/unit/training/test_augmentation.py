"""Augmentation: each change against plain numpy, its slopes, its probability, and the controller by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from ganrnn.training import augmentation
from ganrnn.training.augmentation import Augmentation
from tests.forks import on_two_ranks


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
    hidden = augmentation._cut_out(images) == 0
    expected = torch.zeros_like(hidden)
    expected[0, :, 4:12, 2:14] = True
    expected[1, :, 0:4, 0:6] = True  # about the corner a quarter of it is left
    assert torch.equal(hidden, expected)


def test_a_hole_in_a_panorama_goes_on_at_the_other_side(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures(2, 24, 24) + 3
    drawn(monkeypatch, "randint", [0, 20])
    hidden = fixed(1.0, wrap=True)._cut_out(images) == 0
    expected = torch.zeros_like(hidden)
    expected[0, :, :6, :6] = expected[0, :, :6, 18:] = True
    expected[1, :, 14:, 14:] = expected[1, :, 14:, :2] = True
    assert torch.equal(hidden, expected)


def test_a_panorama_is_turned_whatever_the_probability(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures(2)
    drawn(monkeypatch, "randint", [5, 23])
    turned = fixed(0.0, wrap=True)(images)
    assert torch.equal(turned[0], images[0].roll(5, 2)) and torch.equal(turned[1], images[1].roll(-1, 2))


def marked(num: int, height: int, width: int) -> torch.Tensor:
    """Black pictures with a one in the middle."""
    images = torch.zeros(num, 3, height, width)
    images[:, :, height // 2, width // 2] = 1
    return images


@pytest.mark.parametrize(("wrap", "most_columns"), [(False, 3), (True, 0)])
def test_a_shift_goes_an_eighth_of_the_sides_and_sideways_only_without_wrap(wrap: bool, most_columns: int) -> None:
    torch.manual_seed(0)
    moved = fixed(1.0, wrap)._shifted(marked(2_000, 16, 24))
    _, rows, columns = moved[:, 0].nonzero().unbind(1)
    assert set((rows - 8).tolist()) == set(range(-2, 3))
    assert set((columns - 12).tolist()) == set(range(-most_columns, most_columns + 1))


def test_a_panorama_is_turned_to_every_column_alike() -> None:
    torch.manual_seed(0)
    num = 8_000
    share = fixed(0.0, wrap=True)(marked(num, 4, 8))[:, 0].mean(0)
    assert share[[0, 1, 3]].count_nonzero() == 0
    assert (share[2] - 1 / 8).abs().max() < 4 * (1 / 8 * 7 / 8 / num) ** 0.5


def test_holes_hide_opposite_edges_alike() -> None:
    torch.manual_seed(0)
    num = 20_000
    hidden = augmentation._cut_out(torch.ones(num, 3, 8, 8))[:, 0] == 0
    expected = torch.tensor([3, 4, 4, 4, 4, 4, 4, 3]) / 9  # of the centres 0 to 8, those that hide each place
    for across in (1, 2):
        share = hidden.any(across).float().mean(0)
        assert (share - expected).abs().max() < 4 * (0.25 / num) ** 0.5


def without(monkeypatch: pytest.MonkeyPatch, *changes: str) -> None:
    for name in changes:
        monkeypatch.setattr(augmentation, name, lambda images, *_: images)


def test_every_hole_in_a_panorama_has_its_full_width(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "_brighter", "_more_saturated", "_more_contrasted", "_shifted")
    torch.manual_seed(0)
    num = 2_000
    hidden = fixed(1.0, wrap=True)(torch.ones(num, 3, 8, 8))[:, 0] == 0
    assert set(hidden.any(1).sum(1).tolist()) == {4}
    assert set(hidden.any(2).sum(1).tolist()) == {2, 3, 4}  # it ends at the top and the bottom
    assert (hidden.any(1).float().mean(0) - 0.5).abs().max() < 4 * (0.25 / num) ** 0.5


def test_shifts_and_holes_of_a_seed_are_these(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without wrap, and what is drawn after them: a training taken up again sees the same."""
    without(monkeypatch, "_brighter", "_more_saturated", "_more_contrasted")
    images = torch.arange(1.0, 65).view(1, 1, 8, 8).repeat(2, 3, 1, 1)
    torch.manual_seed(3)
    changed = fixed(1.0)(images)
    expected = images.clone()
    expected[0, :, :2, 1:5] = 0
    expected[1, :, :, :7] = images[1, :, :, 1:]
    expected[1, :, :, 7] = 0
    expected[1, :, 2:6, 4:] = 0
    assert torch.equal(changed, expected)
    assert torch.randint(1_000, (3,)).tolist() == [840, 884, 356]


def test_idle_it_passes_pictures_and_draws_nothing() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    images = pictures()
    assert fixed(0.0)(images) is images
    assert torch.equal(torch.get_rng_state(), state)


def test_a_probability_of_zero_that_can_rise_changes_no_bit() -> None:
    torch.manual_seed(0)
    images = pictures()
    images[0, 0, 0] = -0.0
    passed = Augmentation(0.0, target=0.6, ramp_images=100)(images)
    assert torch.equal(passed.view(torch.int32), images.view(torch.int32))


def test_real_and_generated_pictures_get_draws_of_their_own() -> None:
    torch.manual_seed(0)
    images, augmenter = pictures(), fixed(1.0)
    assert (augmenter(images) != augmenter(images)).flatten(1).any(1).all()


def test_at_probability_one_every_picture_changes_and_each_draw_is_another() -> None:
    torch.manual_seed(0)
    images = pictures(1).repeat(16, 1, 1, 1)
    changed = fixed(1.0)(images)
    assert (changed != images).flatten(1).any(1).all()
    assert len({picture.numpy().tobytes() for picture in changed}) == 16
    torch.manual_seed(0)
    assert torch.equal(fixed(1.0)(images), changed)


@pytest.mark.parametrize("name", ["_brighter", "_more_saturated", "_more_contrasted", "_shifted", "_cut_out"])
def test_each_change_comes_with_its_probability(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, *{"_brighter", "_more_saturated", "_more_contrasted", "_shifted", "_cut_out"} - {name})
    monkeypatch.setattr(augmentation, name, lambda images, *_: images + 1)
    torch.manual_seed(0)
    images = pictures(2_000, 4, 4)
    share = (fixed(0.3)(images) != images).flatten(1).any(1).float().mean().item()
    assert abs(share - 0.3) < 4 * (0.3 * 0.7 / 2_000) ** 0.5


@pytest.mark.parametrize("wrap", [False, True])
def test_it_can_be_differentiated_twice(wrap: bool) -> None:
    images = pictures(2, 8, 8, torch.float64).requires_grad_()

    def changed(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return fixed(1.0, wrap)(x).square()

    assert torch.autograd.gradcheck(changed, images, fast_mode=True)
    assert torch.autograd.gradgradcheck(changed, images, fast_mode=True)


def observed(augmenter: Augmentation, num_ahead: int, num_behind: int) -> float:
    """The probability after these pairs."""
    on_real = torch.tensor([1.0] * num_ahead + [-1.0] * num_behind)
    augmenter.observe(on_real + 100, torch.zeros(len(on_real)) + 100)
    augmenter.adjust()
    return augmenter.probability.item()


def test_the_controller_by_hand() -> None:
    augmenter = Augmentation(0.5, target=0.6, ramp_images=100)
    assert observed(augmenter, 10, 0) == pytest.approx(0.6)  # r = 1
    assert observed(augmenter, 8, 2) == pytest.approx(0.6)  # r = 0.6, on target
    assert observed(augmenter, 7, 3) == pytest.approx(0.5)  # r = 0.4
    assert observed(augmenter, 90, 0) == 1.0
    assert observed(augmenter, 0, 200) == 0.0
    augmenter.adjust()
    assert augmenter.probability == 0.0, "nothing was observed"


def test_pairs_add_up_until_the_adjustment() -> None:
    augmenter = Augmentation(0.5, target=0.0, ramp_images=100)
    for _ in range(3):
        augmenter.observe(torch.ones(4), torch.zeros(4))
    assert augmenter.sums.tolist() == [12.0, 12.0]
    augmenter.adjust()
    assert augmenter.probability.item() == pytest.approx(0.62) and augmenter.sums.tolist() == [0.0, 0.0]


def test_a_probability_given_as_int_moves_too() -> None:
    augmenter = Augmentation(0, target=0.0, ramp_images=100)
    assert observed(augmenter, 30, 0) == pytest.approx(0.3)


def test_the_controller_keeps_no_graph() -> None:
    augmenter = Augmentation(0.5, target=0.0, ramp_images=100)
    augmenter.observe(torch.ones(4, requires_grad=True), torch.zeros(4))
    assert not augmenter.sums.requires_grad
    augmenter.adjust()
    assert not augmenter.probability.requires_grad


def test_its_state_survives_a_checkpoint() -> None:
    augmenter = Augmentation(0.5, target=0.0, ramp_images=100)
    augmenter.observe(torch.ones(4), torch.zeros(4))
    again = Augmentation(0.0, target=0.0, ramp_images=100)
    again.load_state_dict(load(save(augmenter.state_dict())))
    assert observed(again, 6, 0) == observed(augmenter, 6, 0) == pytest.approx(0.6)


def work(rank: int) -> list[float]:
    augmenter = Augmentation(0.5, target=0.6, ramp_images=100)
    # 10 of 12 pairs on one worker, 6 of 8 on the other: r = 12 / 20 on both together, which is the target.
    probabilities = [observed(augmenter, 10, 2) if rank == 0 else observed(augmenter, 6, 2)]
    return [*probabilities, observed(augmenter, 5, 0)]


def test_two_workers_adjust_as_one_with_all_pictures(tmp_path: Path) -> None:
    both = on_two_ranks(work, tmp_path)
    alone = Augmentation(0.5, target=0.6, ramp_images=100)
    assert both[0] == both[1] == [observed(alone, 16, 4), observed(alone, 10, 0)]
    assert both[0] == [pytest.approx(0.5), pytest.approx(0.6)]
