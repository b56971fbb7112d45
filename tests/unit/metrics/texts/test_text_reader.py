"""A reader knows what it has read: likelihoods, features in any order, the same again from the same seed."""

from dataclasses import replace

import numpy as np
import pytest

from ganrnn.errors import BadInput
from ganrnn.metrics.images.frechet import frechet_distance
from ganrnn.metrics.statistics.moments import Moments
from ganrnn.metrics.texts.text_reader import ReaderConfig, TextReader
from ganrnn.text.vocabulary import TextVocabulary

SIDES = ("left", "right", "top", "bottom")
CAPTIONS = [f"a {size} {colour} circle at the {side}" for size in "ab" for colour in "cdefg" for side in SIDES]
NOISE = [caption[::-1] for caption in CAPTIONS]
VOCABULARY = TextVocabulary.build("character", CAPTIONS)
CONFIG = ReaderConfig(hidden_dim=32, num_characters=64, num_steps=150)


@pytest.fixture(scope="module")
def reader() -> TextReader:
    return TextReader(CAPTIONS, VOCABULARY, CONFIG, seed=0)


def test_what_was_read_is_likelier_than_the_same_backwards(reader: TextReader) -> None:
    loss, other = reader.nats(CAPTIONS), reader.nats(NOISE)
    assert 0.2 < loss < 1.0 and other > 3 * loss
    assert TextReader(NOISE, VOCABULARY, CONFIG, seed=0).nats(NOISE) < loss * 1.5  # who read those finds them likely


def test_the_seed_decides_what_was_read() -> None:
    short = replace(CONFIG, num_steps=20)
    one, same, other = (TextReader(CAPTIONS, VOCABULARY, short, seed).nats(NOISE) for seed in (0, 0, 1))
    assert one == same != other


def test_a_character_costs_what_the_model_says_ends_included(reader: TextReader) -> None:
    total, num_tokens = reader.task.negative_log_likelihood({"text": CAPTIONS[:3]})
    assert num_tokens == sum(map(len, CAPTIONS[:3])) + 3
    assert reader.nats(CAPTIONS[:3]) == pytest.approx(total / num_tokens)


def test_features_know_no_order_and_tell_texts_apart(reader: TextReader) -> None:
    text_features, turned = reader.features(CAPTIONS), reader.features(CAPTIONS[::-1])
    assert text_features.shape == (len(CAPTIONS), 32)
    assert np.allclose(np.sort(text_features, axis=0), np.sort(turned, axis=0), atol=1e-5)
    real, half = Moments.from_features(text_features), Moments.from_features(reader.features(CAPTIONS[::2]))
    distant = Moments.from_features(reader.features(NOISE))
    assert frechet_distance(real, distant) > 3 * frechet_distance(real, half)


def test_the_feature_of_a_text_is_its_mean_state(reader: TextReader) -> None:
    alone = reader.features([CAPTIONS[0]])[0]
    together = reader.features([CAPTIONS[0], CAPTIONS[0] + " and another one"])
    assert min(abs(together - alone).max(axis=1)) < 1e-5  # padding is no part of it


@pytest.mark.parametrize("name", ["hidden_dim", "num_characters", "num_steps"])
def test_sizes_are_checked(name: str) -> None:
    with pytest.raises(BadInput, match=f"evaluate.sweep.reader.{name} is 0; allowed are values from 1 up"):
        ReaderConfig(**{name: 0})
