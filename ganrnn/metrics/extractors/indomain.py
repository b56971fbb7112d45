"""A small network trained on the data at hand: features for FID, KID and IS, and the judge of R-precision.

A convolutional network embeds pictures and an RNN embeds captions in one space; both learn from the pairs of the
training split alone (contrastively, as in Radford et al., "Learning transferable visual models from natural language
supervision", ICML 2021), independently of any GAN. The names of its scores end in `_indomain` and carry its digest:
they rank models on one data set and are not comparable between data sets.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import pairwise

import numpy as np
import torch
from safetensors.torch import load, save
from torch import nn
from torch.nn import functional as F

from ganrnn import noise
from ganrnn.config import above
from ganrnn.data.images import to_float
from ganrnn.errors import BadInput
from ganrnn.networks.images.convolution import GAIN, SLOPE, conv
from ganrnn.networks.images.pyramid import Pyramid
from ganrnn.networks.texts.text_encoder import TextEncoder
from ganrnn.objectives.matching import matching_loss
from ganrnn.text.captions import Vocabulary

MAX_TOKENS = 48
SCALE = 16.0  # factor of the cosines before the softmax


@dataclass(frozen=True)
class InDomainConfig:
    """Sizes and training of the in-domain network; at most `max_rows` training rows are used."""

    num_steps: int = 800  #: Number of training steps.
    batch_size: int = 128  #: Rows of a step.
    learning_rate: float = 2e-3  #: Largest learning rate of Adam.
    base_channels: int = 16  #: Channels of the layer next to the image; deeper layers have up to eight times as many.
    feature_dim: int = 64  #: Number of features of an image.
    max_rows: int = 20_000  #: Largest number of training rows that are read.

    def __post_init__(self) -> None:
        above("evaluate.indomain", self, num_steps=0, batch_size=0, learning_rate=0, base_channels=0)
        above("evaluate.indomain", self, feature_dim=0, max_rows=0)


class InDomainNetwork(nn.Module):
    """Pictures to features and embeddings, captions to embeddings."""

    def __init__(self, config: InDomainConfig, vocabulary: Vocabulary, height: int, width: int) -> None:
        super().__init__()
        self.config, self.vocabulary, self.size = config, vocabulary, (height, width)
        pyramid = Pyramid.of(height, width, config.base_channels)
        channels = tuple(reversed(pyramid.channels))
        self.first = conv(12, channels[0], 3, GAIN)
        self.blocks = nn.ModuleList(conv(a, b, 3, GAIN) for a, b in pairwise(channels))
        area = pyramid.sizes[0][0] * pyramid.sizes[0][1]
        self.to_features = nn.Linear(channels[-1] * area, config.feature_dim)
        self.to_embedding = nn.Linear(config.feature_dim, config.feature_dim)
        self.encoder = TextEncoder(len(vocabulary), 64, 64, "gru", bidirectional=False)
        self.from_text = nn.Linear(self.encoder.out_dim, config.feature_dim)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures uint8 [N, 3, H, W] to features float32 [N, feature_dim]."""
        x = F.leaky_relu(self.first(F.pixel_unshuffle(to_float(images), 2)), SLOPE)
        for block in self.blocks:
            x = F.avg_pool2d(F.leaky_relu(block(x), SLOPE), 2)
        return self.to_features(x.flatten(1))

    def image_embedding(self, features: torch.Tensor) -> torch.Tensor:
        """Features to unit vectors [N, feature_dim]."""
        return F.normalize(self.to_embedding(F.leaky_relu(features, SLOPE)))

    def text_embedding(self, texts: Sequence[str]) -> torch.Tensor:
        """Captions to unit vectors [N, feature_dim]."""
        tokens, lengths = self.vocabulary.encode(texts, MAX_TOKENS)
        return F.normalize(self.from_text(self.encoder(tokens, lengths)))

    def posterior(self, features: torch.Tensor, captions: torch.Tensor) -> torch.Tensor:
        """Probabilities [N, K] of K caption embeddings given picture features: the classes of the Inception Score."""
        return (SCALE * self.image_embedding(features) @ captions.T).double().softmax(1)


def fit(
    config: InDomainConfig,
    images: torch.Tensor,
    texts: Sequence[str],
    keys: Sequence[int],
    seed: int,
    on_step: Callable[[int], None] = lambda step: None,
) -> InDomainNetwork:
    """Train on uint8 pictures [N, 3, H, W] with captions [N] and their meaning keys [N], see `captions.meaning_key`."""
    torch.manual_seed(seed)
    network = InDomainNetwork(config, Vocabulary.build(texts), *images.shape[2:])
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, foreach=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=config.num_steps)
    all_keys = torch.tensor(keys)
    for step, rows in zip(range(config.num_steps), _batches(len(images), config.batch_size, seed), strict=False):
        on_image = network.image_embedding(network.features(images[rows]))
        on_text = network.text_embedding([texts[i] for i in rows.tolist()])
        logits = SCALE * on_image @ on_text.T
        loss = matching_loss(logits, all_keys[rows]) + matching_loss(logits.T, all_keys[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        on_step(step + 1)
    return network.eval()


def _batches(num_rows: int, batch_size: int, seed: int) -> Iterator[torch.Tensor]:
    epoch = 0
    while True:
        order = torch.from_numpy(noise.permutation(num_rows, seed, f"indomain/{epoch}"))
        yield from order.split(batch_size)
        epoch += 1


def pack(network: InDomainNetwork) -> bytes:
    """The network as safetensors bytes with config and vocabulary in the header; their sha256 identifies it."""
    header = {
        "config": asdict(network.config),
        "vocabulary": {"level": network.vocabulary.level, "tokens": network.vocabulary.tokens},
        "size": network.size,
    }
    return save(network.state_dict(), {"indomain": json.dumps(header, sort_keys=True)})


def unpack(data: bytes, digest: str) -> InDomainNetwork:
    """Inverse of `pack`. Raises BadInput if the bytes do not have the digest."""
    actual = sha256(data).hexdigest()
    if actual != digest:
        raise BadInput(
            f"in-domain network: sha256 is {actual[:12]}, expected {digest[:12]}; delete its folder to train it anew"
        )
    metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    header = json.loads(metadata["indomain"])
    vocabulary = Vocabulary(header["vocabulary"]["level"], tuple(header["vocabulary"]["tokens"]))
    network = InDomainNetwork(InDomainConfig(**header["config"]), vocabulary, *header["size"])
    network.load_state_dict(load(data))
    return network.eval()


@torch.no_grad()
def extract(network: InDomainNetwork, images: torch.Tensor, batch_size: int = 256) -> np.ndarray:
    """Features float32 [N, feature_dim] of uint8 pictures [N, 3, H, W]; the last batch is padded to `batch_size`."""
    features = []
    for chunk in images.split(batch_size):
        padded = torch.cat([chunk, chunk[-1:].expand(batch_size - len(chunk), -1, -1, -1)])
        features.append(network.features(padded)[: len(chunk)])
    return torch.cat(features).numpy()
