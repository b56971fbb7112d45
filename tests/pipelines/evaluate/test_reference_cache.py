"""The cached statistics of a data set are valid for one version of the code: another score needs another version."""

from pathlib import Path

import pyarrow as pa
import pytest
import torch

from ganrnn.data import scenes
from ganrnn.data.images import encode_png
from ganrnn.metrics.extractors import indomain
from ganrnn.text.captions import Vocabulary, meaning_key
from pipelines import storage
from pipelines.config.evaluate import ExtractorConfig
from pipelines.config.sampling import SamplingConfig
from pipelines.evaluate.images import reference_cache
from pipelines.evaluate.images.blocks import blocks_of_files
from pipelines.evaluate.images.collector import Collector
from pipelines.evaluate.images.metrics import scores_of
from pipelines.evaluate.images.protocol import Protocol
from pipelines.evaluate.images.worker import BlockScorer
from pipelines.formats.schemas import DATASET

# By version of the cache: what these scores are. Where they change, old caches must not be read any more.
SCORES = {
    4: {
        "fid24_indomain": 0.045237,
        "kid24_indomain": -0.036733,
        "kid24_indomain_std": 3.1163e-16,
        "is24_indomain": 1.1481,
        "is24_indomain_std": 0.0066383,
        "precision24_indomain": 0.875,
        "recall24_indomain": 0.79167,
        "density24_indomain": 1.0667,
        "coverage24_indomain": 1.0,
        "clipped_density24_indomain": 1.0,
        "clipped_coverage24_indomain": 1.0,
        "near_duplicates24_indomain": 0.0,
        "copied24_indomain": 0.5,
        "fid_limit24_indomain": 0.026497,
        "background_accuracy": 1.0,
        "colour_accuracy": 1.0,
        "position_accuracy": 1.0,
        "shape_accuracy": 1.0,
        "size_accuracy": 1.0,
        "r_precision_4": 0.25,
        "seam_vs_interior": 2.8458,
    }
}
SETS = {"reference": range(0, 72, 3), "real": range(1, 73, 3), "training": range(2, 74, 3)}


def caption(attributes: dict[str, str]) -> str:
    """All attributes as words."""
    return " ".join(attributes[name] for name in ("size", "colour", "shape", "position", "background"))


def write(folder: Path, numbers: range) -> str:
    """Scenes as a shard of a data set, in row groups of 10."""
    combinations = scenes.single_combinations()
    rows = []
    for number in numbers:
        attributes = combinations[number * 5]
        png = encode_png(scenes.draw(attributes, 16, 16))
        image = {"bytes": png, "path": f"{number}.png"}
        rows.append(
            {"id": f"r{number}", "image": image, "text": caption(attributes), "attributes": list(attributes.items())}
        )
    uri = f"{folder}/{numbers.start}.parquet"
    storage.commit_table(uri, pa.Table.from_pylist(rows, DATASET), row_group_rows=10)
    return uri


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """The scores of a small set against two others, by a network of random weights."""
    folder = tmp_path_factory.mktemp("dataset")
    uris = {name: write(folder, numbers) for name, numbers in SETS.items()}
    combinations = [scenes.single_combinations()[number * 5] for number in SETS["real"]]
    keys = {str(meaning_key(caption(attributes), attributes)): caption(attributes) for attributes in combinations}
    config = indomain.InDomainConfig(base_channels=4, feature_dim=6)
    torch.manual_seed(0)
    network = indomain.InDomainNetwork(config, Vocabulary.build(list(keys.values()), "word"), 16, 16)
    packed = indomain.pack(network)
    protocol = Protocol(
        caption_texts=tuple(keys[key] for key in sorted(keys)),
        caption_keys=tuple(sorted(keys)),
        posterior_texts=tuple(sorted(keys.values())[:5]),
        num_candidates=4,
        num_splits=2,
        num_kid_features=100,
        seed=0,
        group_by="shape",
        extractor_digest="",
        captions="text",
        built_in="captions",
        has_seam=True,
    )
    scorer = BlockScorer(
        packed, storage.sha256(packed), ExtractorConfig(), protocol, "text", None, SamplingConfig(), None, None, 0, ""
    )
    collector = Collector(list(uris), protocol.num_kid_features)
    for name, uri in uris.items():
        for block in blocks_of_files(name, [uri]):
            collector.add(scorer(block))
    collector.finish()
    assert set(collector.sets["real"].groups) == {attributes["shape"] for attributes in combinations}
    return scores_of(collector.sets["real"], collector.sets, protocol).metrics


def test_a_change_of_scores_raises_the_version(metrics: dict[str, float]) -> None:
    expected = SCORES.get(reference_cache._VERSION, {})
    message = "scores of a data set's own images have changed: raise _VERSION in reference_cache.py and pin them here"
    assert metrics == pytest.approx(expected, rel=2e-3, abs=1e-6), message
