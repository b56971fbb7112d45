"""One step and one sampling function: what moves, by which formula, and what a row does not depend on."""

from typing import Any

import pytest
import torch

from ganrnn.data import scenes
from ganrnn.data.images import encode_png, to_float
from ganrnn.errors import BadInput
from ganrnn.objectives.matching import matching_loss
from ganrnn.tasks.match_judge import MatchJudge, MatchJudgeConfig
from ganrnn.tasks.text_to_image import TASK, TextToImage, TextToImageConfig
from ganrnn.training.gan_config import MatrixRates
from ganrnn.training.gan_step import MicroBatch
from ganrnn.training.optimizer import PlayerConfig
from tests.unit import tiny

PROMPTS = tiny.CAPTIONS[::12]
KEYS = [(3, f"p{i}/0") for i in range(len(PROMPTS))]
METRICS = {"loss_d", "matching_d", "logit_gap", "real_ahead", "gradient_norm_d"}
METRICS |= {"energy", "loss_g", "matching_g", "gradient_norm_g"}


def test_the_task_is_found_by_its_name() -> None:
    assert TASK is TextToImage and TASK.config_type is TextToImageConfig and TextToImageConfig().name == "text_to_image"


def test_a_step_moves_every_weight_and_counts() -> None:
    task = tiny.task()
    before = tiny.weights(task)
    metrics = task.step(tiny.batch(16))
    assert task.step_index == 1
    assert set(metrics) == METRICS | {"r1", "r2", "matching_share"}
    assert all(m.shape == () and not m.requires_grad and torch.isfinite(m) for m in metrics.values())
    after = tiny.weights(task)
    # All losses compare logits with each other: a constant added to every logit has no gradient but rounding errors.
    moved_by_rounding = "discriminator/realism.bias"
    assert [n for n in before if torch.equal(before[n], after[n]) and n != moved_by_rounding] == []
    assert all(not p.requires_grad for n in ("encoder_ema", "generator_ema") for p in task.networks[n].parameters())
    assert set(task.step(tiny.batch(16))) == METRICS


def test_padding_and_unread_words_stay_as_they_are() -> None:
    task = tiny.task()
    batch = tiny.batch(4)
    before = task.encoder.embedding.weight.detach().clone()
    task.step(batch)
    moved = (task.encoder.embedding.weight != before).any(1)
    assert set(moved.nonzero().flatten().tolist()) == set(batch["tokens"].unique().tolist()) - {0}


def test_the_average_follows_its_formula() -> None:
    task = tiny.task(ema_half_life_steps=1.25)
    networks = {"encoder_ema": task.generator_encoder, "generator_ema": task.generator}
    expected = {n: [p.detach().clone() for p in network.parameters()] for n, network in networks.items()}
    for step in range(4):
        task.step(tiny.batch())
        half_life = min(1.25, 1 + step / 10)  # in steps; short at first
        decay = 0.5 ** (1 / half_life)
        for name, network in networks.items():
            live = network.parameters()
            expected[name] = [decay * e + (1 - decay) * p.detach() for e, p in zip(expected[name], live, strict=True)]
            for held, wanted in zip(task.networks[name].parameters(), expected[name], strict=True):
                torch.testing.assert_close(held, wanted, rtol=1e-6, atol=1e-7)


def test_the_learning_rate_falls_linearly_to_nothing() -> None:
    player = PlayerConfig(learning_rate=0.01)
    task = tiny.task(num_steps=4, generator=player, discriminator=player, matrix_learning_rate=MatrixRates(0.01, 0.01))
    rates = []
    for _ in range(4):
        task.step(tiny.batch())
        rates.append([group["lr"] for o in task.optimizers.values() for group in o.param_groups])
    assert rates == [[pytest.approx(rate)] * 4 for rate in (0.01, 0.0075, 0.005, 0.0025)]


def test_the_share_of_the_matching_loss_grows_with_its_weight() -> None:
    shares = [
        tiny.task(matching_weight=weight).step(tiny.batch(16))["matching_share"].item() for weight in (0.1, 1, 1e4)
    ]
    assert 0 < shares[0] < shares[1] < 0.98 < shares[2] < 1


def test_equal_captions_are_no_mismatch() -> None:
    """The reported matching loss is the masked one of the discriminator's own logits on real pictures."""
    batch = tiny.batch(6)
    batch["keys"] = torch.tensor([1, 2, 1, 3, 2, 1])
    task = tiny.task()
    with torch.no_grad():
        condition = task.encoder(batch["tokens"], batch["lengths"])
        logits = task.discriminator.logits(task.discriminator.read(to_float(batch["images"])), condition)
    expected = matching_loss(logits, batch["keys"])
    assert task.step(batch)["matching_d"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert expected.item() != pytest.approx(matching_loss(logits, torch.arange(6)).item(), rel=1e-3)


def test_keys_are_equal_for_one_scene_in_two_languages() -> None:
    first, second = scenes.single_combinations()[:2]
    picture = {"bytes": encode_png(scenes.draw(first, 16, 16))}
    rows: dict[str, list[Any]] = {
        "image": [picture] * 5,
        "text": [scenes.describe(first, "en", 0), scenes.describe(first, "zh", 1), "a dog", "A  dog", "a cat"],
        "attributes": [list(first.items()), dict(first), None, [], None],
    }
    batch = tiny.task().collate(rows)
    keys = batch["keys"].tolist()
    assert keys[0] == keys[1] and keys[2] == keys[3] and len(set(keys)) == 3
    assert batch["images"].shape == (5, 3, 16, 16) and batch["images"].dtype == torch.uint8
    assert batch["tokens"].shape == (5, tiny.CONFIG.max_tokens)
    rows["attributes"][1] = dict(second)
    assert len(set(tiny.task().collate(rows)["keys"].tolist())) == 4


def test_the_same_seed_gives_the_same_weights() -> None:
    def train(seed: int) -> dict[str, torch.Tensor]:
        task = tiny.task(seed)
        for step in range(5):
            task.step(tiny.batch(8, step))
        return tiny.weights(task)

    first = train(0)
    tiny.assert_equal(first, train(0))
    assert not torch.equal(first["generator/to_mixture.weight"], train(1)["generator/to_mixture.weight"])


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("level", ["word", "character"])
def test_every_encoder_trains_and_paints(cell: str, bidirectional: bool, level: str) -> None:
    task = tiny.task(cell=cell, bidirectional=bidirectional, vocabulary=level)
    assert torch.isfinite(task.step(tiny.batch())["loss_d"])
    assert task.sample({"prompt": PROMPTS[:2]}, KEYS[:2]).shape == (2, 3, 16, 16)


def test_pictures_need_not_be_square() -> None:
    task = tiny.task(height=20, width=36)
    assert task.sample({"prompt": PROMPTS[:2]}, KEYS[:2]).shape == (2, 3, 20, 36)


def painter(**changes: Any) -> TextToImage:
    """A task whose averaged networks have moved away from their start."""
    task = tiny.task(**changes)
    for step in range(3):
        task.step(tiny.batch(8, step))
    return task


def painted(task: TextToImage, micro_batch_size: int, order: list[int]) -> torch.Tensor:
    """The pictures of PROMPTS in their own order, painted in another one, micro-batches filled up."""
    images = torch.zeros(len(PROMPTS), 3, 16, 16, dtype=torch.uint8)
    for start in range(0, len(order), micro_batch_size):
        batch_rows = order[start : start + micro_batch_size]
        rows = batch_rows + batch_rows[-1:] * (micro_batch_size - len(batch_rows))
        samples = task.sample({"prompt": [PROMPTS[i] for i in rows]}, [KEYS[i] for i in rows])
        images[batch_rows] = samples[: len(batch_rows)]
    return images


@pytest.mark.parametrize("word_attention", [False, True])
def test_a_picture_depends_on_its_prompt_and_key_alone(word_attention: bool) -> None:
    task = painter(word_attention=word_attention)
    gains = [layer.gain for layer in task.networks["generator_ema"].looking]
    assert bool(gains) == word_attention and all(gain.abs() > 0 for gain in gains)
    order = list(range(len(PROMPTS)))
    expected = painted(task, 16, order)
    assert len({bytes(image.numpy()) for image in expected}) == len(PROMPTS)
    shuffled = torch.randperm(len(order), generator=torch.Generator().manual_seed(2)).tolist()
    assert torch.equal(painted(task, 16, shuffled), expected)
    assert torch.equal(painted(task, 16, order[::-1]), expected)
    for micro_batch_size in (1, 2, 7, 30, 64):
        difference = (painted(task, micro_batch_size, order).int() - expected.int()).abs().max().item()
        assert difference <= 1, micro_batch_size


def test_painting_uses_the_averaged_networks_and_no_global_generator() -> None:
    task = painter()
    rows = {"prompt": PROMPTS[:3]}
    expected = task.sample(rows, KEYS[:3])
    state = torch.get_rng_state()
    with torch.no_grad():
        for name in ("encoder", "generator", "discriminator"):
            for parameter in task.networks[name].parameters():
                parameter.zero_()
    assert torch.equal(task.sample(rows, KEYS[:3]), expected)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(task.sample(rows, [(4, key) for _, key in KEYS[:3]]), expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 18}, "height is 18; allowed are multiples of 4 from 16 up"),
        ({"num_steps": 0}, "task.num_steps is 0; allowed are values above 0"),
        ({"penalty_every_steps": 0}, "task.penalty_every_steps is 0"),
        ({"generator": PlayerConfig(learning_rate=-1e-3)}, "task.generator.learning_rate is -0.001"),
        ({"ema_half_life_steps": 0.0}, "task.ema_half_life_steps is 0"),
        ({"judge_weight": -1.0}, "task.judge_weight is -1.0; allowed are values from 0 up"),
        ({"word_attention": True, "architecture": "residual"}, "task.word_attention is for task.architecture style"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        TextToImageConfig(**changes)


def judge() -> MatchJudge:
    config = MatchJudgeConfig(height=16, width=16, base_channels=4, embedding_dim=8, dim=8)
    return MatchJudge(config, MatchJudge.build_vocabulary(config, ((text,) for text in tiny.CAPTIONS)), seed=7)


def test_a_judge_that_does_not_learn_has_its_say() -> None:
    task, alone = tiny.task(judge_weight=0.5), tiny.task()
    task.attach_judge(judge())
    rows = tiny.rows(8)
    before = {name: tensor.clone() for name, tensor in task.judge.average.state_dict().items()}
    batch = task.collate(rows)
    torch.manual_seed(3)
    metrics = task.step(batch)
    torch.manual_seed(3)
    assert "judged" not in alone.step(alone.collate(rows)) and metrics["judged"] > 0
    assert all(torch.equal(before[name], tensor) for name, tensor in task.judge.average.state_dict().items())
    assert all(parameter.grad is None for parameter in task.judge.average.parameters())
    moved = [
        not torch.equal(a, b) for a, b in zip(task.generator.parameters(), alone.generator.parameters(), strict=True)
    ]
    assert any(moved)
    # The discriminator is updated before the generator and knows nothing of the judge.
    for a, b in zip(task.discriminator.parameters(), alone.discriminator.parameters(), strict=True):
        assert torch.equal(a, b)


def test_what_a_judge_says_is_a_matching_loss_and_a_binary_one() -> None:
    task = tiny.task(judge_weight=0.5)
    task.attach_judge(judge())
    rows = tiny.rows(6)
    batch, fake = task.collate(rows), torch.rand(6, 3, 16, 16) * 2 - 1
    chunk = MicroBatch(fake, fake, fake, batch, fake)
    fake.requires_grad_()
    weight, loss = task.auxiliary_losses(chunk, fake)["judged"]
    average = task.judge.average
    tokens, lengths = task.judge.vocabulary.encode(rows["text"], 32)
    logits = average.all_pairs(average.encode_images(fake), average.encode_texts(tokens, lengths))
    expected = matching_loss(logits, batch["keys"]) - torch.sigmoid(logits.diagonal()).log().mean()
    assert weight == 0.5 and loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert fake.grad is not None and fake.grad.abs().amax((1, 2, 3)).min() > 0
