"""Validity, uniqueness and novelty of generated SMILES: `canonical_smiles` once, then the scores of its result.

Definitions of MOSES (Polykovskiy et al. 2020, "Molecular Sets (MOSES): A Benchmarking Platform for Molecular Generation
Models"). Needs rdkit: pip install "ganrnn[molecules]".

The Fréchet distance of two `fingerprint_moments` is a fingerprint Fréchet distance: zero for equal sets, and it grows
with the difference of their substructures. It is not FCD (Preuer et al. 2018), which has ChemNet's features and another
scale.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any, NewType

import numpy as np
from numpy.typing import NDArray

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.moments import Moments
from ganrnn.metrics.statistics.share import Share

CanonicalSmiles = NewType("CanonicalSmiles", str)

MAX_SMILES_CHARACTERS = 2000
NUM_FINGERPRINT_BITS = 1024
_FINGERPRINT_RADIUS = 2
_NUM_KNOWN = 2**20
_TILE_ROWS = 512  # rows and columns of a tile of the similarity matrix, which fits in the cache


def canonical_smiles(texts: Sequence[str]) -> list[CanonicalSmiles | None]:
    """rdkit's canonical SMILES of each text, [N], None if the text is not a molecule; rows are independent.

    A molecule is a text that rdkit parses and sanitises (valences, aromatic rings), which takes about 0.5 ms. Unlike in
    rdkit, a text with a blank, after which rdkit reads a name, is not SMILES, nor is a text beyond ASCII. Texts
    of more than 2,000 characters count as invalid: rdkit takes a second or two at that length, and at 100,000 it takes
    minutes and can crash the process.

    Raises BadInput if there is no text or rdkit is not installed.
    """
    rdkit = _rdkit()
    if len(texts) == 0:
        raise BadInput("molecules: 0 SMILES, at least 1 is needed")
    with rdkit.rdBase.BlockLogs():  # a line on stderr for each text that is no molecule
        return [_canonical(text) for text in texts]


@lru_cache(_NUM_KNOWN)  # the training split is compared with samples, real texts and all points of a sweep
def _canonical(text: str) -> CanonicalSmiles | None:
    rdkit = _rdkit()
    fits = 0 < len(text) <= MAX_SMILES_CHARACTERS and text.isascii() and text.isprintable() and " " not in text
    molecule = rdkit.Chem.MolFromSmiles(text) if fits else None
    return None if molecule is None else CanonicalSmiles(rdkit.Chem.MolToSmiles(molecule))


def validity(molecules: Sequence[CanonicalSmiles | None]) -> Share:
    """How many of the texts are molecules; the shares of blocks of texts add up. molecules: see `canonical_smiles`."""
    return Share(len(_valid(molecules)), len(molecules))


def uniqueness(molecules: Sequence[CanonicalSmiles | None], k: int) -> Share:
    """How many distinct molecules are among the first k valid ones (MOSES' unique@k), or among all if there are fewer.

    molecules: [N], see `canonical_smiles`, in the order in which they were sampled

    `total` is the number of molecules used. The share falls as k grows, and shares of blocks do not add up. Its
    interval assumes independent draws, which is only roughly true of repeats.

    Raises BadInput if k is below 1.
    """
    if k < 1:
        raise BadInput(f"uniqueness: k is {k}, at least 1 is needed")
    first = _valid(molecules)[:k]
    return Share(len(set(first)), len(first))


def novelty(
    molecules: Sequence[CanonicalSmiles | None], training_molecules: AbstractSet[CanonicalSmiles | None]
) -> Share:
    """How many of the distinct valid molecules are not among the training molecules.

    molecules, training_molecules: see `canonical_smiles`. Other forms of SMILES would count as new molecules.
    """
    distinct_molecules = set(_valid(molecules))
    return Share(len(distinct_molecules - training_molecules), len(distinct_molecules))


def fingerprints(molecules: Sequence[CanonicalSmiles | None]) -> NDArray[np.uint8]:
    """Morgan fingerprints (Rogers & Hahn 2010) of the V valid molecules: radius 2, uint8 [V, 1024] of 0 and 1.

    Raises BadInput if rdkit is not installed.
    """
    rdkit = _rdkit()
    generator = rdkit.Chem.rdFingerprintGenerator.GetMorganGenerator(
        radius=_FINGERPRINT_RADIUS, fpSize=NUM_FINGERPRINT_BITS
    )
    rows = np.zeros((len(valid := _valid(molecules)), NUM_FINGERPRINT_BITS), np.uint8)
    with rdkit.rdBase.BlockLogs():
        for row, smiles in enumerate(valid):
            rows[row] = generator.GetFingerprintAsNumPy(rdkit.Chem.MolFromSmiles(smiles))
    return rows


def fingerprint_moments(molecules: Sequence[CanonicalSmiles | None]) -> Moments:
    """Moments of the fingerprints as 1,024 features, for a fingerprint Fréchet distance (which is not FCD).

    The moments of blocks merge. Compare sets of the same size, a few thousand: small sets have large distances.

    Raises BadInput if rdkit is not installed.
    """
    return Moments.from_features(fingerprints(molecules))


def internal_diversity(rows: NDArray[np.uint8]) -> float:
    """1 - mean Tanimoto similarity over all pairs of fingerprints, self-pairs included (MOSES' IntDiv); 0 to 1.

    rows: [V, 1024] of 0 and 1, see `fingerprints`; 0 for V = 0

    Pairs do not merge. 10,000 molecules take about 6 s on one core; the time grows with the square.
    """
    if len(rows) == 0:
        return 0.0
    bits = rows.astype(np.float32)  # counts up to 1,024 are exact
    sizes = rows.sum(axis=1, dtype=np.float32)
    similarity = 0.0
    for i in range(0, len(rows), _TILE_ROWS):
        above = slice(i, i + _TILE_ROWS)
        for j in range(i, len(rows), _TILE_ROWS):
            left = slice(j, j + _TILE_ROWS)
            shared = bits[above] @ bits[left].T
            tile = shared / (sizes[above, None] + sizes[left] - shared)
            similarity += float(tile.sum(dtype=np.float64)) * (1 if i == j else 2)
    return 1.0 - similarity / len(rows) ** 2


def _valid(molecules: Sequence[CanonicalSmiles | None]) -> list[CanonicalSmiles]:
    if len(molecules) == 0:
        raise BadInput("molecules: 0 SMILES, at least 1 is needed")
    return [molecule for molecule in molecules if molecule is not None]


def _rdkit() -> Any:
    """rdkit with the submodules used here, imported only if molecules are scored."""
    try:
        import rdkit
        import rdkit.Chem
        import rdkit.Chem.rdFingerprintGenerator
        import rdkit.rdBase
    except ModuleNotFoundError as error:
        raise BadInput(f'molecules: {error.name} is not installed, pip install "ganrnn[molecules]" adds it') from error
    return rdkit
