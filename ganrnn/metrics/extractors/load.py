"""Networks that make features of pictures, beside the in-domain one: `load_extractor(bytes, place, sha256)`."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ganrnn.errors import BadInput
from ganrnn.metrics.extractors import inception
from ganrnn.metrics.extractors.described_network import DescribedExtractor, described
from ganrnn.metrics.extractors.inception import InceptionExtractor, probabilities


@dataclass(frozen=True)
class Extractor:
    """A network and what its scores say of it.

    name:     ends the names of metrics; plain `inception` is that of the published weights alone
    digest:   sha256 of the weights' file
    resizer:  how pictures come to the network's size
    """

    name: str
    digest: str
    resizer: str
    network: InceptionExtractor | DescribedExtractor

    def __call__(self, pictures: torch.Tensor) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
        """Features [N, D] and, where the network knows classes, their probabilities [N, K] of uint8 [N, 3, H, W]."""
        if isinstance(self.network, DescribedExtractor):
            return self.network(pictures), None
        features, logits = self.network(pictures)
        return features, probabilities(logits)

    def to(self, device: str) -> None:
        """Move the network to where the pictures will be."""
        self.network.network.to(device)

    def facts(self) -> dict[str, Any]:
        """As a report has them."""
        return {"name": self.name, "digest": self.digest, "resizer": self.resizer}


def load_extractor(data: bytes | None, place: str, sha256: str) -> Extractor:
    """The network of a file that was read from `place`: one that its header describes, else Inception.

    data:    content of the file; None where there is none
    sha256:  what its digest has to be

    Raises BadInput, which names the file, when there is none, or one of other content.
    """
    if data is not None and described(data) is not None:
        digest = hashlib.sha256(data).hexdigest()
        if digest != sha256:
            raise BadInput(f"{place}: {len(data):,} bytes with sha256 {digest}, expected is {sha256}")
        own = DescribedExtractor(data, place)
        return Extractor(f"{own.description.name}_{digest[:8]}", digest, own.resizer, own)
    network = InceptionExtractor(data, place, sha256)
    is_published = network.digest == inception.SHA256
    name = "inception" if is_published else f"inception_{network.digest[:8]}"
    return Extractor(name, network.digest, inception.RESIZER, network)
