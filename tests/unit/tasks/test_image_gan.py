"""Every objective, penalty and network of a GAN of pictures, and what its options promise."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from ganrnn import checkpoint
from ganrnn.data.conditions import Conditions
from ganrnn.data.images import encode_png
from ganrnn.errors import BadInput
from ganrnn.objectives.adversarial import OBJECTIVES
from ganrnn.task import BackoffState
from ganrnn.tasks.image_gan import TASK, ImageGan, ImageGanConfig
from ganrnn.training.gan_config import AugmentationConfig
from ganrnn.training.optimizer import PlayerConfig
from tests.unit import tiny

CONFIG = ImageGanConfig(
    height=16,
    width=16,
    z_dim=6,
    style_dim=16,
    feature_dim=16,
    base_channels=4,
    condition="label",
    condition_dim=8,
    num_steps=20,
    penalty_every_steps=2,
)
LABELS = [0, 1, 2, 1]
# What each objective trains by where it needs something beside it.
PARTNERS: dict[str, dict[str, Any]] = {"wasserstein": {"penalty": "gradient"}}


def task(**changes: Any) -> ImageGan:
    return ImageGan(replace(CONFIG, **changes), Conditions.of_labels(range(3)), seed=0)


def batch(num_rows: int = 8, seed: int = 0) -> dict[str, torch.Tensor]:
    pixels = np.random.default_rng(seed).integers(0, 256, (num_rows, 16, 16, 3), np.uint8)
    rows = {"image": [{"bytes": encode_png(p)} for p in pixels], "label": [i % 3 for i in range(num_rows)]}
    return _COLLATING.collate(rows)


_COLLATING = task()


def trained(gan: ImageGan, num_steps: int = 3, num_rows: int = 8) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    for step in range(num_steps):
        metrics = gan.step(batch(num_rows, step))
        assert all(torch.isfinite(m) and m.shape == () and not m.requires_grad for m in metrics.values())
    return tiny.weights(gan)


def moved(gan: ImageGan, before: dict[str, torch.Tensor], network: str) -> list[str]:
    after = tiny.weights(gan)
    return [n for n in before if n.startswith(f"{network}/") and not torch.equal(before[n], after[n])]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_trains_both_players(objective: str) -> None:
    gan = task(objective=objective, **PARTNERS.get(objective, {}))
    before = tiny.weights(gan)
    trained(gan)
    for network in ("generator", "discriminator", "encoder", "generator_ema"):
        assert moved(gan, before, network), network


@pytest.mark.parametrize(
    ("penalty", "logged"),
    [
        ("none", set()),
        ("r1", {"r1"}),
        ("r1_r2", {"r1", "r2"}),
        ("gradient", {"slope_penalty"}),
        ("one_sided_gradient", {"slope_penalty"}),
        ("dragan", {"slope_penalty"}),
    ],
)
def test_every_penalty_comes_at_its_steps(penalty: str, logged: set[str]) -> None:
    gan = task(penalty=penalty, objective="hinge")
    kinds = {"r1", "r2", "slope_penalty"}
    assert [set(gan.step(batch())) & kinds for _ in range(3)] == [logged, set(), logged]


def test_clipping_bounds_every_weight_of_the_critic() -> None:
    gan = task(objective="wasserstein", penalty="clip", penalty_weight=0.03)
    trained(gan)
    assert max(p.abs().max().item() for p in gan.discriminator.parameters()) == pytest.approx(0.03)
    assert max(p.abs().max().item() for p in gan.generator.parameters()) > 0.1


@pytest.mark.parametrize("architecture", ["style_palette", "style", "residual", "dcgan"])
@pytest.mark.parametrize("condition", ["none", "label"])
def test_every_architecture_trains_and_paints(architecture: str, condition: str) -> None:
    penalty = {"penalty": "none"} if architecture == "dcgan" else {}
    changes = {"architecture": architecture, "condition": condition, "height": 24, **penalty}
    vocabulary = Conditions(0, {}, {}) if condition == "none" else Conditions.of_labels(range(3))
    gan = ImageGan(replace(CONFIG, **changes), vocabulary)
    pixels = np.zeros((8, 24, 16, 3), np.uint8)
    rows = {"image": [{"bytes": encode_png(p)} for p in pixels], "label": [0, 1] * 4}
    gan.step(gan.collate(rows))
    prompts = {"prompt_id": ["a", "b"], "label": [0, 1]}
    keys = [(0, "a"), (0, "b")]
    both = gan.sample(prompts, keys)
    assert both.shape == (2, 3, 24, 16) and both.dtype == torch.uint8
    alone = gan.sample({name: column[1:] for name, column in prompts.items()}, keys[1:])
    assert (alone.int() - both[1:].int()).abs().max() <= 1


def test_labels_change_the_picture_and_noise_does() -> None:
    gan = task()
    trained(gan)
    rows = {"prompt_id": ["a"] * 3, "label": [0, 1, 1]}
    pictures = gan.sample(rows, [(0, "a"), (0, "a"), (1, "a")]).float()
    assert (pictures[0] - pictures[1]).abs().max() > 0 and (pictures[1] - pictures[2]).abs().max() > 0
    assert gan.count_unknown({"prompt_id": ["a", "b"], "label": [1, 9]}) == [0, 1]


def test_attributes_are_a_condition_too() -> None:
    attributes = [[("colour", "red"), ("size", "3")], [("colour", "blue")], None, [("size", "5")]]
    config = replace(CONFIG, condition="attributes", numeric_attributes=("size",))
    vocabulary = ImageGan.build_vocabulary(config, ((row,) for row in attributes))
    gan = ImageGan(config, vocabulary)
    assert gan.prompt_columns == ("attributes",) and gan.input_columns == ("image", "attributes")
    pixels = [{"bytes": encode_png(np.full((16, 16, 3), 60 * i, np.uint8))} for i in range(4)]
    gan.step(gan.collate({"image": pixels, "attributes": attributes}))
    assert gan.sample({"prompt_id": ["a"], "attributes": [{"size": "4"}]}, [(0, "a")]).shape == (1, 3, 16, 16)


def with_steady_adam(**changes: Any) -> ImageGan:
    """With Adam's usual epsilon the rounding of a gradient that is almost zero decides the sign of a whole step."""
    gan = task(**changes)
    for optimizer in gan.optimizers.values():
        optimizer.param_groups[0]["eps"] = 1e-2
    return gan


def shared_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same noise for the same rows however a batch is cut: rows of one table, in order."""
    rows = iter(torch.empty(64, 2 * CONFIG.z_dim).normal_(generator=torch.Generator().manual_seed(5)))
    monkeypatch.setattr(torch, "randn", lambda num, dim, **_: torch.stack([next(rows)[:dim] for _ in range(num)]))


def test_accumulated_pieces_equal_the_whole_batch() -> None:
    weights = []
    for num_accumulated in (1, 4):
        with pytest.MonkeyPatch.context() as patch:
            gan = with_steady_adam(num_accumulated=num_accumulated)
            shared_noise(patch)
            gan.step(batch())
            weights.append(tiny.weights(gan))
    for name, whole in weights[0].items():
        torch.testing.assert_close(weights[1][name], whole, rtol=0, atol=1e-6, msg=name)


def test_each_discriminator_update_has_rows_of_its_own() -> None:
    """Three updates on parts of a batch are three steps on these parts whose generator stood still."""
    whole = batch(6)
    gan = with_steady_adam(discriminator_steps=3, penalty="none")
    other = with_steady_adam(penalty="none")
    with pytest.MonkeyPatch.context() as patch:
        shared_noise(patch)
        gan.step(whole)
    with pytest.MonkeyPatch.context() as patch:
        shared_noise(patch)
        for part in range(3):
            piece = {name: rows[2 * part : 2 * part + 2] for name, rows in whole.items()}
            chunk = other._micro_batch(piece, with_graph=False)
            other._discriminator_step([chunk])
    for name, expected in tiny.weights(other).items():
        if name.startswith("discriminator/"):
            torch.testing.assert_close(tiny.weights(gan)[name], expected, rtol=0, atol=1e-6, msg=name)


def test_rows_that_cannot_be_cut_are_refused() -> None:
    with pytest.raises(BadInput, match=r"8 rows a step, which cannot be cut .* = 3 equal parts"):
        task(discriminator_steps=3).step(batch())


def test_caution_lowers_rates_and_doubles_penalties() -> None:
    gan = task(generator=PlayerConfig(schedule="constant"), discriminator=PlayerConfig(schedule="constant"))
    gan.backoff = BackoffState(2, 2)
    gan.step(batch())
    rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in gan.optimizers.items()}
    at_first = {"generator": 1e-3, "generator_matrices": 0.05, "discriminator": 1e-3, "discriminator_matrices": 0.02}
    assert rates == pytest.approx({name: rate / 16 for name, rate in at_first.items()})
    chunk = gan._micro_batch(batch(), with_graph=False)
    gan.step_index = 0
    losses = []
    for times in (0, 1):
        gan.backoff = BackoffState(times, times)
        losses.append(gan._discriminator_loss(chunk)[0].item())
    gan.step_index = 1  # no penalty
    plain = gan._discriminator_loss(chunk)[0].item()
    assert losses[1] - plain == pytest.approx(2 * (losses[0] - plain), rel=1e-4)


def test_bfloat16_trains_and_keeps_penalties_in_float32() -> None:
    gan, exact = task(precision="bfloat16"), task()
    seen: dict[str, set[torch.dtype]] = {"penalised": set(), "plain": set()}
    gan.discriminator.features.register_forward_hook(  # type: ignore[union-attr]
        lambda module, inputs, output: seen[
            "penalised" if gan.step_index % 2 == 0 and inputs[0].requires_grad and torch.is_grad_enabled() else "plain"
        ].add(output.dtype)
    )
    torch.manual_seed(1)
    penalised = gan.step(batch())
    torch.manual_seed(1)
    expected = exact.step(batch())
    assert penalised["r1"].item() == pytest.approx(expected["r1"].item(), rel=0.05)
    assert torch.float32 in seen["penalised"]
    gan.step(batch())
    assert seen["plain"] >= {torch.bfloat16}
    assert all(p.dtype == torch.float32 for n in gan.networks.values() for p in n.parameters())


def test_channels_last_changes_rounding_only() -> None:
    plain, last = trained(task(), 1), trained(task(channels_last=True), 1)
    for name, value in plain.items():
        torch.testing.assert_close(last[name], value, rtol=0, atol=5e-3, msg=name)


@pytest.mark.parametrize("num_accumulated", [1, 2], ids=["painted once", "painted twice"])
def test_a_compiled_generator_learns_the_same(num_accumulated: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the graphs that it is traced into, without a break; machine code of them takes a compiler minutes."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager", fullgraph=True))
    torch.compiler.reset()
    plain, compiled = (
        with_steady_adam(compile=on, num_accumulated=num_accumulated, penalty_every_steps=1) for on in (False, True)
    )
    assert compiled._generate is not compiled.generator
    metrics: list[list[dict[str, torch.Tensor]]] = []
    for gan in (plain, compiled):
        torch.manual_seed(1)
        metrics.append([gan.step(batch(8, step)) for step in range(2)])
    assert all({"r1", "r2"} <= set(step) for step in metrics[1])
    torch.testing.assert_close(metrics[1], metrics[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(tiny.weights(compiled), tiny.weights(plain), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "residual", "spectral_norm": True, "objective": "hinge", "penalty": "none"},
        {"architecture": "dcgan", "penalty": "none", "objective": "non_saturating"},
        {"augmentation": AugmentationConfig("adaptive", 0.3, ramp_images=100)},
        {"discriminator_steps": 2, "num_accumulated": 2},
    ],
    ids=["spectral", "dcgan", "adaptive", "accumulated"],
)
def test_a_training_taken_up_again_has_the_same_bits(changes: dict[str, Any]) -> None:
    straight = task(**changes)
    torch.manual_seed(1)
    for step in range(6):
        straight.step(batch(8, step))
    broken = task(**changes)
    torch.manual_seed(1)
    for step in range(3):
        broken.step(batch(8, step))
    files = checkpoint.pack(broken, {"0.cpu": torch.get_rng_state()}, {})
    torch.manual_seed(99)
    resumed = task(**changes)
    rng, _ = checkpoint.restore(resumed, files)
    torch.set_rng_state(rng["0.cpu"])
    for step in range(3, 6):
        resumed.step(batch(8, step))
    tiny.assert_equal(tiny.weights(straight), tiny.weights(resumed))


def test_a_model_comes_back_from_its_files() -> None:
    gan = task(augmentation=AugmentationConfig("fixed", 0.5))
    trained(gan)
    again = checkpoint.load_sampler(checkpoint.pack(gan, {}, {}))
    assert again.config == gan.config and again.vocabulary == gan.vocabulary
    rows, keys = {"prompt_id": ["a"] * 4, "label": LABELS}, [(0, str(i)) for i in range(4)]
    assert torch.equal(again.sample(rows, keys), gan.sample(rows, keys))


def contradictions() -> Iterator[tuple[dict[str, Any], str]]:
    yield {"objective": "wasserstein", "penalty": "none"}, "nothing bounds the critic's slope"
    yield {"objective": "hinge", "penalty": "clip"}, "task.penalty is clip, which bounds a Wasserstein critic"
    yield {"architecture": "dcgan"}, "task.penalty is r1_r2 and task.architecture dcgan, whose batch normalisation"
    yield {"penalty": "none", "penalty_weight": 1.0}, "task.penalty_weight is 1.0, but task.penalty is none"
    yield {"penalty_weight": -1.0}, "task.penalty_weight is -1.0; allowed are values above 0"
    both = {"objective": "wasserstein", "penalty": "clip", "spectral_norm": True}
    yield both, "task.spectral_norm and task.penalty clip both bound the weights"
    yield {"condition": "none", "matching_weight": 1.0}, "there is nothing to match"
    yield {"numeric_attributes": ("age",)}, "task.numeric_attributes needs task.condition attributes, not label"
    yield {"num_accumulated": 0}, "task.num_accumulated is 0"
    yield {"height": 18}, "task.height is 18"


@pytest.mark.parametrize(("changes", "message"), contradictions())
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        replace(CONFIG, **changes)


def test_the_task_is_found_by_its_name() -> None:
    assert TASK is ImageGan and ImageGanConfig().name == "image_gan"
    assert CONFIG.weight_of_penalty == 0.5


def test_the_first_steps_are_the_generators_alone() -> None:
    gan = task(energy_share=0.1)  # of 20 steps
    before = tiny.weights(gan)
    assert set(gan.step(batch())) == {"energy", "gradient_norm_g"} == set(gan.step(batch()))
    for network in ("encoder", "discriminator"):
        assert not moved(gan, before, network), network
    for network in ("generator", "generator_encoder", "generator_ema", "encoder_ema"):
        assert moved(gan, before, network), network
    assert {"loss_d", "loss_g", "energy"} <= set(gan.step(batch()))
    assert moved(gan, before, "discriminator") and moved(gan, before, "encoder")


def test_the_learning_rate_of_the_discriminator_falls_from_its_own_first_step() -> None:
    player = PlayerConfig(learning_rate=0.01)
    gan = task(num_steps=6, energy_share=1 / 3, generator=player, discriminator=player)
    rates: dict[str, list[float]] = {name: [] for name in gan.optimizers}
    for _ in range(6):
        gan.step(batch())
        for name, optimizer in gan.optimizers.items():
            rates[name].append(optimizer.param_groups[0]["lr"])
    assert rates["generator"] == pytest.approx([0.01 * (6 - step) / 6 for step in range(6)])
    assert rates["generator_matrices"] == pytest.approx([0.05 * (6 - step) / 6 for step in range(6)])
    assert rates["discriminator"][2:] == pytest.approx([0.01, 0.0075, 0.005, 0.0025])


def test_repulsion_grows_in_the_first_steps() -> None:
    config = replace(CONFIG, energy_share=0.2)  # of 20 steps
    assert [config.repulsion_at(step) for step in (0, 1, 4, 9)] == [0, 0.25, 1, 1]
    assert CONFIG.repulsion_at(0) == 1


def test_noise_decides_between_two_answers_to_one_label() -> None:
    """Half of the pictures of each label are dark, half are bright; without repulsion samples are in between."""
    gan = task(num_steps=300, energy_share=0.999, generator=PlayerConfig(learning_rate=2e-3))
    rows = batch(48)
    rows["images"] = torch.full_like(rows["images"], 60)
    rows["images"][::2] = 200
    torch.manual_seed(2)
    for _ in range(300):
        gan.step(rows)
    samples = gan.sample({"prompt_id": ["x"] * 64, "label": [1] * 64}, [(0, f"{i}") for i in range(64)])
    levels = samples.float().mean((1, 2, 3))
    assert (levels < 90).float().mean() > 0.25 and (levels > 150).float().mean() > 0.25


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"energy_share": 1.0}, "task.energy_share is 1.0; allowed are values from 0 to below 1"),
        ({"energy_weight": 0.0, "energy_share": 0.5}, "energy_weight 0: nothing would be learnt"),
        ({"energy_weight": -1.0}, "task.energy_weight is -1.0"),
    ],
)
def test_invalid_energy_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        task(**changes)
