"""The guard's verdicts on windows made by hand, and what it remembers."""

import json
import math

import pytest

from ganrnn.errors import BadInput
from ganrnn.training.guard import Guard, GuardConfig, GuardState, Quality, Verdict

GOOD = Quality(distance=10.0, diversity=0.9)


def guard(**changes: float) -> Guard:
    """A guard that has seen six quiet windows and good samples at step 6."""
    watching = Guard(GuardConfig(**changes))  # type: ignore[arg-type]
    for step in range(1, 6):
        assert watching.judge(step, {"real_ahead": 0.7}, {"gradient_norm_d": 2.0, "gradient_norm_g": 1.0}) is None
    assert watching.judge(6, {"real_ahead": 0.7}, {"gradient_norm_d": 2.0, "gradient_norm_g": 1.0}, GOOD) is None
    return watching


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_named(value: float) -> None:
    assert guard().judge(7, {}, {"loss_g": value, "loss_d": 1.0}) == Verdict(f"loss_g is {value}", is_transient=True)


def test_a_gradient_far_above_its_median_is_trouble() -> None:
    assert guard().judge(7, {}, {"gradient_norm_d": 199.0}) is None
    assert guard().judge(7, {}, {"gradient_norm_d": 201.0}) == Verdict("gradient_norm_d is 201, usual are 2")
    assert guard(most_gradient_ratio=1000.0).judge(7, {}, {"gradient_norm_d": 201.0}) is None
    assert Guard(GuardConfig()).judge(1, {}, {"gradient_norm_d": 1e9}) is None, "nothing is usual at first"


def test_samples_that_have_become_alike_have_collapsed() -> None:
    assert guard().judge(7, {}, {}, Quality(10.0, 0.26)) is None
    assert "diversity is 0.24" in str(guard().judge(7, {}, {}, Quality(10.0, 0.24)))
    fresh = Guard(GuardConfig())
    assert fresh.judge(1, {}, {}, Quality(10.0, 0.01)) is None, "before a training has begun to vary"
    for reached, is_trouble in ((0.49, False), (0.5, True)):  # from `least_diversity` on, it has
        begun = Guard(GuardConfig())
        assert begun.judge(1, {}, {}, Quality(10.0, reached)) is None
        assert (begun.judge(2, {}, {}, Quality(10.0, 0.2)) is not None) == is_trouble


def test_samples_much_worse_than_the_best_are_trouble() -> None:
    assert guard().judge(7, {}, {}, Quality(29.0, 0.9)) is None
    assert "3.1 times as far" in str(guard().judge(7, {}, {}, Quality(31.0, 0.9)))


def test_a_discriminator_that_is_always_right_is_trouble_only_when_samples_sink() -> None:
    watching = guard()
    assert watching.judge(7, {"real_ahead": 1.0}, {}) is None
    assert watching.judge(8, {"real_ahead": 1.0}, {}, Quality(11.0, 0.9)) is None, "a tenth is noise"
    assert watching.judge(9, {"real_ahead": 0.9}, {}) is None
    assert watching.judge(10, {"real_ahead": 1.0}, {}, Quality(13.0, 0.9)) is None, "it was wrong once"
    assert "always right" in str(watching.judge(11, {"real_ahead": 1.0}, {}, Quality(14.0, 0.9)))


def test_samples_of_one_condition_that_have_become_alike_are_trouble() -> None:
    def watching(reached: float, distance: float = 10.0) -> Guard:
        guard = Guard(GuardConfig(), GuardState(first_distance=100.0))
        assert guard.judge(1, {}, {}, Quality(distance, 0.9, reached)) is None
        return guard

    assert "one condition have become alike: their diversity is 0.19" in str(
        watching(0.5).judge(2, {}, {}, Quality(10.0, 0.9, 0.19))
    )
    assert watching(0.5).judge(2, {}, {}, Quality(10.0, 0.9, 0.2)) is None
    assert watching(0.49).judge(2, {}, {}, Quality(10.0, 0.9, 0.0)) is None, "they never differed"
    assert watching(2.0, 26.0).judge(2, {}, {}, Quality(26.0, 0.9, 0.0)) is None, "untrained networks differ as well"
    assert watching(0.5).judge(2, {}, {}, Quality(10.0, 0.9, None)) is None


def test_a_matching_loss_that_drowns_the_others_for_long_is_trouble() -> None:
    watching = guard()
    for step in range(7, 17):
        assert watching.judge(step, {"matching_share": 0.951}, {}) is None
        assert watching.judge(step, {}, {}) is None, "a window without the measure changes nothing"
    assert "has 0.951 of the generator's gradients" in str(watching.judge(17, {"matching_share": 0.951}, {}))
    assert watching.judge(17, {"matching_share": 0.95}, {}) is None
    assert watching.judge(18, {"matching_share": 0.999}, {}) is None, "it was not in a row"


@pytest.mark.parametrize(("given", "warns"), [(0.24, True), (0.25, False), (None, False)])
def test_a_training_that_ends_with_samples_hardly_different_warns(given: float | None, warns: bool) -> None:
    watching = guard()
    assert watching.state.warning == "", "nobody compared samples of one condition"
    assert watching.judge(7, {}, {}, Quality(10.0, 0.9, given)) is None
    expected = "samples of one condition hardly differ: their diversity is 0.24 of that of real pictures"
    assert watching.state.warning == (expected if warns else "")
    assert GuardState.from_dict(json.loads(json.dumps(watching.state.as_dict()))).warning == watching.state.warning


def test_a_state_of_before_is_read_and_written_as_then() -> None:
    values = GuardState().as_dict()
    assert "was_varied" not in values and "num_drowned_windows" not in values
    assert GuardState.from_dict(values) == GuardState()


def test_the_best_step_is_kept_and_trouble_leaves_no_trace() -> None:
    watching = guard()
    watching.judge(7, {}, {}, Quality(8.0, 0.9))
    before = watching.state.as_dict()
    assert (before["best_step"], before["best_distance"]) == (7, 8.0)
    assert watching.judge(8, {}, {"loss_d": math.nan}, Quality(1.0, 0.9))
    assert watching.judge(8, {}, {}, Quality(99.0, 0.9))
    assert watching.state.as_dict() == before


def test_the_state_survives_json() -> None:
    for state in (GuardState(), guard().state, GuardState(was_varied=True, num_drowned_windows=3)):
        assert GuardState.from_dict(json.loads(json.dumps(state.as_dict(), allow_nan=False))) == state


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"check_every_steps": 0}, "train.guard.check_every_steps is 0"),
        ({"num_samples": 8}, "train.guard.num_samples is 8; allowed are values from 16 up"),
        ({"most_distance_ratio": 1.0}, "train.guard.most_distance_ratio is 1.0; allowed are values above 1"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        GuardConfig(**changes)  # type: ignore[arg-type]


def test_what_never_came_near_to_real_pictures_has_not_learnt() -> None:
    untrained = GuardState(first_distance=40.0)
    assert not untrained.has_learnt
    assert not Guard(GuardConfig(), GuardState(first_distance=40.0, best_distance=10.0)).state.has_learnt
    assert guard().state.has_learnt, "nobody looked at the untrained one"
    assert GuardState(first_distance=40.1, best_distance=10.0).has_learnt


def test_a_best_step_grows_stale() -> None:
    state = GuardState(best_step=100)
    assert [state.is_stale(step, 50) for step in (100, 149, 150, 151)] == [False, False, True, True]
    assert not GuardState().is_stale(1_000, 1), "nothing was looked at yet"
