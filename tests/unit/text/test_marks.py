"""Words of scripts whose letters carry marks are words; texts without marks are cut as before."""

import re

import pytest

from ganrnn.metrics.texts.diversity import distinct, self_bleu
from ganrnn.metrics.texts.overlap import rouge
from ganrnn.text.captions import UNSPACED, tokenise
from ganrnn.text.marks import MARK, mark_places
from ganrnn.text.vocabulary import TextVocabulary, pieces_of

WORDS = {
    "Hindi": "लड़की नदी किनारे बैठी",
    "Tamil": "சிறுவன் பந்தை எறிந்தான்",
    "pointed Arabic": "كَتَبَ الوَلَدُ رِسَالَةً",
    "pointed Hebrew": "שָׁלוֹם עוֹלָם",
    "Thai": "ผู้หญิง นั่ง ที่นี่",
    "Persian": "می\u200cخواهم کتاب\u200cها",
    "Turkish": "İZMİR İLGİNÇ İDİ",
    "Vietnamese, decomposed": "ti\u0065\u0302\u0301ng Vie\u0323\u0302t",
    "Yoruba": "ọ̀rọ̀ ẹ̀kọ́",
}


@pytest.mark.parametrize("name", WORDS)
def test_a_word_is_one_token(name: str) -> None:
    text = WORDS[name]
    assert len(tokenise(text, "word")) == len(text.split())
    assert [piece.strip() for piece in pieces_of("word", text)] == text.split()
    vocabulary = TextVocabulary.build("word", [text])
    assert vocabulary.decode(vocabulary.encode(text)) == text


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("लड़की नदी किनारे बैठी", "बिल्ली दीवार के पीछे"),
        ("சிறுவன் பந்தை எறிந்தான்", "மழையில் தெருக்கள் நனைந்தன"),
        ("كَتَبَ الوَلَدُ رِسَالَةً", "شَرِبَتْ بِنْتٌ مَاءً"),
        ("İZMİR İLGİNÇ İDİ", "İPEK İNCE İPLİK"),
    ],
)
def test_texts_without_a_common_word_overlap_nowhere(a: str, b: str) -> None:
    assert rouge([a], [[b]])["rouge1"] == 0 and rouge([a], [[a]])["rouge1"] == 1
    assert self_bleu([a, b], 2, 0).score == 0 and distinct([a, b], 1, "word") == 1


def test_marks_stay_with_ideographs_and_signs() -> None:
    assert tokenise("猫\ufe00犬", "word") == ["猫\ufe00", "犬"]
    assert tokenise("a ❤\ufe0f, b", "word") == ["a", "❤\ufe0f", ",", "b"]
    assert tokenise("\u0301a \u0301", "word") == ["\u0301a", "\u0301"]  # a mark without a letter is lost nowhere


def test_texts_without_marks_are_cut_as_before() -> None:
    before = re.compile(f"[{UNSPACED}]|[^\\W{UNSPACED}]+|[^\\w\\s]")
    for text in ("a small red circle, 3.5 cm_x", "naïve café", "红色圆形 and ひらがな", "ärger über öl\n", "привет"):
        assert tokenise(text, "word") == before.findall(text)


def test_places_keep_the_length() -> None:
    text = "ki\u0304 \u200d\U0001e8d0x猫"
    assert mark_places(text) == f"ki{MARK} {MARK}{MARK}x猫" and len(mark_places(text)) == len(text)
