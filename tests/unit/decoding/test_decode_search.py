"""Beam search against all texts there are, and against a search that never stops early."""

import itertools

import pytest
import torch

from ganrnn.decoding.constraints import Pattern
from ganrnn.decoding.decode import DecodingRequest
from ganrnn.text.vocabulary import BEGIN, END
from tests.unit.decoding.table_writer import LETTERS, Fixed, Pairs, Table, is_paired, log_softmax, request_of


def every_text(model: Table, request: DecodingRequest) -> list[tuple[float, tuple[int, ...], str]]:
    """All texts up to max_tokens after the prefix, the best first, with their scores."""
    rules, prefix = request.decoding, list(request.prefix)
    result = []
    for length in range(rules.max_tokens + 1):
        for more in itertools.product(range(4, len(model.vocabulary)), repeat=length):
            tokens = [*prefix, *more]
            ended = length < rules.max_tokens
            score = model.log_probability(tokens, len(prefix), ended) / ((5 + length) / 6) ** rules.length_penalty
            read = ([BEGIN, *tokens] if ended else [BEGIN, *tokens[:-1]])[-1]
            score += rules.coverage_penalty * model.log_coverage(torch.tensor([read]))[0]
            result.append((score, tuple(tokens), "end" if ended else "length"))
    return sorted(result, key=lambda held: (-held[0], held[1]))


@pytest.mark.parametrize("prefix", [(), ("b",), ("b", "a", "c", "c", "a", "b")])
@pytest.mark.parametrize(
    "penalties",
    [{}, {"length_penalty": 0.8}, {"length_penalty": 3.0}, {"coverage_penalty": 2.0, "length_penalty": 0.8}],
    ids=str,
)
def test_a_wide_search_finds_the_best_of_all_texts(prefix: tuple[str, ...], penalties: dict[str, float]) -> None:
    table = Table(("a", "b", "c"), seed=5, scale=1.0)
    places = [0, 1, 2, 3, 4, 9, 30, 63]
    requests = [request_of(table, prefix, 0, None, num_beams=64, max_tokens=4, **penalties)] * len(places)
    expected = every_text(table, requests[0])
    for position, generated in zip(places, table.generate(requests, places), strict=True):
        _, tokens, finish = expected[position]
        assert (generated.tokens, generated.finish) == (tokens, finish), position
        ended = finish == "end"
        assert generated.log_probability == pytest.approx(table.log_probability(tokens, len(prefix), ended), abs=1e-5)
    assert len({score for score, _, _ in expected}) == len(expected)


def beams_by_hand(model: Table, request: DecodingRequest) -> list[tuple[int, ...]]:
    """A search that never stops early: the texts that it finished, the best first."""
    rules, start = request.decoding, len(request.prefix)
    drafts, finished = [(0.0, tuple(request.prefix))], []

    def finish(total: float, tokens: tuple[int, ...]) -> None:
        finished.append((-total / ((5 + len(tokens) - start) / 6) ** rules.length_penalty, tokens))

    for position in range(rules.max_tokens):
        longer = []
        for total, tokens in drafts:
            scores = total + log_softmax(model.after(tokens))
            longer += [(scores[token], tokens, token) for token in range(3, len(scores))]
        longer = sorted(longer, key=lambda held: -held[0])[: 2 * rules.num_beams]
        drafts = []
        for total, tokens, token in longer:
            if token == END:
                finish(total, tokens)
            elif position == rules.max_tokens - 1:
                finish(total, (*tokens, token))
            else:
                drafts.append((total, (*tokens, token)))
        drafts = drafts[: rules.num_beams]
    return [tokens for _, tokens in sorted(finished)]


@pytest.mark.parametrize("length_penalty", [0.0, 0.8, 2.0])
@pytest.mark.parametrize("num_beams", [2, 4])
def test_a_narrow_search_stops_no_sooner_than_it_may(num_beams: int, length_penalty: float) -> None:
    lengths = set()
    for seed in range(6):
        table = Table(LETTERS, seed, scale=2.0, end=1.0)
        for prefix in ((), ("a", "b", "e", "f") * 3):
            rules = {"num_beams": num_beams, "max_tokens": 9, "length_penalty": length_penalty}
            requests = [request_of(table, prefix, 0, None, **rules)] * num_beams
            expected = beams_by_hand(table, requests[0])[:num_beams]
            result = [generated.tokens for generated in table.generate(requests, range(num_beams))]
            assert result == expected
            lengths |= {len(tokens) - len(prefix) for tokens in result}
    assert len(lengths) > 2


def test_runners_up_beyond_the_last_are_the_last() -> None:
    table = Table(("a",), seed=0)
    requests = [request_of(table, num_beams=10, max_tokens=1)] * 4  # only the empty text and "a" are there
    texts = [generated.text for generated in table.generate(requests, [0, 1, 2, 9])]
    assert sorted(texts[:2]) == ["", "a"] and texts[2:] == [texts[1]] * 2


def test_the_likeliest_of_equals_stands_first() -> None:
    table = Fixed(torch.tensor([5.0, 5.0, 5.0, -9.0, 2.0, 2.0, 2.0, 2.0]))
    greedy, beam, second, third = table.generate(
        [request_of(table, temperature=0.0, max_tokens=3), *[request_of(table, num_beams=3, max_tokens=3)] * 3],
        [0, 0, 1, 2],
    )
    assert greedy.text == beam.text == "t0t0t0"
    assert [second.text, third.text] == ["t0t0t1", "t0t0t2"]


def test_a_wide_search_finds_the_best_of_all_texts_that_a_constraint_leaves() -> None:
    table = Table(("a", "b", "c"), seed=5, scale=1.0)
    requests = [request_of(table, (), 0, Pairs(table), num_beams=64, max_tokens=4)] * 6
    expected = []
    for length in (0, 2, 4):
        for tokens in itertools.product(range(4, 7), repeat=length):
            if is_paired(tokens):
                expected.append((-table.log_probability(tokens), tokens))
    result = table.generate(requests, range(6))
    assert [generated.tokens for generated in result] == [tokens for _, tokens in sorted(expected)[:6]]
    assert {generated.finish for generated in result} == {"end"}


def test_a_beam_that_comes_to_a_dead_end_loses() -> None:
    table = Table(("a", "b", "c"), seed=0, scale=0.5)
    table.logits[:, BEGIN, 4] = 20.0  # the likeliest first token is the one that nothing may follow
    requests = [
        request_of(table, (), 0, Pairs(table, dead=4), num_beams=3, max_tokens=4),
        request_of(table, (), 0, Pairs(table, 4)),
    ]
    searched, sampled = table.generate(requests)
    assert (searched.finish, searched.problem) == ("end", "") and 4 not in searched.tokens
    assert sampled.finish == "problem" and sampled.text == "a"


def test_what_could_not_be_ended_is_not_among_the_best() -> None:
    table = Table(("a", "b", "c"), seed=0, scale=0.5)
    table.logits[:, BEGIN, 4] = 20.0
    requests = [request_of(table, (), 0, Pairs(table, dead=4), num_beams=40, max_tokens=2)] * 2
    texts = table.generate(requests * 2, [0, 1, 2, 39])  # the empty text, and pairs of the other two letters
    assert not any(text.problem for text in texts[:3]) and len({text.text for text in texts[:3]}) == 3
    assert texts[3].problem == "best is 39, from 0 on; the search ends with 3 different texts"


def test_the_n_best_are_n_different_texts_or_fewer_and_said_so() -> None:
    table = Table(("a", "b", "ab", "aa"), seed=1, scale=0.5)
    request = request_of(table, (), 0, None, num_beams=12, max_tokens=3)
    places = list(range(12))
    best = table.generate([request] * 12, places)
    assert not any(text.problem for text in best) and len({text.text for text in best}) == 12
    scores = [text.log_probability for text in best]
    assert scores == sorted(scores, reverse=True)


def test_a_constraint_may_leave_fewer_texts_than_are_asked_for() -> None:
    table = Table(("a", "b", "ab"), seed=1, scale=0.5)
    pattern = Pattern(table.vocabulary.surfaces, END, "ab|b")  # type: ignore[attr-defined]
    request = request_of(table, (), 0, pattern, num_beams=6, max_tokens=3)
    texts = table.generate([request] * 6, list(range(6)))
    assert {text.text for text in texts[:2]} == {"ab", "b"} and not any(text.problem for text in texts[:2])
    assert [text.problem for text in texts[2:]] == [
        f"best is {rank}, from 0 on; the search ends with 2 different texts" for rank in range(2, 6)
    ]
