"""Decoding against the same written by hand, one token after the other."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from ganrnn import noise
from ganrnn.decoding.decode import DecodingRequest
from ganrnn.decoding.rules import Decoding
from ganrnn.errors import BadInput
from ganrnn.text.vocabulary import BEGIN, END
from tests.unit.decoding.table_writer import LETTERS, Fixed, Pairs, Table, is_paired, log_softmax, request_of

INF = math.inf


def weights_of(logits: np.ndarray, rules: Decoding) -> tuple[np.ndarray, np.ndarray]:
    """Tokens in the order in which a place is drawn among them, and their probabilities."""
    order = np.arange(len(logits))
    if rules.top_k or rules.top_p < 1:
        order = np.argsort(-logits, kind="stable")
    weights = np.exp((logits[order] - logits.max()) / rules.temperature)
    weights[weights < rules.min_p] = 0.0
    weights[rules.top_k or len(weights) :] = 0.0
    weights /= weights.sum()
    if rules.top_p < 1:
        weights[np.cumsum(weights) - weights >= rules.top_p - 1e-12] = 0.0
    return order, weights / weights.sum()


def by_hand(model: Table, request: DecodingRequest) -> tuple[list[int], float, str]:
    """Tokens, log-probability and finish of a line without beams, one token after the other."""
    rules, tokens, total = request.decoding, list(request.prefix), 0.0
    for position in range(rules.max_tokens):
        raw = model.after(tokens)
        logits = raw.copy()
        for token in set(tokens):
            factor = rules.repetition_penalty
            logits[token] = logits[token] / factor if logits[token] > 0 else logits[token] * factor
        for text, value in rules.bias.items():
            logits[model.vocabulary.tokens.index(text)] += value
        logits[[model.vocabulary.tokens.index(text) for text in rules.banned]] = -INF
        logits[[0, 1, 2]] = -INF
        size = rules.no_repeat_ngram
        for start in range(len(tokens) - size + 1 if size else 0):
            if tokens[start : start + size - 1] == tokens[len(tokens) - size + 1 :]:
                logits[tokens[start + size - 1]] = -INF
        if position < rules.min_tokens:
            logits[END] = -INF
        token = int(logits.argmax())
        if rules.temperature:
            order, weights = weights_of(logits, rules)
            token = int(order[(np.cumsum(weights) > request.uniform[position]).argmax()])
        total += log_softmax(raw)[token]
        if token == END:
            return tokens, total, "end"
        tokens.append(token)
        counted = model.vocabulary.decode(tokens[len(request.prefix) + rules.min_tokens :])
        if any(stop in counted for stop in rules.stop):
            return tokens, total, "stop"
    return tokens, total, "length"


RULES: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0.0},
    "sampled": {},
    "cold": {"temperature": 0.3},
    "hot": {"temperature": 3.0},
    "top_k": {"top_k": 3},
    "top_p": {"top_p": 0.6},
    "min_p": {"min_p": 0.2},
    "all of these": {"temperature": 1.5, "top_k": 5, "top_p": 0.8, "min_p": 0.05},
    "penalty": {"temperature": 0.0, "repetition_penalty": 1.7},
    "penalty, sampled": {"repetition_penalty": 3.0, "top_p": 0.9},
    "no token twice": {"temperature": 0.0, "no_repeat_ngram": 1, "max_tokens": 9},
    "no pair twice": {"temperature": 0.0, "no_repeat_ngram": 2},
    "no triple twice": {"no_repeat_ngram": 3, "temperature": 0.2},
    "banned": {"temperature": 0.0, "banned": ("a", "cc")},
    "bias": {"temperature": 0.0, "bias": {"b": 3.0, "dd": -2.5}},
    "least": {"min_tokens": 7, "max_tokens": 9},
    "stop": {"stop": ("cb", "fa", "xyz")},
    "everything": {
        "temperature": 0.8,
        "top_k": 6,
        "top_p": 0.95,
        "min_p": 0.01,
        "repetition_penalty": 1.2,
        "no_repeat_ngram": 3,
        "min_tokens": 2,
        "max_tokens": 12,
        "stop": ("dda",),
        "banned": ("b",),
        "bias": {"a": 0.5},
    },
}


@pytest.fixture(scope="module")
def model() -> Table:
    return Table(LETTERS, seed=3, end=-2.0)


def requests_of(model: Table, rules: dict[str, Any]) -> list[DecodingRequest]:
    rules = {"max_tokens": 20, **rules}
    prefixes: list[tuple[str, ...]] = [(), (), (), (), (), ("a",), ("e", "f"), ("a", "cc", "dd"), ("cc", "a")]
    return [request_of(model, prefix, key, **rules) for key, prefix in enumerate(prefixes)]


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_each_rule_is_that_written_by_hand(model: Table, rules: dict[str, Any]) -> None:
    requests = requests_of(model, rules)
    finishes = set()
    for request, generated in zip(requests, model.generate(requests), strict=True):
        tokens, total, finish = by_hand(model, request)
        assert (list(generated.tokens), generated.finish, generated.problem) == (tokens, finish, "")
        assert generated.log_probability == pytest.approx(total, abs=1e-5)
        assert generated.constraint_cost == 0.0
        if finish != "stop":
            assert generated.text == model.vocabulary.decode(tokens)
        finishes.add(finish)
    plain = model.generate(requests_of(model, {"temperature": 0.0} if rules.get("temperature") == 0 else {}))
    assert rules in ({"temperature": 0.0}, {}) or [w.text for w in plain] != [w.text for w in model.generate(requests)]
    assert "stop" in finishes or "stop" not in rules or len(rules) > 1


def test_rows_with_rules_of_their_own_are_written_as_alone(model: Table) -> None:
    beams: list[dict[str, Any]] = [{"num_beams": 3}, {"num_beams": 2, "length_penalty": 1.0, "no_repeat_ngram": 2}]
    requests = [request for rules in [*RULES.values(), *beams] for request in requests_of(model, rules)]
    alone = [model.generate([request])[0] for request in requests]
    order = noise.permutation(len(requests), 0, "order").tolist()
    for size in (7, len(requests)):
        for start in range(0, len(order), size):
            part = order[start : start + size]
            for i, generated in zip(part, model.generate([requests[i] for i in part]), strict=True):
                assert repr(generated) == repr(alone[i])


def test_no_lines_give_no_texts(model: Table) -> None:
    assert model.generate([]) == []


def drawn_logits(num: int, scale: float, seed: int = 0) -> torch.Tensor:
    return scale * torch.randn(num, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "logits",
    [drawn_logits(16, 2.0), drawn_logits(16, 2.0, seed=1).round(), torch.zeros(16)],
    ids=["any", "ties", "flat"],
)
def test_tokens_are_drawn_from_what_the_rules_leave(logits: torch.Tensor) -> None:
    names: tuple[str, ...] = ("temperature", "top_k", "top_p", "min_p")
    values: list[tuple[Any, ...]] = [(0.5, 1.0, 2.0), (0, 1, 4, 50), (1.0, 0.35, 0.9), (0.0, 0.15, 1.0)]
    rules = [Decoding(max_tokens=1, **dict(zip(names, of, strict=True))) for of in itertools.product(*values)]
    table = Fixed(logits)
    num = 150
    allowed = table.fixed.numpy().copy()
    allowed[[0, 1, 2]] = -INF
    for each, counts in zip(rules, table.frequencies(rules, num), strict=True):
        order, weights = weights_of(allowed, each)
        expected = np.zeros(len(order))
        expected[order] = weights
        assert set(np.flatnonzero(counts)) <= set(np.flatnonzero(expected))
        assert {i for i, share in enumerate(expected) if share > 1.0 / num} <= set(np.flatnonzero(counts))
        np.testing.assert_allclose(counts, expected, rtol=0, atol=1.01 / num)


@pytest.mark.parametrize("scale", [0.05, 2.0, 6.0])
def test_so_they_are_of_more_tokens_than_are_looked_at_first(scale: float) -> None:
    table = Fixed(drawn_logits(700, scale))
    rules = [
        Decoding(max_tokens=1, top_k=top_k, top_p=top_p, min_p=min_p)
        for top_k, top_p, min_p in [
            (511, 1.0, 0.0), (512, 1.0, 0.0), (512, 0.9, 0.0), (513, 0.9, 0.0), (600, 0.5, 0.0), (600, 1.0, 0.0),
            (650, 0.95, 1e-3), (5_000, 0.4, 0.0), (0, 0.4, 0.0), (0, 0.99, 0.0), (0, 0.9, 0.01), (30, 0.5, 0.0),
        ]
    ]  # fmt: skip
    logits = table.fixed.numpy().copy()
    logits[[0, 1, 2]] = -INF
    requests, expected = [], []
    for each in rules:
        order, weights = weights_of(logits, each)
        for u in (np.arange(40) + 0.5) / 40:
            requests.append(DecodingRequest(each, (), np.array([u, 0.0])))
            expected.append(int(order[(np.cumsum(weights) > u).argmax()]))
    together = table.generate(requests)
    assert [(*generated.tokens, END)[0] for generated in together] == expected
    # Whether another row of the batch made it look further changes nothing.
    for start in range(0, len(requests), 40):
        assert table.generate(requests[start : start + 40]) == together[start : start + 40]


@pytest.mark.parametrize("temperature", [1e-308, 1e-9])
def test_the_coldest_draws_are_the_likeliest(model: Table, temperature: float) -> None:
    greedy = model.generate(requests_of(model, {"temperature": 0.0}))
    assert model.generate(requests_of(model, {"temperature": temperature})) == greedy


def test_least_and_most_tokens_are_those_after_the_prefix() -> None:
    eager, endless = Table(LETTERS, end=20.0), Table(LETTERS, end=-900.0)
    for prefix in ((), ("a", "cc", "b")):
        for rules in ({}, {"temperature": 0.0}, {"num_beams": 3}):
            for least in (0, 1, 5):
                generated = eager.generate([request_of(eager, prefix, min_tokens=least, max_tokens=8, **rules)])[0]
                assert (len(generated.tokens), generated.finish) == (len(prefix) + least, "end")
            for most in (1, 6):
                generated = endless.generate([request_of(endless, prefix, max_tokens=most, **rules)])[0]
                assert (len(generated.tokens), generated.finish) == (len(prefix) + most, "length")


@pytest.mark.parametrize("rules", [{}, {"temperature": 0.0}, {"num_beams": 2, "max_tokens": 2}], ids=str)
def test_a_prefix_is_forced_however_long(model: Table, rules: dict[str, Any]) -> None:
    prefix = ("a", "b", "cc", "dd", "e", "f") * 2
    requests = [request_of(model, prefix[:num], **{"max_tokens": 3, **rules}) for num in range(13)]
    for num, generated in enumerate(model.generate(requests)):
        assert generated.text.startswith("".join(prefix[:num]))
        more = generated.tokens[num:]
        most = requests[num].decoding.max_tokens
        assert len(more) <= most and (len(more) < most) == (generated.finish == "end")
        expected = model.log_probability(generated.tokens, num, generated.finish == "end")
        assert generated.log_probability == pytest.approx(expected, abs=1e-5)


def test_a_text_ends_before_a_stop() -> None:
    # The likeliest tokens in a row: "one", " two", ", ", "thr", "ee f", "our".
    table = Table(("one", " two", ", ", "thr", "ee f", "our"), scale=0.1)
    for token in range(4, 10):
        table.logits[:, token, (token + 1) % 10 or 4] = 30.0
    table.logits[:, BEGIN, 4] = 30.0
    whole = "one two, three four"
    rules: dict[str, Any] = {"temperature": 0.0, "max_tokens": 6}
    for stops, expected in [
        ((", thr",), "one two"),
        (("three", "o,"), "one tw"),
        (("r",), "one two, th"),
        ((whole,), ""),
        (("e t", "ne two"), "o"),
        (("four.",), whole),
        (("ee", "e f"), "one two, thr"),
    ]:
        for form in (rules, {"num_beams": 2, "max_tokens": 6}):
            generated = table.generate([request_of(table, stop=stops, **form)])[0]
            assert generated.text == expected
            assert generated.finish == ("length" if expected == whole else "stop")
    # A stop in the prefix is none, nor is one that begins there.
    generated = table.generate(
        [request_of(table, ("one", " two"), stop=("one", "two, "), **{**rules, "max_tokens": 4})]
    )[0]
    assert (generated.text, generated.finish) == (whole, "length")
    generated = table.generate([request_of(table, ("one", " two"), stop=("e",), **rules)])[0]
    assert (generated.text, generated.finish) == ("one two, thr", "stop")


@pytest.mark.parametrize("rules", [{}, {"temperature": 0.0}, {"top_p": 0.7, "repetition_penalty": 1.5}], ids=str)
def test_a_constraint_is_kept_and_its_cost_counted(model: Table, rules: dict[str, Any]) -> None:
    constraint = Pairs(model)
    prefixes: list[tuple[str, ...]] = [(), ("a",), ("e", "f"), ("a", "cc", "dd")]
    requests = [request_of(model, prefixes[i % 4], i, constraint, max_tokens=2 + i % 5, **rules) for i in range(20)]
    lengths, costs = set(), []
    for request, generated in zip(requests, model.generate(requests), strict=True):
        tokens, num = list(generated.tokens), len(request.prefix)
        assert tokens[:num] == list(request.prefix) and is_paired(tokens)
        assert (generated.finish, generated.problem) == ("end", "") and len(tokens) <= num + request.decoding.max_tokens
        assert generated.log_probability == pytest.approx(model.log_probability(tokens, num), abs=1e-5)
        cost, state = 0.0, constraint.start()
        for i, token in enumerate([*tokens, END]):
            if i >= num:
                logits = model.after(tokens[:i]).copy()
                for seen in set(tokens[:i]):
                    factor = request.decoding.repetition_penalty
                    logits[seen] = logits[seen] / factor if logits[seen] > 0 else logits[seen] * factor
                weights = np.exp(logits) * (np.arange(len(logits)) > 2)
                left = constraint.allowed(state, num + request.decoding.max_tokens - i)
                cost -= math.log(weights[left].sum() / weights.sum())
            if token != END:
                state = constraint.advance(state, token)
        assert generated.constraint_cost == pytest.approx(cost, abs=1e-4)
        costs.append(cost)
        lengths.add(len(tokens))
    assert lengths >= {2, 4} and sum(costs) > 5


def test_dead_ends_are_told_and_hurt_nobody_else(model: Table) -> None:
    everything: dict[str, Any] = {"banned": LETTERS, "min_tokens": 1}
    fine = request_of(model, ("a",), 3)
    for rules in ({}, {"temperature": 0.0}, {"num_beams": 2}, {"top_k": 3}, {"top_p": 0.5}):
        nowhere = request_of(model, (), 0, **everything, **rules)
        broken = request_of(model, ("e", "e", "f"), 0, Pairs(model), **rules)
        too_short = request_of(model, ("a", "b", "e"), 0, Pairs(model), **{**rules, "max_tokens": 1, "banned": LETTERS})
        first, second, third, last = model.generate([nowhere, broken, too_short, fine])
        assert [w.finish for w in (first, second, third)] == ["problem"] * 3
        assert first.problem.startswith("nothing may follow '': the constraint, max_tokens (256) and banned tokens")
        assert second.problem == "the text may not begin with 'eef': the constraint is broken after 'e'"
        assert third.problem.startswith("nothing may follow 'abe'") and "max_tokens (1)" in third.problem
        assert (second.text, third.text) == ("e", "abe")
        assert repr(last) == repr(model.generate([fine])[0]) and not last.problem


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"temperature": -0.1}, "temperature is -0.1; allowed are values from 0.0 to 100.0"),
        ({"temperature": math.nan}, "temperature is nan; allowed"),
        ({"temperature": 101}, "temperature is 101; allowed"),
        ({"top_k": -1}, "top_k is -1; allowed are values from 0 to 65536"),
        ({"top_p": 0.0}, "top_p is 0.0; allowed are values from 1e-09 to 1.0"),
        ({"top_p": 1.1}, "top_p is 1.1; allowed"),
        ({"min_p": 1.5}, "min_p is 1.5; allowed are values from 0.0 to 1.0"),
        ({"num_beams": 0}, "num_beams is 0; allowed are values from 1 to 64"),
        ({"num_beams": 65}, "num_beams is 65; allowed"),
        ({"length_penalty": -1.0}, "length_penalty is -1.0; allowed are values from 0.0 to 10.0"),
        ({"coverage_penalty": -1.0}, "coverage_penalty is -1.0; allowed"),
        ({"repetition_penalty": 0.9}, "repetition_penalty is 0.9; allowed are values from 1.0 to 100.0"),
        ({"no_repeat_ngram": -2}, "no_repeat_ngram is -2; allowed are values from 0 to 100"),
        ({"max_tokens": 0}, "max_tokens is 0; allowed are values from 1 to 100000"),
        ({"max_tokens": -5}, "max_tokens is -5; allowed are values from 1 to 100000"),
        ({"min_tokens": 4, "max_tokens": 3}, "min_tokens is 4; allowed are values from 0 to max_tokens (3)"),
        ({"bias": {"a": math.nan}}, "bias of 'a' is nan; allowed are values to 1000.0 either way"),
        ({"bias": {"a": 1.0, "b": -1e4}}, "bias of 'b' is -10000.0; allowed"),
        ({"stop": ("x", "")}, "stop holds an empty text; allowed are texts of one character at least"),
    ],
    ids=str,
)
def test_rules_that_cannot_be_are_refused(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as refused:
        Decoding(**rules)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("rules", [{"banned": ("a", "zz")}, {"bias": {"zz": 1.0}}, {"banned": ("<end>",)}], ids=str)
def test_tokens_that_are_none_are_refused(model: Table, rules: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"'(zz|<end>)' is no token of the vocabulary, whose tokens are words"):
        model.generate([request_of(model, **rules)])
