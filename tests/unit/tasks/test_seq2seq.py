"""One text to another: what is learnt, what a step is made of, and that no neighbour changes what is written."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from ganrnn import checkpoint, distributed, noise
from ganrnn.decoding.decode import GeneratedText
from ganrnn.decoding.rules import Decoding
from ganrnn.errors import BadInput
from ganrnn.objectives.sequences import coverage_loss, cross_entropies
from ganrnn.task import Batch
from ganrnn.tasks.seq2seq import Seq2Seq, Seq2SeqConfig
from ganrnn.text.vocabulary import BEGIN, END, PAD, PairVocabulary
from ganrnn.training.optimizer import PlayerConfig

PAIRS = [
    ("a small red circle", "ein kleiner roter Kreis"),
    ("no", "nein"),
    ("two blue squares, one above the other", "zwei blaue Quadrate, eins über dem andern"),
    ("green", "grün"),
    ("so it goes on and on", "so geht es weiter"),
    ("a", ""),
]
ROWS = {"source": [source for source, _ in PAIRS], "target": [target for _, target in PAIRS]}
SMALL: dict[str, Any] = {
    "vocabulary": "character",
    "num_source_tokens": 64,
    "num_target_tokens": 64,
    "embedding_dim": 6,
    "hidden_dim": 8,
    "num_steps": 50,
}
MINGRU_DROP, STILL = {"cell": "mingru", "weight_drop": 0.5}, PlayerConfig(learning_rate=0.0)
ALL: dict[str, Any] = {"shared_vocabulary": True, "copies": True, "covers": True, "label_smoothing": 0.1}


def model(pairs: Sequence[tuple[str, str]] = PAIRS, seed: int = 3, **changes: Any) -> Seq2Seq:
    config = Seq2SeqConfig(**SMALL | changes)
    return Seq2Seq(config, Seq2Seq.build_vocabulary(config, pairs), seed)


def first_batch(task: Seq2Seq, rank: int = 0, world_size: int = 1) -> Batch:
    """All rows, or a worker's."""
    return task.batches(ROWS, num_rows=64, seed=1, rank=rank, world_size=world_size).at(0)


def words(seed: int, num: int, letters: str = "abcd", longest: int = 5) -> list[str]:
    drawn = np.random.default_rng(seed)
    return ["".join(drawn.choice(list(letters), drawn.integers(1, longest + 1))) for _ in range(num)]


@pytest.mark.parametrize(
    "changes",
    [{"attention": "additive"}, {"cell": "lstm", "shared_vocabulary": True, "copies": True, "covers": True}],
    ids=["attention", "copies"],
)
def test_a_small_model_learns_to_copy(changes: dict[str, Any]) -> None:
    sources = words(0, 600)
    others = [word for word in words(1, 80) if word not in set(sources)]
    quick = PlayerConfig(learning_rate=1e-2, schedule="cosine", warmup_steps=10, beta1=0.9, max_gradient_norm=1.0)
    sizes = {"embedding_dim": 16, "hidden_dim": 48, "num_decoder_layers": 1, "ema_half_life_steps": 10}
    sizes |= {"num_source_tokens": 8, "num_target_tokens": 8, "num_steps": 160}
    task = model([(word, word) for word in sources], optimiser=quick, **sizes, **changes)
    batches = task.batches({"source": sources, "target": sources}, num_rows=32, seed=0)
    for step in range(160):
        metrics = task.step(batches.at(step))
    assert float(metrics["loss"]) < 0.1
    assert len(others) > 20  # which it has never seen
    rules = [Decoding(temperature=0.0, max_tokens=10)] * len(others)
    written = task.sample({"prompt": others, "decoding": rules}, [(0, word) for word in others])
    assert [text.text for text in written] == others
    assert {text.finish for text in written} == {"end"}
    total, count = task.negative_log_likelihood({"source": others, "target": others})
    assert count == sum(len(word) + 1 for word in others) and total / count < 0.1


def sharp(seed: int = 3, **changes: Any) -> Seq2Seq:
    """A model that was taught nothing, with weights large enough for its texts to differ, and none of them short."""
    task = model(seed=seed, **{"embedding_dim": 16, "hidden_dim": 24} | changes)
    task.average.target_embedding.weight *= 3.0
    task.average.bias[END] = -3.0
    return task


PROMPTS = [("ab two red circles, " * 3)[:length] for length in (0, 1, 2, 5, 13, 34, 63)] * 2
KINDS: list[dict[str, Any]] = [
    {},
    {"num_beams": 4},
    {"top_p": 0.8, "temperature": 1.3},
    {"num_beams": 4, "length_penalty": 0.6, "coverage_penalty": 2.0},
    {"temperature": 0.0, "no_repeat_ngram": 2},
]


def rows_of(numbers: Sequence[int]) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """Prompts with rules and prefixes of their own, and their keys."""
    rows = {
        "prompt": [PROMPTS[i] for i in numbers],
        "prefix": [(None, "", "ein ", "zwei")[i % 4] for i in numbers],
        "decoding": [Decoding(max_tokens=5, **KINDS[i % 5]) for i in numbers],
    }
    return rows, [(i % 3, f"row {i}") for i in numbers]


def written_in_parts(task: Seq2Seq, numbers: Sequence[int], size: int) -> list[str]:
    results = []
    for start in range(0, len(numbers), size):
        results += [repr(text) for text in task.sample(*rows_of(numbers[start : start + size]))]
    return results


@pytest.mark.parametrize(
    "changes",
    [{}, {"cell": "lstm", "attention": "additive", "layer_norm": True, **ALL}, {"cell": "mingru", "covers": True}],
    ids=["plain", "all", "mingru"],
)
def test_a_text_is_the_same_in_any_company(changes: dict[str, Any]) -> None:
    task, everything = sharp(**changes), range(len(PROMPTS))
    expected = written_in_parts(task, everything, len(PROMPTS))
    assert len(set(expected)) > 11
    assert written_in_parts(task, everything, 1) == expected
    assert written_in_parts(task, everything, 7) == expected
    order = noise.permutation(len(PROMPTS), 0, "company").tolist()
    for size in (len(PROMPTS), 5):
        assert written_in_parts(task, order, size) == [expected[i] for i in order]


def test_texts_depend_on_their_source_and_their_key() -> None:
    task, keys = sharp(), [(0, "a"), (0, "b"), (0, "a")]
    rows: dict[str, Any] = {"prompt": ["two red circles", "two red circles", "green"]}
    short = rows | {"decoding": [Decoding(max_tokens=20)] * 3}
    assert len({text.text for text in task.sample(short, keys)}) == 3
    assert task.sample(short | {"prefix": [None, "", None]}, keys) == task.sample(short, keys)
    greedy = task.sample(rows | {"decoding": [Decoding(max_tokens=20, temperature=0.0)] * 3}, keys)
    assert greedy[0] == greedy[1] != greedy[2]


@pytest.mark.parametrize("changes", [{}, ALL], ids=["plain", "all"])
def test_what_is_written_is_as_likely_as_the_network_says(changes: dict[str, Any]) -> None:
    task, numbers = sharp(**changes), range(len(PROMPTS))
    for number, written in zip(numbers, task.sample(*rows_of(numbers)), strict=True):
        source = torch.tensor([[*task.vocabulary.source.encode(PROMPTS[number]), END]])
        targets = [*written.tokens, END] if written.finish == "end" else [*written.tokens]
        inputs = torch.tensor([[BEGIN, *targets[:-1]]])
        logits = task.average.logits(*task.average(source, torch.tensor([source.shape[1]]), inputs), source)
        own = logits[0].log_softmax(1).gather(1, torch.tensor(targets)[:, None])
        own = own[len(rows_of([number])[0]["prefix"][0] or "") :]  # in tokens, which are characters
        assert written.log_probability == pytest.approx(own.sum().item(), abs=1e-3 * len(own))


def test_the_prefix_is_kept_and_goes_on() -> None:
    task = sharp()
    prefixes = ["ein roter ", "", None, "weiter"]
    rows: dict[str, Any] = {
        "prompt": ["a red circle"] * 4,
        "prefix": prefixes,
        "decoding": [Decoding(max_tokens=6)] * 4,
    }
    texts = task.sample(rows, [(0, "x")] * 4)
    for prefix, written in zip(prefixes, texts, strict=True):
        start = task.vocabulary.target.encode(prefix or "")
        assert written.text.startswith(prefix or "") and list(written.tokens[: len(start)]) == start
        assert written.text == task.vocabulary.target.decode(written.tokens)
        assert len(written.tokens) == len(start) + 6 or written.finish == "end"
    assert texts[1] == texts[2] and len({written.text for written in texts}) == 3


def test_a_source_that_is_too_long_is_a_problem_of_its_own() -> None:
    task = sharp(num_source_tokens=10)
    prompts = ["green red", "green reds", "a", "green " * 100]  # of 9 tokens, and one for the end, and more
    keys = [(0, str(i)) for i in range(4)]
    rules = [Decoding(max_tokens=5)] * 4
    texts = task.sample({"prompt": prompts, "decoding": rules}, keys)
    assert texts[1] == GeneratedText.failed("the source has 10 tokens; this model reads 9")
    assert texts[3].problem == "the source has 600 tokens; this model reads 9" and texts[3].finish == "problem"
    short = task.sample({"prompt": prompts[::2], "decoding": rules[:2]}, keys[::2])
    assert [texts[0], texts[2]] == short and all(len(written.tokens) and not written.problem for written in short)
    assert task.sample({"prompt": prompts[1:2], "decoding": rules[:1]}, keys[1:2]) == texts[1:2]
    assert task.sample({"prompt": []}, []) == []


def test_a_constraint_is_one_of_the_targets_tokens() -> None:
    task = sharp()
    rules = Decoding(max_tokens=12, min_tokens=12, alphabet="enü")
    rows: dict[str, Any] = {"prompt": ["green", "two"], "prefix": ["", "n"], "decoding": [rules] * 2}
    for written in task.sample(rows, [(0, "a"), (0, "b")]):
        assert set(written.text) <= set("enü") and len(written.text) >= 12 and not written.problem


def test_unknown_tokens_are_counted_on_both_sides() -> None:
    task = model()
    # No source has w-umlaut letters or an x, no target an x or a hash; what a target knows a source need not.
    prompts = ["green", "grün", "x#", "green", "über", ""]
    prefixes = [None, "grün", "", "x#x", "über", "x"]
    assert task.count_unknown({"prompt": prompts, "prefix": prefixes}) == [0, 1, 2, 3, 1, 1]
    assert task.count_unknown({"prompt": prompts}) == [0, 1, 2, 0, 1, 0]
    shared = model(shared_vocabulary=True)
    assert shared.count_unknown({"prompt": prompts, "prefix": prefixes}) == [0, 0, 2, 3, 0, 1]


def test_vocabularies_are_of_each_side_or_of_both() -> None:
    own, shared = model().vocabulary, model(shared_vocabulary=True).vocabulary
    assert len(own.sides) == 2 and len(shared.sides) == 1 and shared.source is shared.target
    assert set(own.source.tokens[4:]) == set("".join(ROWS["source"]))
    assert set(own.target.tokens[4:]) == set("".join(ROWS["target"]))
    assert set(shared.source.tokens) == set(own.source.tokens) | set(own.target.tokens)
    assert Seq2Seq.vocabulary_columns(Seq2SeqConfig()) == ("source", "target")
    assert model().network.embeddings[0].shape[0] == len(own.source)


def step_of(
    task: Seq2Seq, monkeypatch: pytest.MonkeyPatch, batch: Batch, world_size: int = 1
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The gradient that a step would have a worker share with the others, and the step's metrics."""
    with monkeypatch.context() as patched:
        patched.setattr(distributed, "world_size", lambda: world_size)
        patched.setattr(task.player, "update", lambda: torch.zeros(()))
        metrics = task.step(batch)
    assert all(value.isfinite() for value in metrics.values())
    return torch.cat([p.grad.flatten() for p in task.network.parameters() if p.grad is not None]), metrics


@pytest.mark.parametrize("changes", [{}, ALL], ids=["plain", "all"])
def test_two_workers_learn_what_one_would(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    task = model(**changes)
    parts = [first_batch(task, rank, 2) for rank in range(2)]
    assert {len(part["tokens"]) for part in parts} == {3}
    (first, one), (second, other) = (step_of(task, monkeypatch, part, world_size=2) for part in parts)
    whole, metrics = step_of(task, monkeypatch, first_batch(task))
    torch.testing.assert_close((first + second) / 2, whole, rtol=1e-4, atol=1e-6)
    assert (first - second).abs().max() > 1e-2
    for name, value in metrics.items():
        assert float(one[name] + other[name]) / 2 == pytest.approx(float(value), rel=1e-5), name


@pytest.mark.parametrize("changes", [{}, ALL], ids=["plain", "all"])
def test_a_worker_without_rows_adds_nothing(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    task = model(num_source_tokens=12, num_target_tokens=12, **changes)
    rows = {"source": ["green" * 9] * 2, "target": ["grün" * 9] * 2}
    parts = [task.batches(rows, num_rows=1, seed=0, rank=rank, world_size=2).at(0) for rank in range(2)]
    assert (parts[1]["tokens"][:, 1:] == PAD).all() and int(parts[1]["num_targets"]) == 12
    none, _ = step_of(task, monkeypatch, parts[1], world_size=2)
    assert len(none) == sum(p.numel() for p in task.network.parameters()) and none.abs().max() == 0
    half, _ = step_of(task, monkeypatch, parts[0], world_size=2)
    alone, _ = step_of(task, monkeypatch, task.batches(rows, num_rows=1, seed=0).at(0))
    torch.testing.assert_close(half / 2, alone, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("changes", [{}, ALL, ALL | {"coverage_weight": 0.0}], ids=["plain", "all", "unweighted"])
def test_a_step_descends_on_the_mean_over_the_targets(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    task, twin = model(**changes), model(**changes)
    batch, config = first_batch(task), task.config
    tokens, count = batch["tokens"], int(batch["num_targets"])
    assert count == sum(len(target) + 1 for _, target in PAIRS)
    features, shares = twin.network(batch["source"], batch["source_lengths"], tokens[:, :-1])
    logits = twin.network.logits(features, shares, batch["source"])
    loss, smoothed = cross_entropies(logits, tokens[:, 1:], config.label_smoothing)
    twice = coverage_loss(shares, tokens[:, 1:])
    weight = config.coverage_weight if config.covers else 0.0
    ((smoothed + weight * twice) / count).backward()
    expected = torch.cat([p.grad.flatten() for p in twin.network.parameters() if p.grad is not None])
    torch.testing.assert_close(step_of(task, monkeypatch, batch)[0], expected, rtol=1e-5, atol=1e-7)
    metrics = model(**changes).step(batch)
    assert float(metrics["loss"]) == pytest.approx(loss.item() / count, rel=1e-5)  # without smoothing
    assert float(metrics["gradient_norm"]) == pytest.approx(expected.norm().item(), rel=1e-4)
    assert float(metrics["tokens"]) == count
    assert ("read_twice" in metrics) == config.covers
    if config.covers:
        assert float(metrics["read_twice"]) == pytest.approx(twice.item() / count, rel=1e-5)


def test_a_step_moves_the_network_and_the_average_after_it() -> None:
    task = model()
    before = task.network.bias.detach().clone()
    for step in range(3):
        task.step(task.batches(ROWS, num_rows=64, seed=0).at(step))
    assert task.step_index == 3 and not torch.equal(task.network.bias, before)
    assert not torch.equal(task.average.bias, before) and not torch.equal(task.average.bias, task.network.bias)
    assert not task.average.training and not any(p.requires_grad for p in task.average.parameters())


@pytest.mark.parametrize("changes", [{}, ALL], ids=["plain", "all"])
def test_likelihood_is_that_of_every_target_token(changes: dict[str, Any]) -> None:
    task = model(num_target_tokens=20, dropout=0.5, **changes)
    total, count = task.negative_log_likelihood(ROWS, cut_rows_end=False)
    expected, num = 0.0, 0
    for source, target in PAIRS:
        tokens = task.vocabulary.target.encode(target)
        wanted = tokens[:19] if len(tokens) > 19 else [*tokens, END]
        held = torch.tensor([[*task.vocabulary.source.encode(source), END]])
        inputs = torch.tensor([[BEGIN, *wanted[:-1]]])
        logits = task.average.logits(*task.average(held, torch.tensor([held.shape[1]]), inputs), held)
        expected -= logits[0].log_softmax(1).gather(1, torch.tensor(wanted)[:, None]).sum().item()
        num += len(wanted)
    assert count == num < sum(len(target) + 1 for _, target in PAIRS)
    assert total == pytest.approx(expected, rel=1e-5)
    reading = task.reading(ROWS)
    assert reading.num_characters == sum(min(19, len(target)) for _, target in PAIRS)
    assert reading.num_cut == sum(len(target) > 19 for _, target in PAIRS) > 0
    # Nothing was learnt yet: about as likely as any of the tokens.
    assert total / count == pytest.approx(math.log(len(task.vocabulary.target)), rel=0.3)


def test_training_goes_on_bit_for_bit() -> None:
    changes = ALL | {"dropout": 0.2, "weight_drop": 0.1, "variational": True, "layer_norm": True}
    task, other = model(**changes), model(**changes, seed=99)
    batches = task.batches(ROWS, num_rows=2, seed=0)
    for step in range(4):
        task.step(batches.at(step))
    files = checkpoint.pack(task, {"0.cpu": torch.get_rng_state()}, {"identity": "training"})
    losses = [float(task.step(batches.at(step))["loss"]) for step in range(4, 9)]
    other.step(batches.at(7))
    torch.manual_seed(1234)
    rng_states, position = checkpoint.restore(other, files)
    assert position == {"identity": "training"} and other.step_index == 4
    torch.set_rng_state(rng_states["0.cpu"])
    assert [float(other.step(batches.at(step))["loss"]) for step in range(4, 9)] == losses
    assert checkpoint.pack(other, {}, {}) == checkpoint.pack(task, {}, {})


@pytest.mark.parametrize("changes", [{"vocabulary": "subword", "max_vocabulary": 60}, ALL], ids=["subwords", "all"])
def test_a_model_is_the_same_after_it_was_stored(changes: dict[str, Any]) -> None:
    task = sharp(**changes)
    files = checkpoint.pack(task, {}, {})
    loaded = checkpoint.load_sampler({name: files[name] for name in checkpoint.SAMPLER_FILES})
    assert loaded.vocabulary == task.vocabulary and loaded.config == task.config
    assert loaded.sample(*rows_of(range(11))) == task.sample(*rows_of(range(11)))
    assert loaded.model_digest == json.loads(files[checkpoint.DESCRIPTION])["model_digest"]


def test_a_checkpoint_of_another_vocabulary_is_refused() -> None:
    files = checkpoint.pack(model(), {}, {})
    # One side alone is another, of the same size.
    for pairs in (
        [(source.replace("q", "z"), target) for source, target in PAIRS],
        [(source, target.replace("Q", "Z")) for source, target in PAIRS],
    ):
        other = model(pairs)
        sizes = [len(side) for side in other.vocabulary.sides]
        assert sizes == [len(side) for side in model().vocabulary.sides] and other.vocabulary != model().vocabulary
        before = other.network.bias.detach().clone()
        with pytest.raises(BadInput) as refused:
            checkpoint.restore(other, files, "folder")
        assert str(refused.value) == (
            "folder: its vocabulary differs from the data set's; use the same data set or another run_uri"
        )
        assert torch.equal(other.network.bias, before) and other.step_index == 0
    turned = model()
    turned.vocabulary = PairVocabulary(turned.vocabulary.sides[::-1])
    with pytest.raises(BadInput, match="its vocabulary differs"):
        checkpoint.restore(turned, files)
    with pytest.raises(BadInput, match="its task config differs from the recipe's"):
        checkpoint.restore(model(hidden_dim=10), files)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"embedding_dim": 0}, "task.embedding_dim is 0; allowed are values from 1 up"),
        ({"hidden_dim": -1}, "task.hidden_dim is -1; allowed are values from 1 up"),
        ({"num_encoder_layers": 0}, "task.num_encoder_layers is 0; allowed are values from 1 up"),
        ({"num_decoder_layers": 0}, "task.num_decoder_layers is 0; allowed are values from 1 up"),
        ({"num_target_tokens": 0}, "task.num_target_tokens is 0; allowed are values from 1 up"),
        ({"ema_half_life_steps": 0}, "task.ema_half_life_steps is 0; allowed are values from 1 up"),
        ({"num_steps": 0}, "task.num_steps is 0; allowed are values from 1 up"),
        ({"num_source_tokens": 0}, "task.num_source_tokens is 0; allowed are values from 1 to 16384"),
        ({"num_source_tokens": 16_385}, "task.num_source_tokens is 16385; allowed are values from 1 to 16384"),
        ({"dropout": 1.0}, "task.dropout is 1.0; allowed are values from 0 to below 1"),
        ({"weight_drop": -0.1}, "task.weight_drop is -0.1; allowed are values from 0 to below 1"),
        ({"label_smoothing": 1.0}, "task.label_smoothing is 1.0; allowed are values from 0 to below 1"),
        ({"coverage_weight": -1.0}, "task.coverage_weight is -1.0; allowed are values from 0 up"),
        ({"max_vocabulary": 65_537}, "task.max_vocabulary is 65537; allowed are values from 5 to 65536"),
        ({"max_vocabulary": 4}, "task.max_vocabulary is 4; allowed are values from 5 to 65536"),
        ({"hidden_dim": 9}, "task.hidden_dim is 9; allowed are multiples of task.num_directions (2) from 1 up"),
        ({"copies": True}, "task.copies needs task.shared_vocabulary: what is copied must be a token of the target"),
        (MINGRU_DROP, "task.weight_drop is 0.5 and task.cell mingru: it has no recurrent weights"),
        ({"optimiser": STILL}, "task.optimiser.learning_rate is 0.0; allowed are values above 0"),
    ],
)
def test_a_mistake_is_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        model(**changes)
    assert str(refused.value) == sentence


def test_values_at_the_edges_are_allowed() -> None:
    assert model(hidden_dim=9, num_directions=1).step(first_batch(model())).keys() >= {"loss", "tokens"}
    task = model(num_source_tokens=1, num_target_tokens=1, label_smoothing=0.0, coverage_weight=0.0)
    batch = first_batch(task)
    assert batch["source"].tolist() == [[END]] * 6 and batch["tokens"].tolist() == [[BEGIN, END]] * 6
    assert float(task.step(batch)["loss"]) > 0.0
    Seq2SeqConfig(num_source_tokens=16_384, max_vocabulary=65_536)
