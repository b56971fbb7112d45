"""Loads feature extractors other than the in-domain network: `load_extractor(bytes, source, sha256)`."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ganrnn.errors import BadInput
from ganrnn.metrics.extractors import inception
from ganrnn.metrics.extractors.described_network import DescribedExtractor, header_description
from ganrnn.metrics.extractors.inception import InceptionExtractor, probabilities


@dataclass(frozen=True)
class Extractor:
    """A network and the facts that its scores report.

    name:     suffix of metric names; `inception` without a digest is reserved for the published weights
    digest:   sha256 of the weights' file
    resizer:  how pictures are resized to the network's input
    """

    name: str
    digest: str
    resizer: str
    network: InceptionExtractor | DescribedExtractor

    def __call__(self, pictures: torch.Tensor) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
        """Features [N, D] of pictures uint8 [N, 3, H, W] and class probabilities [N, K], None if it has no classes."""
        if isinstance(self.network, DescribedExtractor):
            return self.network(pictures), None
        features, logits = self.network(pictures)
        return features, probabilities(logits)

    def to(self, device: str) -> None:
        """Move the network to the device of the pictures."""
        self.network.network.to(device)

    def facts(self) -> dict[str, str]:
        """Name, digest and resizer, for reports."""
        return {"name": self.name, "digest": self.digest, "resizer": self.resizer}


def load_extractor(data: bytes | None, source: str, sha256: str) -> Extractor:
    """The network of a weights file: the one that its header describes, else Inception.

    data:    content of the file, None if it does not exist
    source:  names the file in errors
    sha256:  required digest of `data`

    Raises BadInput, which names the file, if it does not exist or has other content.
    """
    if data is not None and header_description(data) is not None:
        digest = hashlib.sha256(data).hexdigest()
        if digest != sha256:
            raise BadInput(f"{source}: {len(data):,} bytes with sha256 {digest}, expected is {sha256}")
        described = DescribedExtractor(data, source)
        return Extractor(f"{described.description.name}_{digest[:8]}", digest, described.resizer, described)
    network = InceptionExtractor(data, source, sha256)
    is_published = network.digest == inception.SHA256
    name = "inception" if is_published else f"inception_{network.digest[:8]}"
    return Extractor(name, network.digest, inception.RESIZER, network)
