"""Diversity of texts: counts by hand, Self-BLEU as sacrebleu has it pair by pair, copies of training texts."""

import random

import pytest
import sacrebleu
from sacrebleu.metrics.bleu import BLEU

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.share import Share
from ganrnn.metrics.texts.diversity import distinct, distinct_given_prompt, duplicates, mean_bleu, self_bleu
from ganrnn.text.captions import Level, tokenise

DRAW = random.Random(0)
WORDS = [*(f"w{i}" for i in range(9)), "红", "圆", ","]
TEXTS = [" ".join(DRAW.choices(WORDS, k=DRAW.randrange(20))) for _ in range(30)] + ["w1 w2 w3 w4 w5"] * 2 + ["", "W1"]


@pytest.mark.parametrize(
    ("texts", "n", "level", "expected"),
    [
        (["a b a", "b c"], 1, "word", 3 / 5),
        (["a b a", "b c"], 2, "word", 3 / 3),
        (["a b a b", "A B"], 2, "word", 2 / 4),
        (["a b a", "b c"], 3, "word", 1 / 1),
        (["a b a", "b c"], 4, "word", 0.0),
        (["红圆红", "圆 红"], 1, "word", 2 / 5),
        (["红圆红", "圆 红"], 2, "character", 4 / 4),
        (["aab", "aab"], 2, "character", 2 / 4),
        (["", ""], 1, "word", 0.0),
        (["\ud800\ud800"], 1, "character", 1 / 2),
    ],
)
def test_distinct(texts: list[str], n: int, level: Level, expected: float) -> None:
    assert distinct(texts, n, level) == expected
    assert distinct(texts[::-1], n, level) == expected


@pytest.mark.parametrize(
    ("texts", "prompts", "expected"),
    [
        (["a", "a", "a", "a"], ["p", "p", "p", "p"], 1 / 4),
        (["a", "b", "a", "b"], ["p", "p", "q", "q"], 1.0),
        (["a", "b", "a", "a", "a"], ["p", "q", "p", "q", "q"], 3 / 5),
        (["a", "a", "a"], ["p", "q", "q"], 1 / 2),
        (["a", "a"], ["p", "q"], None),
        ([], [], None),
    ],
)
def test_distinct_given_prompt_counts_prompts_with_several_texts(
    texts: list[str], prompts: list[str], expected: float | None
) -> None:
    assert distinct_given_prompt(texts, prompts) == expected
    assert distinct_given_prompt(texts[::-1], prompts[::-1]) == expected


def test_ngrams_reach_over_no_end_of_a_text() -> None:
    assert distinct(["a b", "a b", "a b"], 2, "word") == 1 / 3


def pairwise_self_bleu(texts: list[str]) -> float:
    """What sacrebleu gives for each text against the others, given the tokens."""
    split = [" ".join(tokenise(text, "word")) for text in texts]
    metric = BLEU(tokenize="none", smooth_method="exp", effective_order=True)
    scores = [metric.sentence_score(text, split[:i] + split[i + 1 :]).score for i, text in enumerate(split)]
    return sum(scores) / len(scores)


def test_self_bleu_of_all_is_sacrebleus_of_each_against_the_others() -> None:
    result = self_bleu(TEXTS, len(TEXTS), seed=0)
    assert result.score == pytest.approx(pairwise_self_bleu(TEXTS), rel=1e-12)
    assert 20 < result.score < 80
    version = sacrebleu.__version__
    assert result.signature == f"nrefs:33|case:lc|eff:yes|tok:ganrnn-word|smooth:exp|seed:0|version:{version}"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a b c d e", "f g h i j"], 0.0),
        (["a b c d e", "A b c d e"], 100.0),
        (["a b c d e", "f g h i j", "a b c d e"], 200 / 3),
        (["a b", "a b"], 100.0),  # too short for orders 3 and 4
        (["", ""], 0.0),
        # 1/1 of unigrams of a: clipped at the one a of the other text, 1/4, 0/3, 0/2, 0/1 with a half each time anew,
        # against 1/1 with the brevity penalty exp(1 - 4)
        (["a a a a", "a"], (100 * (1 / 4 / 6 / 8 / 8) ** 0.25 + 100 * 2.718281828459045**-3) / 2),
    ],
)
def test_self_bleu_by_hand(texts: list[str], expected: float) -> None:
    assert self_bleu(texts, len(texts), seed=0).score == pytest.approx(expected, rel=1e-12)


def test_mean_bleu_is_sacrebleus_of_each_against_all() -> None:
    references, texts = TEXTS[::2], TEXTS[1::2]
    bleu = BLEU(tokenize="none", effective_order=True)
    pairs = [(" ".join(tokenise(text, "word")), [" ".join(tokenise(r, "word")) for r in references]) for text in texts]
    expected = sum(bleu.sentence_score(text, others).score for text, others in pairs) / len(pairs)
    result = mean_bleu(texts, references)
    assert result.score == pytest.approx(expected, rel=1e-12) and f"nrefs:{len(references)}|" in result.signature
    assert mean_bleu(texts[::-1], references[::-1]) == result
    assert mean_bleu(TEXTS[-4:-2], references + TEXTS[-4:]).score == pytest.approx(100)
    with pytest.raises(BadInput, match="BLEU: 0 texts, at least 1 is needed"):
        mean_bleu(texts, [])


def test_self_bleu_depends_on_the_seed_and_on_no_order() -> None:
    scores = {self_bleu(TEXTS, 10, seed).score for seed in range(5)}
    assert len(scores) == 5
    for attempt in range(3):
        shuffled = random.Random(attempt).sample(TEXTS, len(TEXTS))
        assert self_bleu(shuffled, 10, seed=0) == self_bleu(TEXTS, 10, seed=0)
        assert self_bleu(shuffled, len(TEXTS), seed=attempt).score == self_bleu(TEXTS, len(TEXTS), seed=9).score


def test_a_collapsed_set_has_a_higher_self_bleu() -> None:
    draw = random.Random(2)
    vocabulary = [f"w{i}" for i in range(50)]
    varied = [" ".join(draw.choices(vocabulary, k=30)) for _ in range(500)]
    collapsed = [" ".join(draw.choices(vocabulary[:5], k=30)) for _ in range(500)]
    assert self_bleu(varied, 500, seed=0).score < self_bleu(collapsed, 500, seed=0).score - 20
    assert distinct(varied, 3, "word") > 10 * distinct(collapsed, 3, "word")


@pytest.mark.parametrize("num_sampled", [-1, 0, 1, 35])
def test_sizes_of_samples_that_do_not_fit_are_refused(num_sampled: int) -> None:
    with pytest.raises(BadInput, match=f"num_sampled is {num_sampled}, allowed are 2 to 34"):
        self_bleu(TEXTS, num_sampled, seed=0)


def test_duplicates_are_equal_but_for_case_white_space_and_width() -> None:
    training = ["A red  circle", "\u767d\u65e5\u4f9d\u5c71\u76e1\uff0c", "\ud800", "cafe\u0301"]
    texts = [
        "a red circle",
        " a\nRED circle ",
        "a red circle.",
        "\u767d\u65e5\u4f9d\u5c71\u76e1,",
        "\ud800",
        "caf\u00e9",
        "aredcircle",
    ]
    assert duplicates(texts, training) == Share(5, 7)
    assert duplicates(texts, iter(training)) == Share(5, 7)
    assert duplicates(texts[:3], training) + duplicates(texts[3:], training) == Share(5, 7)
    assert duplicates(texts, []) == Share(0, 7)


def test_rows_of_100_000_characters_come_to_an_end() -> None:
    draw = random.Random(3)
    texts = ["".join(draw.choices("ab \u7ea2\u5706\ud800", k=100_000)) for _ in range(3)]
    assert 0 < distinct(texts, 4, "character") < 0.1
    assert 0 < self_bleu(texts, 3, seed=0).score < 100
    assert duplicates(texts, texts[:1]) == Share(1, 3)


def test_no_text_is_refused() -> None:
    for score in (lambda: distinct([], 1, "word"), lambda: self_bleu([], 2, 0), lambda: duplicates([], ["a"])):
        with pytest.raises(BadInput, match="0 texts, at least 1 is needed"):
            score()
    with pytest.raises(BadInput, match="n is 0, at least 1 is needed"):
        distinct(["a"], 0, "word")
