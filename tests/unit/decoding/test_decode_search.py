"""Beam search against all texts there are, and against a search that never stops early."""

import itertools

import pytest
import torch

from ganrnn.decoding.decode import DecodingRequest
from ganrnn.text.vocabulary import BEGIN, END
from tests.unit.decoding.table_writer import LETTERS, Fixed, Pairs, Table, is_paired, line_of, log_softmax


def every_text(model: Table, line: DecodingRequest) -> list[tuple[float, tuple[int, ...], str]]:
    """All texts up to max_tokens after the prefix, the best first, with their scores."""
    rules, prefix = line.decoding, list(line.prefix)
    found = []
    for length in range(rules.max_tokens + 1):
        for more in itertools.product(range(4, len(model.vocabulary)), repeat=length):
            tokens = [*prefix, *more]
            ended = length < rules.max_tokens
            score = model.log_probability(tokens, len(prefix), ended) / ((5 + length) / 6) ** rules.length_penalty
            read = ([BEGIN, *tokens] if ended else [BEGIN, *tokens[:-1]])[-1]
            score += rules.coverage_penalty * model.log_coverage(torch.tensor([read]))[0]
            found.append((score, tuple(tokens), "end" if ended else "length"))
    return sorted(found, key=lambda held: (-held[0], held[1]))


@pytest.mark.parametrize("prefix", [(), ("b",), ("b", "a", "c", "c", "a", "b")])
@pytest.mark.parametrize(
    "penalties",
    [{}, {"length_penalty": 0.8}, {"length_penalty": 3.0}, {"coverage_penalty": 2.0, "length_penalty": 0.8}],
    ids=str,
)
def test_a_wide_search_finds_the_best_of_all_texts(prefix: tuple[str, ...], penalties: dict[str, float]) -> None:
    made = Table(("a", "b", "c"), seed=5, scale=1.0)
    places = [0, 1, 2, 3, 4, 9, 30, 63]
    lines = [line_of(made, prefix, 0, None, num_beams=64, max_tokens=4, **penalties)] * len(places)
    expected = every_text(made, lines[0])
    for place, written in zip(places, made.generate(lines, places), strict=True):
        _, tokens, finish = expected[place]
        assert (written.tokens, written.finish) == (tokens, finish), place
        ended = finish == "end"
        assert written.log_probability == pytest.approx(made.log_probability(tokens, len(prefix), ended), abs=1e-5)
    assert len({score for score, _, _ in expected}) == len(expected)


def beams_by_hand(model: Table, line: DecodingRequest) -> list[tuple[int, ...]]:
    """A search that never stops early: the texts that it finished, the best first."""
    rules, start = line.decoding, len(line.prefix)
    drafts, finished = [(0.0, tuple(line.prefix))], []

    def finish(total: float, tokens: tuple[int, ...]) -> None:
        finished.append((-total / ((5 + len(tokens) - start) / 6) ** rules.length_penalty, tokens))

    for place in range(rules.max_tokens):
        longer = []
        for total, tokens in drafts:
            scores = total + log_softmax(model.after(tokens))
            longer += [(scores[token], tokens, token) for token in range(3, len(scores))]
        longer = sorted(longer, key=lambda held: -held[0])[: 2 * rules.num_beams]
        drafts = []
        for total, tokens, token in longer:
            if token == END:
                finish(total, tokens)
            elif place == rules.max_tokens - 1:
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
        made = Table(LETTERS, seed, scale=2.0, end=1.0)
        for prefix in ((), ("a", "b", "e", "f") * 3):
            rules = {"num_beams": num_beams, "max_tokens": 9, "length_penalty": length_penalty}
            lines = [line_of(made, prefix, 0, None, **rules)] * num_beams
            expected = beams_by_hand(made, lines[0])[:num_beams]
            found = [written.tokens for written in made.generate(lines, range(num_beams))]
            assert found == expected
            lengths |= {len(tokens) - len(prefix) for tokens in found}
    assert len(lengths) > 2


def test_runners_up_beyond_the_last_are_the_last() -> None:
    made = Table(("a",), seed=0)
    lines = [line_of(made, num_beams=10, max_tokens=1)] * 4  # only the empty text and "a" are there
    texts = [written.text for written in made.generate(lines, [0, 1, 2, 9])]
    assert sorted(texts[:2]) == ["", "a"] and texts[2:] == [texts[1]] * 2


def test_the_likeliest_of_equals_stands_first() -> None:
    made = Fixed(torch.tensor([5.0, 5.0, 5.0, -9.0, 2.0, 2.0, 2.0, 2.0]))
    greedy, beam, second, third = made.generate(
        [line_of(made, temperature=0.0, max_tokens=3), *[line_of(made, num_beams=3, max_tokens=3)] * 3], [0, 0, 1, 2]
    )
    assert greedy.text == beam.text == "t0t0t0"
    assert [second.text, third.text] == ["t0t0t1", "t0t0t2"]


def test_a_wide_search_finds_the_best_of_all_texts_that_a_constraint_leaves() -> None:
    made = Table(("a", "b", "c"), seed=5, scale=1.0)
    lines = [line_of(made, (), 0, Pairs(made), num_beams=64, max_tokens=4)] * 6
    expected = []
    for length in (0, 2, 4):
        for tokens in itertools.product(range(4, 7), repeat=length):
            if is_paired(tokens):
                expected.append((-made.log_probability(tokens), tokens))
    found = made.generate(lines, range(6))
    assert [written.tokens for written in found] == [tokens for _, tokens in sorted(expected)[:6]]
    assert {written.finish for written in found} == {"end"}


def test_a_beam_that_comes_to_a_dead_end_loses() -> None:
    made = Table(("a", "b", "c"), seed=0, scale=0.5)
    made.logits[:, BEGIN, 4] = 20.0  # the likeliest first token is the one that nothing may follow
    lines = [line_of(made, (), 0, Pairs(made, dead=4), num_beams=3, max_tokens=4), line_of(made, (), 0, Pairs(made, 4))]
    searched, sampled = made.generate(lines)
    assert (searched.finish, searched.problem) == ("end", "") and 4 not in searched.tokens
    assert sampled.finish == "problem" and sampled.text == "a"


def test_what_could_not_be_ended_is_not_among_the_best() -> None:
    made = Table(("a", "b", "c"), seed=0, scale=0.5)
    made.logits[:, BEGIN, 4] = 20.0
    lines = [line_of(made, (), 0, Pairs(made, dead=4), num_beams=40, max_tokens=2)] * 2
    last, beyond = made.generate(lines, [8, 39])  # the empty text, and pairs of the other two letters
    assert not last.problem and last == beyond
