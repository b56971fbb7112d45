"""The language model's step and its texts: width, padding and buckets change nothing but rounding."""

from typing import Any

import pytest
import torch

from ganrnn import checkpoint
from ganrnn.decoding.rules import Decoding
from ganrnn.errors import BadInput
from ganrnn.tasks.language_model import LanguageModel, LanguageModelConfig
from ganrnn.text.vocabulary import BEGIN, END

TEXTS = ["a small red circle", "no", "two blue squares, one above the other", "红色圆形", "green", "so it goes on"]
SMALL: dict[str, Any] = {"num_tokens": 16, "embedding_dim": 6, "hidden_dim": 8, "num_steps": 50}


def model(**changes: Any) -> LanguageModel:
    config = LanguageModelConfig(**SMALL | changes)
    return LanguageModel(config, LanguageModel.build_vocabulary(config, [(text,) for text in TEXTS]), seed=3)


def gradient_of_rows(task: LanguageModel, rows: list[list[int]], num_targets: int, world_size: int = 1) -> torch.Tensor:
    """The gradient of the summed loss of rows as a worker computes it, over the targets of all workers."""
    batches = task.batches({"text": [task.vocabulary.decode(row) for row in rows]}, num_rows=64, seed=0)
    task.network.zero_grad()
    batch = batches.at(0)
    features, _ = task.network(batch["tokens"][:, :-1], task.network.stack.begin(len(batch["tokens"])))
    logits = task.network.logits(features)
    flat = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), batch["tokens"][:, 1:].flatten(), ignore_index=0, reduction="sum"
    )
    (flat * world_size / num_targets).backward()
    return torch.cat([p.grad.flatten() for p in task.network.parameters() if p.grad is not None])


@pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "gru", "mingru"])
def test_padding_and_buckets_change_no_gradient(cell: str) -> None:
    task = model(cell=cell, num_tokens=40)
    rows = [task.vocabulary.encode(text) for text in TEXTS]
    num_targets = sum(len(row) + 1 for row in rows)
    together = gradient_of_rows(task, rows, num_targets)
    alone = sum(gradient_of_rows(task, [row], num_targets) for row in rows)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)


def test_two_workers_learn_what_one_would() -> None:
    task = model(num_tokens=40)
    whole = task.batches({"text": TEXTS}, num_rows=64, seed=1).at(0)
    parts = [task.batches({"text": TEXTS}, num_rows=64, seed=1, rank=r, world_size=2).at(0) for r in range(2)]
    assert {int(part["num_targets"]) for part in parts} == {int(whole["num_targets"])}

    def rows(batch: Any) -> list[list[int]]:
        return [[t for t in row.tolist()[1:] if t > 3] for row in batch["tokens"]]

    count = int(whole["num_targets"])
    expected = gradient_of_rows(task, rows(whole), count)
    mean = sum(gradient_of_rows(task, rows(part), count, world_size=2) for part in parts) / 2
    torch.testing.assert_close(mean, expected, rtol=1e-4, atol=1e-6)


def test_a_step_is_adam_on_the_mean_loss_of_all_targets() -> None:
    task, twin = model(num_tokens=40), model(num_tokens=40)
    batch = task.batches({"text": TEXTS}, num_rows=64, seed=0).at(0)
    metrics = task.step(batch)
    logits = twin.network.logits(twin.network(batch["tokens"][:, :-1], twin.network.stack.begin(len(TEXTS)))[0])
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["tokens"][:, 1:].flatten(), ignore_index=0)
    assert float(metrics["loss"]) == pytest.approx(loss.item(), rel=1e-5)
    assert task.step_index == 1 and float(metrics["tokens"]) == float(batch["num_targets"])


def test_the_state_is_carried_over_a_stream_and_dropped_at_an_epoch() -> None:
    task = model(stream=True, num_tokens=8)
    batches = task.batches({"text": TEXTS * 4}, num_rows=2, seed=0)
    carried = []
    for step in range(batches.steps_per_epoch + 1):  # type: ignore[union-attr]
        task.step(batches.at(step))
        carried.append(task.carried["state"])
    assert not torch.equal(carried[0], carried[1])
    again = model(stream=True, num_tokens=8)
    again.step(batches.at(0))
    again.carried = {"state": torch.zeros_like(carried[0])}
    forgot = again.step(batches.at(1))
    twin = model(stream=True, num_tokens=8)
    twin.step(batches.at(0))
    assert not torch.equal(twin.step(batches.at(1))["loss"], forgot["loss"])


@pytest.mark.parametrize("stream", [False, True])
def test_likelihood_is_that_of_every_token(stream: bool) -> None:
    task = model(stream=stream, num_tokens=64)
    total, count = task.negative_log_likelihood({"text": TEXTS})
    tokens = [task.vocabulary.encode(text) for text in TEXTS]
    expected = sum(map(len, tokens)) - 1 if stream else sum(len(row) + 1 for row in tokens)
    assert abs(count - expected) <= (8 if stream else 0)
    assert 0.5 * count * torch.log(torch.tensor(len(task.vocabulary) + 0.0)) < total < 2 * count * 5


@pytest.mark.parametrize("kind", ["character", "word", "subword"])
def test_likelihood_of_long_texts_is_that_of_what_was_read(kind: str) -> None:
    task, texts = model(vocabulary=kind, num_tokens=4), ["no", *TEXTS]
    expected, num_tokens, num_characters = 0.0, 0, 0
    for text in texts:
        tokens = task.vocabulary.encode(text)
        targets = [*tokens, END] if len(tokens) < 4 else tokens[:3]
        states, _ = task.average(torch.tensor([[BEGIN, *targets[:-1]]]), task.average.stack.begin(1))
        logs = task.average.logits(states)[0].log_softmax(1)
        expected -= logs.gather(1, torch.tensor(targets)[:, None]).sum().item()
        num_tokens, num_characters = num_tokens + len(targets), num_characters + len(task.vocabulary.decode(targets))
    total, count = task.negative_log_likelihood({"text": texts}, cut_rows_end=False)
    assert (count, task.reading({"text": texts}).num_characters) == (num_tokens, num_characters)
    assert total == pytest.approx(expected, rel=1e-5)


def test_a_model_is_the_same_after_it_was_stored() -> None:
    task = model(vocabulary="subword", max_vocabulary=60)
    files = checkpoint.pack(task, {}, {})
    rows, keys = {"prompt_id": ["a", "b"], "prompt": ["a ", ""]}, [(0, "a"), (1, "b")]
    rules = {"decoding": [Decoding(max_tokens=9), Decoding(num_beams=3, max_tokens=9)]}
    assert checkpoint.load_sampler(files).sample(rows | rules, keys) == task.sample(rows | rules, keys)
    assert task.count_unknown({"prompt_id": ["a"], "prompt": ["a\u00e9"]}) == [1]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"num_tokens": 0}, "task.num_tokens is 0; allowed are values from 1 up"),
        ({"dropout": 1.0}, "task.dropout is 1.0; allowed are values from 0 to below 1"),
        ({"cell": "mingru", "weight_drop": 0.5}, "task.weight_drop is 0.5 and task.cell mingru"),
        ({"max_vocabulary": 70_000}, "task.max_vocabulary is 70000; allowed are values from 5 to 65536"),
        ({"max_vocabulary": 4}, "task.max_vocabulary is 4; allowed are values from 5 to 65536"),
    ],
)
def test_a_mistake_is_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput) as error:
        model(**changes)
    assert str(error.value).startswith(sentence)
