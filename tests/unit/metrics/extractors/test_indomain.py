"""The in-domain network: it learns to tell captions apart, and features do not depend on the batch."""

import re
from hashlib import sha256

import numpy as np
import pytest
import torch

from ganrnn.data import scenes
from ganrnn.errors import BadInput
from ganrnn.metrics.extractors import indomain
from ganrnn.metrics.extractors.indomain import InDomainConfig, InDomainNetwork
from ganrnn.text.captions import Vocabulary, meaning_key

CONFIG = InDomainConfig(num_steps=60, batch_size=64, base_channels=4, feature_dim=16, learning_rate=1e-2)


def drawn(num: int, seed: int) -> tuple[torch.Tensor, list[str], list[int]]:
    config = scenes.ScenesConfig(num_train=num, pair_share=0, languages=("en",))
    scene_list = list(scenes.scenes(config, "train", seed, 16, 16))
    images = torch.from_numpy(np.stack([scene.image for scene in scene_list])).permute(0, 3, 1, 2).contiguous()
    texts = [scene.text for scene in scene_list]
    return images, texts, [meaning_key(scene.text, scene.attributes) for scene in scene_list]


@pytest.fixture(scope="module")
def network() -> InDomainNetwork:
    return indomain.fit(CONFIG, *drawn(512, 0), seed=0)


def untrained(seed: int = 0) -> InDomainNetwork:
    torch.manual_seed(seed)
    return InDomainNetwork(CONFIG, Vocabulary.build(drawn(512, 0)[1]), 16, 16).eval()


@torch.no_grad()
def retrieval(network: InDomainNetwork) -> float:
    """How often a picture not seen in training is nearest to its own of 64 captions; chance is 1/64."""
    images, texts, keys = drawn(64, 1)
    similarity = network.image_embedding(network.features(images)) @ network.text_embedding(texts).T
    true_ones = torch.tensor(keys)[:, None] == torch.tensor(keys)
    return true_ones[torch.arange(64), similarity.argmax(1)].float().mean().item()


def test_it_learns_to_tell_captions_apart(network: InDomainNetwork) -> None:
    assert retrieval(untrained()) < 0.1
    assert retrieval(network) > 0.3


def test_the_same_seed_gives_the_same_bytes() -> None:
    config = InDomainConfig(num_steps=3, batch_size=16, base_channels=4, feature_dim=8)
    steps: list[int] = []
    first = indomain.pack(indomain.fit(config, *drawn(40, 0), seed=4, on_step=steps.append))
    assert steps == [1, 2, 3]
    assert indomain.pack(indomain.fit(config, *drawn(40, 0), seed=4)) == first
    assert indomain.pack(indomain.fit(config, *drawn(40, 0), seed=5)) != first


def test_a_packed_network_comes_back(network: InDomainNetwork) -> None:
    data = indomain.pack(network)
    again = indomain.unpack(data, sha256(data).hexdigest())
    images, texts, _ = drawn(20, 2)
    assert np.array_equal(indomain.extract(again, images), indomain.extract(network, images))
    assert torch.equal(again.text_embedding(texts), network.text_embedding(texts))
    assert indomain.pack(again) == data and again.config == CONFIG


def test_an_altered_network_is_refused(network: InDomainNetwork) -> None:
    data = bytearray(indomain.pack(network))
    digest = sha256(data).hexdigest()
    data[-1] ^= 1
    with pytest.raises(BadInput, match=re.escape(f"expected {digest[:12]}; delete its folder to train it anew")):
        indomain.unpack(bytes(data), digest)


def test_features_do_not_depend_on_the_batch(network: InDomainNetwork) -> None:
    images = drawn(50, 3)[0]
    expected = indomain.extract(network, images, batch_size=32)
    assert expected.shape == (50, 16) and expected.dtype == np.float32
    order = np.random.default_rng(0).permutation(50)
    assert np.array_equal(indomain.extract(network, images[order], batch_size=32), expected[order])
    alone = np.concatenate([indomain.extract(network, image[None], batch_size=32) for image in images])
    assert np.array_equal(alone, expected)
    np.testing.assert_allclose(indomain.extract(network, images, batch_size=7), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_posteriors_are_probabilities_over_captions(network: InDomainNetwork) -> None:
    images, texts, _ = drawn(8, 4)
    posterior = network.posterior(network.features(images), network.text_embedding(texts))
    assert posterior.shape == (8, 8) and posterior.dtype == torch.float64
    torch.testing.assert_close(posterior.sum(1), torch.ones(8, dtype=torch.float64))


@pytest.mark.parametrize("name", ["num_steps", "batch_size", "learning_rate", "feature_dim", "max_rows"])
def test_impossible_settings_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match=rf"evaluate.indomain.{name} is 0; allowed are values above 0"):
        InDomainConfig(**{name: 0})
