"""The in-domain network of a data set: trained on first use, stored next to the data under a digest."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from ganrnn import cpu
from ganrnn.data.images import to_tensor
from ganrnn.metrics.extractors import indomain
from ganrnn.text.captions import caption_of
from pipelines import storage
from pipelines.cluster.messages import Progress, Reports
from pipelines.cluster.runner import Runner, Workers
from pipelines.config.recipe import Recipe
from pipelines.evaluate.images.blocks import condition_of
from pipelines.evaluate.images.meaning import is_told_by_attributes, meanings
from pipelines.formats.dataset import shard_uris
from pipelines.formats.manifest import Manifest


def ensure(runner: Runner, recipe: Recipe, manifest: Manifest) -> tuple[bytes, str]:
    """The packed network and its sha256. Trained once for each (data set, config, seed), on all CPUs of one node."""
    identity: dict[str, object] = {
        "config": asdict(recipe.evaluate.indomain),
        "captions": recipe.evaluate.captions,
        "dataset_digest": manifest.dataset_digest,
        "seed": recipe.seed,
    }
    by_attributes = is_told_by_attributes(manifest.scenes_kind, recipe.evaluate.captions, condition_of(recipe.task))
    if not by_attributes and recipe.ingest.attribute_columns:
        identity["meaning"] = "words"  # of attributes, in earlier networks
    name = storage.sha256(json.dumps(identity, sort_keys=True).encode())[:12]
    folder = storage.join(recipe.ingest.dataset_uri, f"indomain-{name}")
    description, weights = storage.join(folder, "indomain.json"), storage.join(folder, "indomain.safetensors")
    if not storage.exists(description):
        uris = shard_uris(recipe.ingest.dataset_uri, manifest, "train")
        num_cpus = runner.num_cpus_of_a_node()
        with runner.bar("in-domain network", recipe.evaluate.indomain.num_steps, "step") as bar:
            # Threads that wait for each other in a busy loop stand still for seconds where cores are shared.
            patient = {"OMP_WAIT_POLICY": "PASSIVE"}
            workers, arguments = Workers(cpus_per_worker=num_cpus), (recipe, uris, num_cpus, by_attributes, bar.reports)
            data = runner.run(_fit, *arguments, workers=workers, environment=patient, retries=3)
        digest = storage.commit_bytes(weights, data)
        storage.commit_json(description, identity | {"sha256": digest})
    digest = storage.read_json(description)["sha256"]
    data = storage.read_bytes(weights)
    indomain.unpack(data, digest)
    return data, digest


def _fit(recipe: Recipe, uris: list[str], num_threads: int, by_attributes: bool, reports: Reports) -> bytes:
    cpu.prepare(num_threads)
    config = recipe.evaluate.indomain
    table = _first_rows(uris, config.max_rows).to_pydict()
    images = to_tensor([image["bytes"] for image in table["image"]])
    keys = meanings(table["text"], table["attributes"], by_attributes)

    def report(step: int) -> None:
        if step % 20 == 0 or step == config.num_steps:
            reports.put(Progress(step, {}))

    texts = captions(recipe.evaluate.captions, table["text"], table["attributes"])
    network = indomain.fit(config, images, texts, keys, recipe.seed, report)
    return indomain.pack(network)


def captions(kind: str, texts: Sequence[str], attributes: Sequence[Any]) -> list[str]:
    """What the network reads of some rows."""
    return [caption_of(pairs) for pairs in attributes] if kind == "attributes" else list(texts)


def _first_rows(uris: list[str], num_rows: int) -> pa.Table:
    """The first rows of a split; later files are not opened."""
    tables: list[pa.Table] = []
    for uri in uris:
        missing = num_rows - sum(table.num_rows for table in tables)
        if missing > 0:
            tables.append(storage.read_table([uri], ["image", "text", "attributes"]).slice(0, missing))
    return pa.concat_tables(tables)
