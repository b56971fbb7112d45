"""Poems under a mask: form, acrostic and rhyme against brute force, real poems, and a thousand drawn at random."""

import itertools
import pickle
import random
import re
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ganrnn.decoding.poem_constraint import PoemForm, PoemTable, RhymeSets
from ganrnn.errors import BadInput

DATA = Path(__file__).parents[3] / "../shared/data"
END = 3
TOKENS = ["", "", "", "<end>", "，", "。", "天", "地", "人", "a", "天地", "か", "？"]
HAN = "天地人"


def texts(form: PoemForm) -> list[str]:
    """All texts that the masks let through, with just the room they need; every state must have a way on."""
    tokens, result = TOKENS, []
    length = len(form._masks) - 1
    ahead = [(form.start(), "")]
    while ahead:
        state, text = ahead.pop()
        assert not form.allowed(state, length - len(text) - 1).any() or len(text) == length
        allowed = np.flatnonzero(form.allowed(state, length - len(text)))
        assert len(allowed)
        if END in allowed:
            assert len(allowed) == 1 and len(text) == length
            result.append(text)
            continue
        ahead += [(form.advance(state, int(token)), text + tokens[token]) for token in allowed]
    return sorted(result)


def expected(num_lines: int, chars_per_line: int, heads: str, sets: list[str]) -> list[str]:
    """All texts in form, found by trying every choice of characters."""
    result = []
    for chosen in itertools.product(HAN, repeat=num_lines * chars_per_line):
        lines = ["".join(chosen[i * chars_per_line : (i + 1) * chars_per_line]) for i in range(num_lines)]
        rhymes = [line[-1] for line in lines[1::2]]
        if any(head not in (" ", line[0]) for head, line in zip(heads, lines, strict=False)):
            continue
        if sets and (len(set(rhymes)) < len(rhymes) or not any(set(rhymes) <= set(rhyming) for rhyming in sets)):
            continue
        result.append("".join(line + "，。"[i % 2] for i, line in enumerate(lines)))
    return sorted(result)


@pytest.mark.parametrize(
    ("num_lines", "chars_per_line", "heads", "sets", "num_texts"),
    [
        (1, 1, "", [], 3),
        (2, 2, "", [], 81),
        (3, 2, "天", [], 243),
        (2, 3, " 人", [], 243),
        (2, 2, "天地", [], 9),
        (2, 2, "", ["人"], 27),
        (3, 1, "", ["人"], 9),
        (4, 1, "", ["天地", "地人"], 36),
        (4, 1, " 地", ["天地", "地人"], 18),
        (4, 1, "人 天 ", ["天地", "地人"], 4),
        (4, 2, "天地人", ["天地人"], 162),
        (4, 2, "", ["天", "地人"], 1458),
        (5, 1, "人地  天", ["天地", "天地人"], 6),
    ],
)
def test_the_texts_that_get_through_are_all_those_in_form(
    num_lines: int, chars_per_line: int, heads: str, sets: list[str], num_texts: int
) -> None:
    rhymes = RhymeSets(tuple(map(frozenset, sets))) if sets else None
    form = PoemTable(TOKENS, END, rhymes).form(num_lines, chars_per_line, heads)
    result = texts(form)
    assert result == expected(num_lines, chars_per_line, heads, sets)
    assert len(result) == num_texts


def test_the_marks_are_a_choice() -> None:
    form = PoemTable(TOKENS, END, line_end="？", couplet_end="，").form(3, 1)
    assert texts(form)[0] == "人？人，人？"


def test_masks_are_shared_between_poems_and_read_only() -> None:
    table = PoemTable(TOKENS, END, RhymeSets.read("天地"))
    one, other = table.form(4, 5, "天地人"), table.form(3, 7, "人 地")
    assert one.allowed((1, frozenset()), 99) is other.allowed((3, frozenset()), 99)
    assert one.allowed((0, frozenset()), 99) is table.form(2, 2, "天").allowed((0, frozenset()), 99)
    for position in range(25):
        mask = one.allowed((position, frozenset()), 99)
        assert mask.dtype == bool and mask.shape == (len(TOKENS),)
        with pytest.raises(ValueError, match="read-only"):
            mask[0] = True


def test_rhyme_files() -> None:
    content = "\ufeff# level tones\n東同 銅\n\n  \n 冬\t農\r\n# 江\n同冬"
    assert RhymeSets.read(content).sets == (frozenset("東同銅"), frozenset("冬農"), frozenset("同冬"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file holds no set"),
        ("# 東同\n\n", "the file holds no set"),
        ("東同\n冬: 農", "line 2 holds ':'; allowed are Han ideographs and blanks"),
        ("東，同", "line 1 holds '，'"),
    ],
)
def test_rhyme_files_without_sense_are_refused(content: str, message: str) -> None:
    with pytest.raises(BadInput, match=f"rhymes: .*{message}"):
        RhymeSets.read(content)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ((0, 5), "poem: num_lines is 0; allowed are values from 1"),
        ((4, -1), "poem: chars_per_line is -1; allowed are values from 1"),
        ((2, 5, "天地人"), "acrostic: '天地人' are 3 heads for 2 lines"),
        ((4, 5, "天海"), "acrostic: '海' cannot begin a line; allowed are Han ideographs that the vocabulary holds"),
        ((4, 5, "a"), "acrostic: 'a' cannot begin a line"),
        ((4, 5, "天，"), "acrostic: '，' cannot begin a line"),
        ((6, 5), "rhymes: of the 2 sets the largest holds 2 characters of the vocabulary; one set needs 3"),
        ((4, 1, " 天 人"), "acrostic: '人天' do not rhyme"),
        ((4, 1, " 天 天"), "acrostic: ' 天 天' gives the same rhyme to two lines"),
    ],
)
def test_forms_that_no_poem_can_have_are_refused(form: tuple, message: str) -> None:
    with pytest.raises(BadInput, match=re.escape(message)):
        PoemTable(TOKENS, END, RhymeSets.read("天地海\n地人")).form(*form)


def test_heads_that_do_not_rhyme_are_right_where_no_rhyme_is_asked_for() -> None:
    assert texts(PoemTable(TOKENS, END).form(4, 1, " 天 天")) == expected(4, 1, " 天 天", [])


@pytest.mark.parametrize(
    ("tokens", "marks", "message"),
    [
        (["<end>", "，", "。", "a", "天地"], {}, "the vocabulary's 5 tokens hold no Han character of their own"),
        (["<end>", "，", "天"], {}, "couplet_end is '。'; allowed is a single character that is a token"),
        (["<end>", "，", "。", "天"], {"line_end": ""}, "line_end is ''"),
        (["<end>", "，", "。", "天", "……"], {"line_end": "……"}, "line_end is '……'"),
    ],
)
def test_vocabularies_that_cannot_write_poems_are_refused(tokens: list[str], marks: dict, message: str) -> None:
    with pytest.raises(BadInput, match=f"poem: {message}"):
        PoemTable(tokens, 0, **marks)


def test_a_form_travels_between_processes() -> None:
    form = PoemTable(TOKENS, END, RhymeSets.read("天地")).form(4, 1, "人")
    texts(form)
    assert texts(pickle.loads(pickle.dumps(form))) == texts(form)


def test_a_thousand_poems_each_with_an_acrostic_of_its_own() -> None:
    # Two seconds for all are plenty: what is shared is made once, and a step is a look into a table.
    characters = [chr(0x4E00 + i) for i in range(6_000)]
    tokens = ["", "", "", "<end>", "，", "。", *characters]
    rng = random.Random(0)
    rhymes = [frozenset(rng.sample(characters, 60)) for _ in range(100)]
    seconds, start = 0.0, time.process_time()
    table = PoemTable(tokens, END, RhymeSets(tuple(rhymes)))
    seconds += time.process_time() - start
    written = set()
    for number in range(1_000):
        num_lines, chars_per_line = (4, 8)[number % 2], (5, 7)[number // 2 % 2]
        heads = "".join(rng.choice([" ", *rng.sample(characters, 9)]) for _ in range(rng.randrange(num_lines + 1)))
        start = time.process_time()
        form = table.form(num_lines, chars_per_line, heads)
        state, text, num_left = form.start(), "", num_lines * (chars_per_line + 1) + number % 3
        while True:
            mask = form.allowed(state, num_left)
            seconds += time.process_time() - start
            choice = np.flatnonzero(mask)
            token = int(choice[rng.randrange(len(choice))])
            if token == END:
                break
            text, num_left = text + tokens[token], num_left - 1
            start = time.process_time()
            state = form.advance(state, token)
        lines = re.findall("([\u4e00-\u9fff]+)[，。]", text)
        assert re.fullmatch(rf"([\u4e00-\u9fff]{{{chars_per_line}}}[，。])+", text)
        assert re.sub("[^，。]", "", text) == "，。" * (num_lines // 2)
        assert len(lines) == num_lines
        assert all(head in (" ", line[0]) for head, line in zip(heads, lines, strict=False))
        ends = {line[-1] for line in lines[1::2]}
        assert len(ends) == num_lines // 2 and any(ends <= rhyming for rhyming in rhymes)
        written.add(text)
    assert len(written) == 1_000
    assert seconds < 2, seconds


def test_real_poems_in_form_get_through_and_no_others() -> None:
    source = DATA / "tang_poems/val.parquet"
    if not source.is_file():
        pytest.skip("the poems are not beside this checkout (../shared/data/tang_poems)")
    poems = pq.read_table(source).to_pylist()
    tokens = ["", "", "", "<end>", *sorted(set("".join(poem["text"] for poem in poems)))]
    index = {surface: i for i, surface in enumerate(tokens)}
    table = PoemTable(tokens, END)
    in_form = 0
    for poem in poems:
        heads = [line[0] for line in re.split("[，。]", poem["text"]) if line][: poem["lines"]]
        form = table.form(poem["lines"], poem["chars_per_line"], "".join(heads))
        state, length = form.start(), poem["lines"] * (poem["chars_per_line"] + 1)
        is_right = True
        for written, character in enumerate(poem["text"]):
            is_right = is_right and bool(form.allowed(state, length - written)[index[character]])
            if is_right:
                state = form.advance(state, index[character])
        is_right = is_right and bool(form.allowed(state, 0)[END])
        line = f"[^，。？；！●\ue829]{{{poem['chars_per_line']}}}"
        assert is_right == bool(re.fullmatch(f"({line}，{line}。){{{poem['lines'] // 2}}}", poem["text"])), poem["text"]
        in_form += is_right
    assert in_form == 991
