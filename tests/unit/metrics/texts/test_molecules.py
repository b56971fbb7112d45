"""Molecules: what MOSES gives for its own example, what rdkit gives pair by pair, and texts that are no molecules."""

import random
import sys

import numpy as np
import pytest

from ganrnn.errors import BadInput
from ganrnn.metrics.images.frechet import frechet_distance
from ganrnn.metrics.statistics.intervals import wilson_interval
from ganrnn.metrics.statistics.moments import Moments
from ganrnn.metrics.statistics.share import Share
from ganrnn.metrics.texts.molecules import (
    MAX_SMILES_CHARACTERS,
    canonical_smiles,
    fingerprint_moments,
    fingerprints,
    internal_diversity,
    novelty,
    uniqueness,
    validity,
)
from tests.unit.metrics.ordered import merge_in_order

pytest.importorskip("rdkit", reason='rdkit is not installed: pip install "ganrnn[molecules]"')

# The generated set of tests/test_metrics.py in MOSES, with the scores that stand there.
MOSES = [
    "CNC",
    "Oc1ccccc1-c1cccc2cnccc12",
    "INVALID",
    "CCCP",
    "Cc1noc(C)c1CN(C)C(=O)Nc1cc(F)cc(F)c1",
    "Cc1nc(NCc2ccccc2)no1-c1ccccc1",
]
MOLECULES = canonical_smiles(MOSES)


def test_scores_of_the_example_of_moses() -> None:
    assert validity(MOLECULES) == Share(4, 6)
    assert uniqueness(MOLECULES, 3) == Share(3, 3)
    assert internal_diversity(fingerprints(MOLECULES)) == pytest.approx(0.7189187309761661, abs=1e-9)


def test_one_molecule_has_one_canonical_form() -> None:
    forms = ["OCC", "C(C)O", "[CH3][CH2][OH]", "C1=CC=CC=C1", "c1ccccc1", "N[C@@H](C)C(=O)O", "N[C@H](C)C(=O)O"]
    assert canonical_smiles(forms) == [
        *["CCO", "CCO", "CCO", "c1ccccc1", "c1ccccc1"],
        *["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"],
    ]
    assert canonical_smiles(canonical_smiles(forms)) == canonical_smiles(forms)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "CC O",  # rdkit alone reads CC, named O
        "CCO\n",
        "C\x00C",
        "C |$x$|",
        "c1ccccc",  # a ring that does not close
        "c1cccc1",  # not aromatic
        "C(C)(C)(C)(C)C",  # five bonds
        "C(",
        "ＣＣＯ",
        "红",
        "\ud800",
        "C" * (MAX_SMILES_CHARACTERS + 1),
        "C" * 100_000,
    ],
)
def test_what_is_no_molecule(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert canonical_smiles([text, "OC"]) == [None, "CO"]
    assert capfd.readouterr() == ("", "")


def test_the_longest_text_that_is_read() -> None:
    assert canonical_smiles(["C" * MAX_SMILES_CHARACTERS]) == ["C" * MAX_SMILES_CHARACTERS]


def test_uniqueness_is_of_the_first_valid_ones() -> None:
    molecules = canonical_smiles(["OC", "x", "CO", "y", "CC", "CC", "CN"])
    assert [uniqueness(molecules, k) for k in (1, 2, 3, 4, 5, 1000)] == [
        *[Share(1, 1), Share(1, 2), Share(2, 3), Share(2, 4), Share(3, 5), Share(3, 5)]
    ]


def test_novelty_is_of_different_molecules_and_of_any_spelling() -> None:
    molecules = canonical_smiles(["OC", "CO", "x", "CC", "CC", "CN", "c1ccccc1"])
    training = set(canonical_smiles(["CO", "C1=CC=CC=C1", "no molecule", "CCCCC"]))
    assert novelty(molecules, training) == Share(2, 4)
    assert novelty(molecules, set()) == Share(4, 4)
    assert novelty(molecules[::-1], training).interval() == wilson_interval(2, 4)


def test_validity_of_blocks_adds_up() -> None:
    assert validity(MOLECULES[:1]) + validity(MOLECULES[1:]) == validity(MOLECULES)
    assert validity(MOLECULES).interval() == wilson_interval(4, 6)


def test_nothing_valid_scores_0() -> None:
    nothing = canonical_smiles(["x", "y"])
    assert validity(nothing) == Share(0, 2)
    assert uniqueness(nothing, 10) == novelty(nothing, set()) == Share(0, 0)
    assert fingerprints(nothing).shape == (0, 1024)
    assert internal_diversity(fingerprints(nothing)) == 0.0
    assert fingerprint_moments(nothing).count == 0


def test_fingerprints_are_morgans_and_similarities_tanimotos() -> None:
    from rdkit import Chem, DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    smiles = ["CCO", "CCN", "c1ccccc1O", "CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "C", "CCO"]
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    vectors = [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in smiles]
    rows = fingerprints(canonical_smiles(smiles))
    for row, vector in zip(rows, vectors, strict=True):
        assert np.flatnonzero(row).tolist() == list(vector.GetOnBits())
    similarity = np.mean([DataStructs.BulkTanimotoSimilarity(vector, vectors) for vector in vectors])
    assert internal_diversity(rows) == pytest.approx(1 - similarity, abs=1e-7)
    assert internal_diversity(rows[:1]) == 0.0


@pytest.mark.parametrize("repeats", [100, 150, 300])
def test_repeats_and_order_change_no_diversity(repeats: int) -> None:
    # Over all pairs of a set with itself repeats cancel out; 400, 600 and 1,200 rows are 1, 2 and 3 tiles.
    rows = fingerprints(MOLECULES)
    many = np.tile(rows, (repeats, 1))
    assert internal_diversity(many) == pytest.approx(internal_diversity(rows), abs=1e-7)
    shuffled = many[random.Random(0).sample(range(len(many)), len(many))]
    assert internal_diversity(shuffled) == pytest.approx(internal_diversity(rows), abs=1e-7)


def test_fingerprint_frechet_distance_tells_sets_apart_and_merges() -> None:
    chains = canonical_smiles(["C" * i + end for i in range(2, 12) for end in ("O", "N", "F")])
    others = canonical_smiles(["C" * i + end for i in range(2, 12) for end in ("O", "N", "Cl")])
    rings = canonical_smiles([f"c1cc{end}ccc1" + "C" * i for i in range(2, 12) for end in ("(O)", "(N)", "(F)")])
    moments = fingerprint_moments(chains)
    assert moments.mean.shape == (1024,) and moments.count == 30
    sets = [moments, fingerprint_moments(others), fingerprint_moments(rings)]
    # A bit that no molecule has adds nothing to a distance, and much to its time.
    bits = np.flatnonzero(sum(of.mean for of in sets))
    own, similar, different = (Moments(of.count, of.mean[bits], of.scatter[np.ix_(bits, bits)]) for of in sets)
    assert frechet_distance(own, own) == pytest.approx(0.0, abs=1e-9)
    near, far = frechet_distance(own, similar), frechet_distance(own, different)
    assert 0 < 2 * near < far
    blocks = {"b": fingerprint_moments(chains[:7]), "a": fingerprint_moments(chains[7:])}
    merged = merge_in_order(blocks)
    np.testing.assert_allclose(merged.covariance(), moments.covariance(), atol=1e-12)


def test_no_text_and_no_k_are_refused() -> None:
    for score in (
        lambda: canonical_smiles([]),
        lambda: validity([]),
        lambda: uniqueness([], 5),
        lambda: novelty([], set()),
        lambda: fingerprint_moments([]),
    ):
        with pytest.raises(BadInput, match="0 SMILES, at least 1 is needed"):
            score()
    with pytest.raises(BadInput, match="k is 0, at least 1 is needed"):
        uniqueness(MOLECULES, 0)


def test_without_rdkit_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdkit", None)
    for score in (lambda: canonical_smiles(["C"]), lambda: fingerprints(MOLECULES)):
        with pytest.raises(BadInput, match=r'rdkit is not installed, pip install "ganrnn\[molecules\]" adds it'):
            score()
    assert validity(MOLECULES) == Share(4, 6)  # needs no more than the canonical forms
