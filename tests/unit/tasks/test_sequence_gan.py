"""A language model that learns on from a discriminator: the step against its formulas, workers, resume, mistakes."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from ganrnn import checkpoint, distributed
from ganrnn.decoding.rules import Decoding
from ganrnn.errors import BadInput
from ganrnn.networks.texts.language_network import LanguageNetwork
from ganrnn.task import Batch
from ganrnn.tasks.language_model import LanguageModel, LanguageModelConfig
from ganrnn.tasks.sequence_gan import SequenceGan, SequenceGanConfig
from ganrnn.text.vocabulary import BEGIN, END, PAD
from ganrnn.training.optimizer import PlayerConfig
from tests.forks import on_two_ranks

TEXTS = ["a small red circle", "no", "two blue squares, one above the other", "红色圆形", "green", "so it goes on"]
NUM_TOKENS = 20
NUM_WORDS = 4 + len(set("".join(TEXTS)))  # of the vocabulary
SMALL: dict[str, Any] = {"num_tokens": NUM_TOKENS, "embedding_dim": 6, "hidden_dim": 8, "num_steps": 50}
LIKELY = {"likelihood_weight": 0.3, "label_smoothing": 0.1, "entropy_weight": 0.2, "dropout": 0.4}


def model(texts: list[str] = TEXTS, **changes: Any) -> SequenceGan:
    config = SequenceGanConfig(**SMALL | {"num_pretraining_steps": 0} | changes)
    return SequenceGan(config, SequenceGan.build_vocabulary(config, [(text,) for text in texts]), seed=3)


def first_batch(task: SequenceGan, rank: int = 0, world_size: int = 1) -> Batch:
    """All rows, or a worker's."""
    return task.batches({"text": TEXTS}, num_rows=64, seed=1, rank=rank, world_size=world_size).at(0)  # type: ignore[return-value]


def made_texts(num_rows: int) -> torch.Tensor:
    """What a generator might have drawn, one text of each length from END alone to one that is cut off."""
    generator = torch.Generator().manual_seed(5)
    samples = torch.randint(END + 1, NUM_WORDS, (num_rows, NUM_TOKENS + 1), generator=generator)
    samples[:, 0] = BEGIN
    for row in range(num_rows - 1):
        samples[row, 1 + 3 * row] = END
        samples[row, 2 + 3 * row :] = PAD
    return samples


def weights(task: SequenceGan) -> dict[str, torch.Tensor]:
    return {f"{n}/{k}": v.clone() for n, network in task.networks.items() for k, v in network.state_dict().items()}


def test_it_begins_as_a_language_model() -> None:
    """Bit for bit, the schedule of the learning rate ending with pretraining."""
    task = model(num_pretraining_steps=5, num_steps=9, dropout=0.2)
    plain = LanguageModelConfig(**SMALL | {"num_steps": 5, "dropout": 0.2})
    twin = LanguageModel(plain, task.vocabulary, seed=3)
    metrics = {}
    for one in (task, twin):
        torch.manual_seed(0)
        metrics[one] = [one.step(one.batches({"text": TEXTS}, num_rows=2, seed=1).at(step)) for step in range(5)]
    assert metrics[task] == metrics[twin]
    for name, network in twin.networks.items():
        for parameter, expected in zip(task.networks[name].parameters(), network.parameters(), strict=True):
            assert torch.equal(parameter, expected)
    assert not task.baseline.num_batches.any()
    assert set(task.step(first_batch(task))) > {"loss", "loss_d", "loss_g", "reward", "real_ahead", "entropy"}


@pytest.mark.parametrize("discriminator", ["rnn", "cnn"])
@pytest.mark.parametrize("changes", [{}, LIKELY], ids=["plain", "likely"])
def test_a_step_follows_its_formulas(
    monkeypatch: pytest.MonkeyPatch, discriminator: str, changes: dict[str, Any]
) -> None:
    most = NUM_TOKENS + 3  # longer than any text that was made
    changes = {"discriminator": discriminator, "discriminator_dropout": 0.0, "discount": 0.7} | changes
    task, twin = (model(num_tokens=most, **changes) for _ in range(2))
    batch, samples = first_batch(task), made_texts(6)
    for one in (task, twin):
        one.baseline.update(torch.linspace(-1, 1, most)[None], torch.ones(1, most, dtype=torch.bool))
    monkeypatch.setattr(task.network, "draw", lambda *_: samples)
    monkeypatch.setattr(task.policy_player, "update", lambda: torch.zeros(()))
    torch.manual_seed(0)
    metrics = task.step(batch)

    real, fake = batch["tokens"][:, 1:], samples[:, 1:]
    on_real, on_fake = twin.discriminator(real)[real != PAD], twin.discriminator(fake)[fake != PAD]
    loss_d = -F.logsigmoid(on_real).mean() - F.logsigmoid(-on_fake).mean()
    assert float(metrics["loss_d"]) == pytest.approx(loss_d.item(), rel=1e-5)

    objective = torch.zeros(())
    held = task.discriminator(fake).sigmoid().mul(2).sub(1).detach()  # after its update
    logs = twin.network.eval()(samples[:, :-1], twin.network.stack.begin(6))[0]
    logs = twin.network.logits(logs)[:, :, END:].log_softmax(2)
    for row in range(6):
        length = int((fake[row] != PAD).sum())
        for position in range(length):
            later = sum(0.7 ** (s - position) * float(held[row, min(s, length - 1)]) for s in range(position, most))
            objective -= (later - float(twin.baseline.mean[position])) * logs[row, position, fake[row, position] - END]
            parameter = logs[row, position]
            objective += task.config.entropy_weight * (parameter.exp() * parameter).sum()
    objective = objective / 6
    if task.config.likelihood_weight:
        torch.manual_seed(0)
        features, _ = twin.network.train()(batch["tokens"][:, :-1], twin.network.stack.begin(6))
        logits = twin.network.logits(features).flatten(0, 1)
        likelihood = F.cross_entropy(logits, real.flatten(), ignore_index=PAD, reduction="sum", label_smoothing=0.1)
        objective = objective + 0.3 * likelihood / 6
    objective.backward()
    for parameter, expected in zip(task.network.parameters(), twin.network.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected.grad, rtol=1e-3, atol=1e-5)
    assert float(metrics["reward"]) == pytest.approx(float(held[fake != PAD].mean()), rel=1e-4)
    assert float(metrics["length"]) == pytest.approx(float((fake != PAD).sum()) / 6)
    assert float(metrics["tokens"]) == float(batch["num_targets"])
    assert all(not value.requires_grad and value.dim() == 0 for value in metrics.values())


def test_only_real_texts_of_their_own_weight_teach_by_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without that weight, a generator that writes one text, all of it as expected, stays as it is."""
    task = model(entropy_weight=0.0, likelihood_weight=0.0)
    monkeypatch.setattr(task.network, "draw", lambda *_: made_texts(6))
    monkeypatch.setattr(task.baseline, "forward", torch.zeros_like)
    before = weights(task)
    metrics = task.step(first_batch(task))
    for name, value in weights(task).items():
        if name.startswith("network/"):
            assert torch.equal(value, before[name]), name
    assert float(metrics["loss"]) == pytest.approx(float(model().step(first_batch(task))["loss"]), rel=1e-5)


@pytest.mark.parametrize("discriminator", ["rnn", "cnn"])
def test_rewards_alone_teach_to_write(discriminator: str) -> None:
    """From nothing, with no likelihood: three texts of the 400 and more that up to two letters of 20 make."""
    quick = {
        "policy_optimiser": PlayerConfig(learning_rate=2e-2, schedule="constant", beta1=0.5, max_gradient_norm=10.0),
        "discriminator_optimiser": PlayerConfig(learning_rate=1e-2, schedule="constant", beta1=0.5),
    }
    texts = ["ab", "cd", "e"] * 8
    config = SequenceGanConfig(
        **SMALL | {"num_tokens": 4, "hidden_dim": 24, "num_pretraining_steps": 0, "num_steps": 200},
        **quick,
        discriminator=discriminator,  # type: ignore[arg-type]
        entropy_weight=0.05,
        discount=1.0,
    )
    task = SequenceGan(config, SequenceGan.build_vocabulary(config, [("abcdefghijklmnopqrst",)]), seed=0)
    batches = task.batches({"text": texts}, num_rows=24, seed=0)
    torch.manual_seed(0)
    for step in range(config.num_steps):
        task.step(batches.at(step))
    rows, keys = {"decoding": [Decoding(max_tokens=4)] * 200}, [(0, str(i)) for i in range(200)]
    written = Counter(one.text for one in task.sample(rows, keys))
    assert sum(written[text] for text in ("ab", "cd", "e")) > 150, written


def test_a_text_depends_on_its_row_alone_and_is_that_of_a_language_model() -> None:
    task = model(num_pretraining_steps=1)
    task.step(first_batch(task))
    task.step(first_batch(task))
    files = checkpoint.pack(task, {}, {})
    rows, keys = {"prompt_id": ["a", "b"], "prompt": ["a ", ""]}, [(0, "a"), (1, "b")]
    rules = {"decoding": [Decoding(max_tokens=9), Decoding(num_beams=3, max_tokens=9)]}
    written = task.sample(rows | rules, keys)
    assert checkpoint.load_sampler(files).sample(rows | rules, keys) == written
    twin = LanguageModel(LanguageModelConfig(**SMALL), task.vocabulary)
    twin.average.load_state_dict(task.average.state_dict())
    assert twin.sample(rows | rules, keys) == written
    alone = {name: column[1:] for name, column in (rows | rules).items()}
    assert task.sample(alone, keys[1:]) == written[1:]


@pytest.mark.parametrize("step", [1, 3, 5])
def test_a_training_goes_on_as_if_it_had_never_stopped(step: int) -> None:
    """Before the discriminator comes in, when it does, and after."""

    def steps(task: SequenceGan, until: int) -> None:
        batches = task.batches({"text": TEXTS}, num_rows=2, seed=1)
        while task.step_index < until:
            task.step(batches.at(task.step_index))

    settings = {"num_pretraining_steps": 3, "num_steps": 8, "dropout": 0.2, "likelihood_weight": 0.1}
    whole, first, second = (model(**settings) for _ in range(3))
    torch.manual_seed(0)
    steps(whole, 8)
    torch.manual_seed(0)
    steps(first, step)
    files = checkpoint.pack(first, {"0.cpu": torch.get_rng_state()}, {})
    torch.manual_seed(1)
    rng, _ = checkpoint.restore(second, files)
    torch.set_rng_state(rng["0.cpu"])
    steps(second, 8)
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(second)[name]), name


def test_a_step_of_more_caution_is_smaller() -> None:
    """All players are slowed down, as the guard asks."""
    rates = []
    for times in (0, 1):
        task = model(num_pretraining_steps=0)
        task.backoff = task.backoff.after(False, 0) if times else task.backoff
        task.step(first_batch(task))
        rates.append([optimizer.param_groups[0]["lr"] for optimizer in list(task.optimizers.values())[1:]])
    assert [slow / fast for slow, fast in zip(rates[1], rates[0], strict=True)] == [0.25, 0.25]


def test_a_reward_is_that_of_the_last_token() -> None:
    task = model()
    tokens = [*task.vocabulary.encode("no"), END]
    expected = 2 * task.discriminator.eval()(torch.tensor([tokens])).sigmoid() - 1
    for end in range(1, 4):
        assert task.reward(tokens[:end]) == pytest.approx(expected[0, end - 1].item(), abs=1e-6)


def two_steps(rank: int, world_size: int) -> tuple[SequenceGan, list[dict[str, torch.Tensor]]]:
    """Of texts that were drawn elsewhere, each worker having its rows of them."""
    task = model(discriminator_dropout=0.0, likelihood_weight=0.3, num_steps=4, discount=0.9)
    for optimizer in task.optimizers.values():
        optimizer.param_groups[0]["eps"] = 1e-2  # see tests/unit/test_distributed.py
    task.network.draw = lambda *_: made_texts(6)[rank::world_size]
    return task, [task.step(first_batch(task, rank, world_size)) for _ in range(2)]


def work(rank: int) -> dict[str, Any]:
    task, metrics = two_steps(rank, 2)
    assert distributed.world_size() == 2
    return {"weights": weights(task), "metrics": metrics}


def test_two_workers_learn_what_one_would(tmp_path: Path) -> None:
    workers = on_two_ranks(work, tmp_path)
    task, metrics = two_steps(0, 1)
    for step in range(2):
        for name, whole in metrics[step].items():
            halves = torch.stack([held["metrics"][step][name] for held in workers])
            torch.testing.assert_close(halves.mean(), whole, rtol=1e-4, atol=1e-5, msg=f"{name} at step {step}")
    for name, whole in weights(task).items():
        assert torch.equal(workers[0]["weights"][name], workers[1]["weights"][name]), name
        torch.testing.assert_close(workers[0]["weights"][name], whole, rtol=0, atol=1e-6, msg=name)


def test_a_worker_without_rows_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    task = model(num_tokens=8)
    monkeypatch.setattr(LanguageNetwork, "draw", lambda *_: made_texts(6)[:1, :9])
    metrics = task.step({"tokens": torch.tensor([[BEGIN, PAD]]), "num_targets": torch.tensor(7)})
    assert all(value.isfinite() for name, value in metrics.items()) and float(metrics["loss"]) == 0.0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"stream": True}, "task.stream is true; allowed is false"),
        ({"num_pretraining_steps": 51}, "task.num_pretraining_steps is 51; allowed are values from 0 to task.num_st"),
        ({"discriminator_dropout": 1.0}, "task.discriminator_dropout is 1.0; allowed are values from 0 to below 1"),
        ({"discount": 1.5}, "task.discount is 1.5; allowed are values from 0 to 1"),
        ({"entropy_weight": -1.0}, "task.entropy_weight is -1.0; allowed are values from 0 up"),
        ({"likelihood_weight": -1.0}, "task.likelihood_weight is -1.0; allowed are values from 0 up"),
        ({"policy_optimiser": PlayerConfig(learning_rate=0)}, "task.policy_optimiser.learning_rate is 0; allowed"),
        ({"discriminator_optimiser": PlayerConfig(beta1=1)}, "task.discriminator_optimiser.beta1 is 1; allowed"),
    ],
)
def test_a_mistake_is_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput) as error:
        model(**changes)
    assert str(error.value).startswith(sentence)
