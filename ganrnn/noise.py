"""Counter-based noise: the random numbers of a row are a function of its key, not of other rows, batches or workers.

Philox (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) keyed by a hash of the row's identity.
The bits go through Box-Muller here and not through a library's normal sampler, whose streams may change between
versions.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F


def generator(*key: int | str) -> np.random.Philox:
    """The Philox bit generator of a key, for example (run seed, sample id)."""
    digest = hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=16).digest()
    return np.random.Philox(key=int.from_bytes(digest, "little"))


def uniform(num: int, *key: int | str) -> np.ndarray:
    """`num` float64 values in [0, 1), 53 random bits each."""
    return np.asarray((generator(*key).random_raw(num) >> np.uint64(11)) * 2.0**-53)


def permutation(num: int, *key: int | str) -> np.ndarray:
    """A permutation of range(num), int64 [num]: the order of `num` random 64-bit words, ties by position."""
    return np.argsort(generator(*key).random_raw(num), kind="stable")


def normal(keys: Sequence[tuple[int, str]], dim: int) -> torch.Tensor:
    """Standard normal noise, float32 [N, dim]; row i depends on keys[i] = (seed, sample id) alone."""
    pairs = (dim + 1) // 2
    rows = np.empty((len(keys), 2 * pairs))
    for i, key in enumerate(keys):
        u = uniform(2 * pairs, *key)
        radius = np.sqrt(-2.0 * np.log1p(-u[:pairs]))
        angle = 2.0 * np.pi * u[pairs:]
        rows[i, :pairs] = radius * np.cos(angle)
        rows[i, pairs:] = radius * np.sin(angle)
    return torch.from_numpy(rows[:, :dim].astype(np.float32))


def between(start: torch.Tensor, end: torch.Tensor, share: float) -> torch.Tensor:
    """Noise float32 [N, dim] at a share from 0 to 1 of the way from one noise [N, dim] to another, along the sphere.

    Half of a sum of two is shorter than noise is; between on the sphere, its length lies between theirs (Shoemake,
    "Animating rotation with quaternion curves", SIGGRAPH 1985).
    """
    a, b = start.double(), end.double()
    cosine = F.cosine_similarity(a, b).clamp(-1, 1)
    angle = torch.arccos(cosine)[:, None]  # [N, 1]
    sine = torch.sin(angle)
    on_line = sine < 1e-6
    sine = torch.where(on_line, 1.0, sine)
    weights = (torch.where(on_line, part, torch.sin(part * angle) / sine) for part in (1 - share, share))
    return (next(weights) * a + next(weights) * b).float()
