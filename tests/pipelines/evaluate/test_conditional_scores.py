"""Diversity and coverage given the prompt, from shards of pictures to scores."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from ganrnn.data import scenes
from ganrnn.data.images import encode_png
from ganrnn.metrics.extractors import indomain
from ganrnn.text.captions import Vocabulary
from pipelines import storage
from pipelines.config.evaluate import ExtractorConfig
from pipelines.config.sampling import SamplingConfig
from pipelines.evaluate.images.blocks import Condition, blocks_of_files
from pipelines.evaluate.images.collector import Collector
from pipelines.evaluate.images.metrics import PictureScores, scores_of
from pipelines.evaluate.images.protocol import Protocol
from pipelines.evaluate.images.worker import BlockScorer
from pipelines.formats.schemas import DATASET, SOURCE_IMAGE

COMBINATIONS = scenes.single_combinations()[::12][:9]
JITTER = 0.06


def write(folder: Path, seed: int, jitter: float, has_sources: bool) -> str:
    """Eight pictures of each combination, each shifted by itself, as a shard of a data set; labels count the rows."""
    rng, rows = np.random.default_rng(seed), []
    for number, attributes in enumerate(COMBINATIONS * 8):
        x, y = rng.uniform(-jitter, jitter, 2)
        image = {"bytes": encode_png(scenes.draw(attributes, 16, 16, (x, y))), "path": "x.png"}
        row = {"id": f"{seed}-{number}", "image": image, "text": f"number {number}", "label": number}
        rows.append(row | {"attributes": [*attributes.items()], "source_image": image})
    uri = f"{folder}/{seed}.parquet"
    schema = DATASET.append(SOURCE_IMAGE) if has_sources else DATASET
    storage.commit_table(uri, pa.Table.from_pylist(rows, schema), row_group_rows=10)
    return uri


def scored(
    folder: Path,
    jitter: float,
    condition: Condition = "text",
    has_sources: bool = False,
    built_in: scenes.Kind | None = None,
) -> PictureScores:
    """The scores of pictures with such a jitter against real ones, by a network of random weights."""
    jitters = {"reference": JITTER, "training": JITTER, "samples": jitter}
    uris = {name: write(folder, seed, value, has_sources) for seed, (name, value) in enumerate(jitters.items())}
    torch.manual_seed(0)
    config = indomain.InDomainConfig(base_channels=4, feature_dim=6)
    network = indomain.pack(indomain.InDomainNetwork(config, Vocabulary.build(["a", "b"]), 16, 16))
    protocol = Protocol(("a", "b"), ("0", "1"), ("a", "b"), 2, 2, 64, 0, "", "", "attributes", built_in, has_seam=False)
    scorer = BlockScorer(
        *(network, storage.sha256(network), ExtractorConfig(), protocol, condition),
        *(None, SamplingConfig(), None, None, 0, ""),
    )
    collector = Collector(list(uris), protocol.num_kid_features)
    for name, uri in uris.items():
        for block in blocks_of_files(name, [uri]):
            collector.add(scorer(block))
    collector.finish()
    return scores_of(collector.sets["samples"], collector.sets, protocol)


def test_pictures_that_vary_as_real_ones_have_their_diversity(tmp_path: Path) -> None:
    scores = scored(tmp_path, JITTER)
    for name in ("pixels", "indomain"):
        low, high = scores.intervals[f"diversity_given_prompt_{name}"]
        assert low < 1 < high
        assert scores.metrics[f"coverage_given_prompt_{name}"] == pytest.approx(8 / 15, abs=0.12)


def test_one_picture_for_each_meaning_has_none(tmp_path: Path) -> None:
    scores = scored(tmp_path, 0.0)
    for name in ("pixels", "indomain"):
        assert scores.metrics[f"diversity_given_prompt_{name}"] == 0
        assert scores.metrics[f"coverage_given_prompt_{name}"] < 0.25


@pytest.mark.parametrize(("condition", "has_sources"), [("label", False), ("none", False), ("text", True)])
def test_there_is_no_score_where_no_two_pictures_have_one_condition(
    condition: Condition, has_sources: bool, tmp_path: Path
) -> None:
    metrics = scored(tmp_path, JITTER, condition, has_sources).metrics
    assert "fid72_indomain" in metrics and not [name for name in metrics if "given_prompt" in name]


def test_scenes_have_the_spread_of_what_varies_among_real_ones(tmp_path: Path) -> None:
    scores = scored(tmp_path, JITTER / 2, built_in="captions")
    low, high = scores.intervals["spread_centroid"]
    assert low < scores.metrics["spread_centroid"] < high
    assert scores.metrics["spread_centroid"] == pytest.approx(0.5, abs=0.1)
    assert {"spread_size", "spread_background"} < {*scores.metrics}
    assert scored(tmp_path, 0.0, built_in="captions").metrics["spread_centroid"] == 0
    assert "spread_centroid" not in scored(tmp_path, JITTER).metrics, "pictures of one's own have no known objects"
