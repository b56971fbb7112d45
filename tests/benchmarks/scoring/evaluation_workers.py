"""Evaluation by Inception on one worker and on two: pictures a second of the whole pass, workers' start included.

Weights are random, since the published ones are no part of the project; the work is the same. Both sides run in turns
in one Ray session and have to agree on every sum to the last bit.
"""

import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import save

from pipelines.cluster.session import session
from pipelines.config.loader import load_recipe
from pipelines.config.recipe import Recipe
from pipelines.evaluate.images import indomain_network
from pipelines.evaluate.images.block_result import BlockResult
from pipelines.evaluate.images.collector import Collector
from pipelines.evaluate.images.evaluation import sample_blocks, score_blocks
from pipelines.evaluate.images.protocol import protocol_of
from pipelines.evaluate.images.worker import load
from pipelines.formats.dataset import read_manifest, shard_uris
from pipelines.ingest.driver import ingest
from pipelines.sampling.sample_source import sample_source
from tests.benchmarks.record import ROOT, Figure, digits, ratio_figure
from tests.benchmarks.scoring.defects import as_samples, rows_of
from tests.unit.inception_weights import random_weights

NUM_PICTURES, BLOCK_ROWS, NUM_REPEATS = 768, 32, 3


def two_workers() -> list[Figure]:
    """How many times the pictures a second of one worker two have."""
    with TemporaryDirectory(prefix="ganrnn-evaluation-") as folder:
        recipe = _recipe(Path(folder))
        ingest(recipe)
        as_samples(rows_of(recipe, "test"), f"{folder}/samples", BLOCK_ROWS)
        with session():
            sides = {number: [_pass(recipe, number)] for number in (1, 2)}
            for _ in range(NUM_REPEATS):
                for number, held in sides.items():
                    held.append(_pass(recipe, number))
    assert len({sums for held in sides.values() for _, _, sums in held}) == 1, "sums differ"
    one, two = (held[1:] for held in sides.values())  # the first of each was a warm-up
    steady = [a[1] / b[1] for a, b in zip(one, two, strict=True)]
    details = {
        "seconds": {str(number): [digits(held[0]) for held in side] for number, side in ((1, one), (2, two))},
        "steady_ratios": [digits(ratio) for ratio in steady],
        "pictures": NUM_PICTURES,
    }
    ratios = [a[0] / b[0] for a, b in zip(one, two, strict=True)]
    meaning = "seconds of one worker / seconds of two, from the start of the workers to the last picture"
    return [ratio_figure("two_workers_vs_one", ratios, meaning, details)]


def _recipe(folder: Path) -> Recipe:
    data = save(random_weights())
    (folder / "inception.safetensors").write_bytes(data)
    settings = {
        "run_uri": folder,
        "generate.samples_uri": folder / "samples",
        "ingest.scenes.num_train": 64,
        "ingest.scenes.num_val": 128,
        "ingest.scenes.num_test": NUM_PICTURES,
        "evaluate.indomain.num_steps": 10,
        "evaluate.num_candidates": 50,
        "evaluate.extractor.weights_uri": folder / "inception.safetensors",
        "evaluate.extractor.sha256": sha256(data).hexdigest(),
    }
    return load_recipe(str(ROOT / "jobs/recipes/demo.yaml"), [f"{key}={value}" for key, value in settings.items()])


class _Clocked(Collector):
    """Knows when blocks came."""

    def __init__(self, num_kept: int) -> None:
        super().__init__(["samples"], num_kept)
        self.times: list[float] = []

    def add(self, block: BlockResult) -> None:
        super().add(block)
        self.times.append(time.perf_counter())


def _pass(recipe: Recipe, num_workers: int) -> tuple[float, float, str]:
    """Seconds of the pass, seconds a block once all workers are at it, and the digest of all sums."""
    recipe = replace(recipe, evaluate=replace(recipe.evaluate, num_workers=num_workers))
    manifest = read_manifest(recipe.ingest.dataset_uri)
    splits = [shard_uris(recipe.ingest.dataset_uri, manifest, split) for split in ("val", "test")]
    protocol = protocol_of(recipe, manifest, *splits, load(recipe.evaluate.extractor))
    source = sample_source(recipe)
    collected = _Clocked(recipe.evaluate.num_kid_features)
    with session() as runner:
        network, digest = indomain_network.ensure(runner, recipe, manifest)
        start = time.perf_counter()
        score_blocks(runner, recipe, sample_blocks(source), network, digest, protocol, source, None, collected)
    collected.finish()
    times = collected.times
    steady = (times[-1] - times[num_workers - 1]) / (len(times) - num_workers)
    parts = [part for held in collected.sets["samples"].features.values() for part in held.to_parts().values()]
    print(f"  {num_workers} workers: {times[-1] - start:.1f} s", flush=True)
    return times[-1] - start, steady, sha256(b"".join(parts)).hexdigest()
