"""BLEU, chrF and ROUGE: the numbers of the reference packages, whatever the order and the blocks of the rows."""

import itertools
import random
from collections.abc import Callable, Sequence

import pytest
import sacrebleu
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from ganrnn.errors import BadInput
from ganrnn.metrics.texts.overlap import (
    MAX_ROUGE_L_TOKENS,
    bleu,
    bleu_sums,
    chrf,
    chrf_sums,
    longest_common_subsequence,
    rouge,
    rouge_sums,
)

# The example of sacrebleu's own page, with the scores that stand there.
HYPOTHESES = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
REFERENCES = [
    ["The dog bit the man.", "It was not unexpected.", "The man bit him first."],
    ["The dog had bit the man.", "No one was surprised.", "The man had bitten the dog."],
]
VERSION = sacrebleu.__version__

# Hypothesis, reference, and F1 of ROUGE-1, 2 and L as rouge-score 0.1.2 gives them for the same tokens, unstemmed.
ROUGE_PAIRS = [
    ("the cat sat on the mat", "the cat sat on the mat", (1.0, 1.0, 1.0)),
    ("the cat sat on the mat", "the cat lay on a mat", (0.6666666666666666, 0.20000000000000004, 0.6666666666666666)),
    ("a b c d", "d c b a", (1.0, 0.0, 0.25)),
    ("a a a a", "a a", (0.6666666666666666, 0.5, 0.6666666666666666)),
    ("a b a b a b", "b a b a", (0.8, 0.7499999999999999, 0.8)),
    ("police killed the gunman", "the gunman police killed", (1.0, 0.6666666666666666, 0.5)),
    ("the gunman kill police", "police kill the gunman", (1.0, 0.3333333333333333, 0.5)),
    ("", "something", (0.0, 0.0, 0.0)),
    ("something", "", (0.0, 0.0, 0.0)),
    ("", "", (0.0, 0.0, 0.0)),
    ("  \n", "a", (0.0, 0.0, 0.0)),
    ("one", "one", (1.0, 0.0, 1.0)),
    ("one", "two", (0.0, 0.0, 0.0)),
    ("one two", "one", (0.6666666666666666, 0.0, 0.6666666666666666)),
    ("Hello, World!", "hello world", (0.6666666666666666, 0.0, 0.6666666666666666)),
    ("it's 3.5 degrees", "It is 3.5 degrees.", (0.7142857142857143, 0.5, 0.7142857142857143)),
    (
        "白日依山盡，黃河入海流。",
        "白日依山尽，黄河入海流。",
        (0.8333333333333334, 0.6363636363636364, 0.8333333333333334),
    ),
    ("床前明月光", "疑是地上霜", (0.0, 0.0, 0.0)),
    ("red 红色圆形", "a red circle 红色 圆形", (0.8333333333333333, 0.6, 0.8333333333333333)),
    ("\ud800 a \udfff", "a \udfff", (0.8, 0.6666666666666666, 0.8)),
    ("Stra\u00dfe caf\u00e9", "strasse cafe\u0301", (1.0, 1.0, 1.0)),
    ("\U00020bb7野家 x", "野家 x \U00020bb7", (1.0, 0.6666666666666666, 0.75)),
    ("x y z " * 30, "z y x " * 25, (0.9090909090909091, 0.0, 0.6545454545454547)),
]
ROUGE_HYPOTHESES = [pair[0] for pair in ROUGE_PAIRS]
ROUGE_REFERENCES = [pair[1] for pair in ROUGE_PAIRS]


# The numbers


def test_scores_and_signatures_are_those_of_sacrebleu() -> None:
    result = bleu(HYPOTHESES, REFERENCES, "13a")
    assert result.score == pytest.approx(48.530827009929865, rel=1e-12)
    assert result.signature == f"nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:{VERSION}"
    result = chrf(HYPOTHESES, REFERENCES)
    assert result.score == pytest.approx(59.72751782684763, rel=1e-12)
    assert result.signature == f"nrefs:2|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{VERSION}"


@pytest.mark.parametrize("tokenizer", ["13a", "zh", "char", "none"])
def test_sums_give_what_sacrebleu_gives_for_the_corpus(tokenizer: str) -> None:
    metric = BLEU(tokenize=tokenizer)
    references = [ROUGE_REFERENCES, ROUGE_REFERENCES[::-1]]
    result = bleu(ROUGE_HYPOTHESES, references, tokenizer)  # type: ignore[arg-type]
    assert result.score == metric.corpus_score(ROUGE_HYPOTHESES, references).score > 0
    assert result.signature == str(metric.get_signature()) and f"tok:{tokenizer}" in result.signature
    plain = CHRF()
    assert chrf(ROUGE_HYPOTHESES, references).score == plain.corpus_score(ROUGE_HYPOTHESES, references).score > 0


@pytest.mark.parametrize("metric", [BLEU(), CHRF()], ids=["BLEU", "chrF"])
def test_sacrebleu_has_the_private_methods_that_sums_are_built_on(metric: BLEU | CHRF) -> None:
    """If an update of sacrebleu turns this test red, adapt `_sums` and `OverlapSums.overlap`.

    Both rely on statistics of rows that are flat lists of integers of one length, whose sums over the rows, in the same
    order, give the score of the corpus.
    """
    rows = metric._extract_corpus_statistics(HYPOTHESES, REFERENCES)
    assert {len(row) for row in rows} == {10 if isinstance(metric, BLEU) else 18}
    assert all(isinstance(count, int) for row in rows for count in row)
    sums = [sum(column) for column in zip(*rows, strict=True)]
    assert metric._compute_score_from_stats(sums).score == metric.corpus_score(HYPOTHESES, REFERENCES).score


def test_bleu_counts_of_the_paper() -> None:
    # Papineni et al. 2002, example 2: 2 of 7 unigrams, as many as in the reference that has most; the closest length 7.
    references = [["the cat is on the mat"], ["there is a cat on the mat"]]
    counts = bleu_sums(["the the the the the the the"], references, "13a").counts
    assert counts == (7, 7, 2, 0, 0, 0, 7, 6, 5, 4)


def test_chinese_needs_no_blanks() -> None:
    hypotheses, references = ["黄河入海流，欲穷千里目。"], [["黄河入海流，更上千里目。"]]
    spaced = [" ".join(hypotheses[0])], [[" ".join(references[0][0])]]
    expected = bleu(*spaced, "none").score
    assert expected == pytest.approx(100 * (10 / 12 * 8 / 11 * 6 / 10 * 4 / 9) ** 0.25)
    assert bleu(hypotheses, references, "zh").score == bleu(hypotheses, references, "char").score == expected
    assert bleu(hypotheses, references, "13a").score == 0.0


@pytest.mark.parametrize(("hypothesis", "reference", "expected"), ROUGE_PAIRS)
def test_rouge_of_a_pair(hypothesis: str, reference: str, expected: tuple[float, float, float]) -> None:
    result = rouge([hypothesis], [[reference]])
    assert list(result) == ["rouge1", "rouge2", "rougeL"]
    assert list(result.values()) == pytest.approx(expected, rel=1e-14)


def test_rouge_of_a_corpus_is_the_mean_and_several_references_give_their_best() -> None:
    result = rouge(ROUGE_HYPOTHESES, [ROUGE_REFERENCES])
    assert list(result.values()) == pytest.approx(
        [0.632900432900433, 0.3269433465085639, 0.5348767174854132], rel=1e-14
    )
    # score_multi of rouge-score, each row with its own reference and that of the next row
    result = rouge(ROUGE_HYPOTHESES, [ROUGE_REFERENCES, ROUGE_REFERENCES[1:] + ROUGE_REFERENCES[:1]])
    assert list(result.values()) == pytest.approx(
        [0.676378693769998, 0.3269433465085639, 0.5928477319781669], rel=1e-14
    )


def table_length(a: Sequence[str], b: Sequence[str]) -> int:
    """The textbook's table, one row at a time."""
    row = [0] * (len(b) + 1)
    for token in a:
        before = row
        row = [0]
        for j, other in enumerate(b):
            row.append(before[j] + 1 if token == other else max(before[j + 1], row[j]))
    return row[-1]


@pytest.mark.parametrize("letters", ["ab", "abcdefgh", "abcdefghijklmnopqrstuvwxyz"])
def test_longest_common_subsequence_is_that_of_the_table(letters: str) -> None:
    draw = random.Random(letters)
    for _ in range(60):
        a, b = ([draw.choice(letters) for _ in range(draw.randrange(150))] for _ in range(2))
        assert longest_common_subsequence(a, b) == table_length(a, b) == longest_common_subsequence(b, a)


# Order and blocks

SUMS: list[Callable[[list[str], list[list[str]]], object]] = [
    lambda hypotheses, references: bleu_sums(hypotheses, references, "zh"),
    chrf_sums,
    rouge_sums,
]


@pytest.mark.parametrize("sums", SUMS)
def test_neither_order_nor_blocks_change_a_sum(sums: Callable[[list[str], list[list[str]]], object]) -> None:
    draw = random.Random(0)
    words = [f"w{i}" for i in range(12)] + ["红", "圆"]
    texts = [[" ".join(draw.choices(words, k=draw.randrange(25))) for _ in range(40)] for _ in range(3)]
    hypotheses, references = texts[0], texts[1:]
    whole = sums(hypotheses, references)
    for _ in range(5):
        order = draw.sample(range(40), 40)
        cuts = [0, *sorted(draw.sample(range(1, 40), 6)), 40]
        blocks = [order[start:end] for start, end in itertools.pairwise(cuts)]
        parts = [
            sums([hypotheses[i] for i in rows], [[text[i] for i in rows] for text in references]) for rows in blocks
        ]
        merged = parts[0]
        for part in parts[1:]:
            merged = merged + part  # type: ignore[operator]
        assert merged == whole


def test_scores_of_merged_sums_are_those_of_the_whole() -> None:
    parts = [bleu_sums(HYPOTHESES[i : i + 1], [texts[i : i + 1] for texts in REFERENCES], "13a") for i in range(3)]
    assert (parts[2] + parts[0] + parts[1]).overlap() == bleu(HYPOTHESES, REFERENCES, "13a")
    # The score of the corpus is not the mean of the scores of its parts.
    assert sum(part.overlap().score for part in parts) / 3 != pytest.approx(48.53, abs=0.1)
    rouges = [rouge_sums([hypothesis], [[reference]]) for hypothesis, reference, _ in ROUGE_PAIRS]
    merged = rouges[-1]
    for part in rouges[-2::-1]:
        merged += part
    assert merged.means() == rouge(ROUGE_HYPOTHESES, [ROUGE_REFERENCES])


def test_sums_of_different_scores_do_not_add_up() -> None:
    one = bleu_sums(["a"], [["a"]], "13a")
    for other in (bleu_sums(["a"], [["a"]], "zh"), bleu_sums(["a"], [["a"], ["a"]], "13a"), chrf_sums(["a"], [["a"]])):
        with pytest.raises(AssertionError):
            one + other


# What may come


def test_an_empty_hypothesis_scores_0_and_hides_no_other_row() -> None:
    assert bleu([""], [["a b c d"]], "13a").score == chrf([""], [["a b c d"]]).score == 0.0
    assert chrf(["", "a b c d"], [["a b c d", "a b c d"]]).score < 100
    assert bleu(["", "a b c d"], [["a b c d", "a b c d"]], "13a").score == pytest.approx(100 * 2.718281828459045**-1)
    assert rouge(["", "a b"], [["a b", "a b"]]) == {"rouge1": 0.5, "rouge2": 0.5, "rougeL": 0.5}


def test_lone_surrogates_are_characters_like_others() -> None:
    text = "\ud800 \udfff b c"
    for tokenizer in ("13a", "char", "none"):
        assert bleu([text], [[text]], tokenizer).score == pytest.approx(100)
    assert chrf([text], [[text]]).score == pytest.approx(100)
    assert rouge([text], [[text]])["rougeL"] == 1.0


def test_rows_of_100_000_characters_come_to_an_end() -> None:
    draw = random.Random(1)
    ideographs = [chr(0x4E00 + i) for i in range(3000)]
    a, b = ("".join(draw.choices(ideographs, k=100_000)) for _ in range(2))
    assert 0 < bleu([a], [[b]], "zh").score < chrf([a], [[b]]).score < 20
    assert 0 < rouge([a], [[b]])["rougeL"] < rouge([a], [[b]])["rouge1"] < 1


def test_rouge_l_reads_the_first_tokens_of_a_long_text() -> None:
    head = "a b " * (MAX_ROUGE_L_TOKENS // 2)
    result = rouge([head + "c " * 1000], [[head + "d " * 500]])
    assert result["rougeL"] == 1.0
    assert result["rouge1"] == pytest.approx(2 * MAX_ROUGE_L_TOKENS / (2 * MAX_ROUGE_L_TOKENS + 1500))


@pytest.mark.parametrize("score", [lambda h, r: bleu(h, r, "13a"), chrf, rouge])
def test_rows_that_do_not_fit_are_refused(score: Callable[[object, object], object]) -> None:
    for hypotheses, references, message in (
        ([], [[]], "0 hypotheses, at least 1 is needed"),
        (["a"], [], "references must be one list or several"),
        (["a"], ["a"], "references must be one list or several"),
        (["a", "b"], [["a", "b"], ["a"]], "reference list 1 has 1 texts for 2 hypotheses"),
        (["a", None], [["a", "b"]], "row 1 is None, only text is allowed"),
        (["a", "b"], [["a", None]], "row 1 is None, only text is allowed"),
    ):
        with pytest.raises(BadInput, match=message):
            score(hypotheses, references)


def test_unknown_tokenizers_are_refused() -> None:
    with pytest.raises(BadInput, match="tokenizer is 'spm', allowed are 13a, zh, char, none"):
        bleu(["a"], [["a"]], "spm")  # type: ignore[arg-type]
