"""A judge's logits by the definition, pair by pair; padding and neighbours change none."""

import pytest
import torch
from torch.nn import functional as F

from ganrnn.networks.judge_network import JudgeNetwork

SIZES = [(16, 16), (16, 32), (32, 32), (64, 256)]
TOKENS = torch.tensor([[3, 4, 5, 6], [7, 2, 0, 0], [5, 5, 8, 0]])
LENGTHS = torch.tensor([4, 2, 3])


def network_of(height: int = 16, width: int = 16) -> JudgeNetwork:
    torch.manual_seed(0)
    return JudgeNetwork(height, width, 9, "gru", 6, 8, 4).double()


def pictures(num: int, height: int = 16, width: int = 16) -> torch.Tensor:
    return torch.rand(num, 3, height, width, generator=torch.Generator().manual_seed(1)).double() * 2 - 1


def by_definition(network: JudgeNetwork, image: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Of one picture [3, H, W] and the tokens [T] of one text."""
    maps = network.pictures.maps(image[None])
    regions = F.normalize((network.to_regions(maps[network.level]) + network.places)[0].flatten(1).T, dim=1)
    whole = F.normalize(network.to_picture(network.pictures.summary(maps[-1]))[0], dim=0)
    memory, end = network.reader(network.embedding(tokens[None]), torch.tensor([len(tokens)]))
    sentence = F.normalize(network.to_sentence(end[0]), dim=0)
    shares = network.weigh(memory[0])[:, 0].softmax(0)
    total = torch.zeros((), dtype=torch.float64)
    for word, share in zip(F.normalize(network.to_words(memory[0]), dim=1), shares, strict=True):
        attended = (8.0 * regions @ word).softmax(0) @ regions
        total = total + share * F.cosine_similarity(attended, word, dim=0)
    return network.scales[0] * (whole @ sentence) + network.scales[1] * total + network.offset


@pytest.mark.parametrize("size", SIZES)
def test_logits_are_the_definition(size: tuple[int, int]) -> None:
    network, images = network_of(*size).requires_grad_(False), pictures(3, *size)
    seen, read = network.encode_images(images), network.encode_texts(TOKENS, LENGTHS)
    pairs, own = network.all_pairs(seen, read), network(seen, read)
    assert pairs.shape == (3, 3)
    for i in range(3):
        for j in range(3):
            expected = by_definition(network, images[i], TOKENS[j, : LENGTHS[j]])
            torch.testing.assert_close(pairs[i, j], expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(own, pairs.diagonal(), rtol=0, atol=1e-10)
    assert pairs.std() > 1e-3


def test_numbers_of_pictures_and_texts_may_differ() -> None:
    network = network_of().requires_grad_(False)
    seen, read = network.encode_images(pictures(5)), network.encode_texts(TOKENS, LENGTHS)
    assert network.all_pairs(seen, read).shape == (5, 3)


def test_every_weight_learns_and_padding_does_not_matter() -> None:
    network, images = network_of(), pictures(3)
    logits = network.all_pairs(network.encode_images(images), network.encode_texts(TOKENS, LENGTHS))
    gradients = torch.autograd.grad(logits.diagonal().sum(), list(network.parameters()))
    for (name, _), gradient in zip(network.named_parameters(), gradients, strict=True):
        assert gradient.abs().max() > 1e-9, name
    longer = network.all_pairs(network.encode_images(images), network.encode_texts(F.pad(TOKENS, (0, 3)), LENGTHS))
    torch.testing.assert_close(longer, logits, rtol=0, atol=1e-12)


def test_regions_stay_few() -> None:
    for size in (16, 32, 64):
        assert network_of(size, size).places.shape == (8, 4, 4)
    assert network_of(64, 256).places.shape == (8, 4, 16)  # the smallest that there is
