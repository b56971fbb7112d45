"""Generate from a prompts Parquet: Ray Data, an actor pool, exactly one file a shard.

A shard's file is named and filled as a function of (model digest, prompts digest, run seed, shard index) and appears by
one atomic commit. Run again, only missing shards are made; the manifest is written last.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import ray
from tqdm import tqdm

from ganrnn import checkpoint
from ganrnn.errors import BadInput
from ganrnn.images import encode_png
from pipelines import cluster, model, prompts, storage
from pipelines.config import Recipe, SamplingConfig
from pipelines.sampling import ModelSampler
from pipelines.schemas import IMAGE, MANIFEST, PROMPT_COLUMNS, REJECTS, SAMPLES, manifest

PLAN = "plan.json"


def generate(recipe: Recipe) -> dict[str, Any]:
    """Sample every prompt; returns the manifest.

    Raises BadInput when the prompts or the model cannot be used, or the folder holds samples of another plan.
    """
    config = recipe.generate
    prompt_set = prompts.plan(config.prompts_uri, config.sampling.shard_rows)
    files = model.fetch_files(config.model_uri, recipe.tracking)
    description = checkpoint.verify(files, config.model_uri)
    plan = {
        "model_digest": description["model_digest"],
        "prompts_digest": prompt_set.digest,
        "seed": config.seed,
        "shard_rows": config.sampling.shard_rows,
        "num_shards": len(prompt_set.shards),
    }
    _claim(config.samples_uri, plan)
    done = storage.join(config.samples_uri, MANIFEST)
    if storage.exists(done):
        finished: dict[str, Any] = storage.read_json(done)
        return finished
    names = shard_names(plan)
    there = {uri.rsplit("/", 1)[-1] for uri in storage.list_files(config.samples_uri, ".parquet")}
    missing = [shard for shard in prompt_set.shards if names[shard.index] not in there]
    _sample_shards(recipe, files, missing, names)
    return _finish(recipe, plan, prompt_set, names)


def shard_names(plan: Mapping[str, Any]) -> list[str]:
    """File names of all shards: the plan's digest and the shard's index."""
    digest = storage.sha256(repr(sorted(plan.items())).encode())[:12]
    return [f"{digest}-{index:06d}.parquet" for index in range(plan["num_shards"])]


def _claim(samples_uri: str, plan: Mapping[str, Any]) -> None:
    uri = storage.join(samples_uri, PLAN)
    if not storage.exists(uri):
        storage.commit_json(uri, plan)
        return
    there = storage.read_json(uri)
    for name, value in plan.items():
        if there.get(name) != value:
            raise BadInput(
                f"{samples_uri} holds samples with {name} = {there.get(name)!r}, this run has {value!r}; "
                "choose another generate.samples_uri, or delete the folder"
            )


def _sample_shards(
    recipe: Recipe, files: Mapping[str, bytes], missing: Sequence[prompts.Shard], names: Sequence[str]
) -> None:
    if not missing:
        return
    sampling = recipe.generate.sampling
    with cluster.session():
        cluster.require("generate.sampling", sampling.num_workers, sampling.cpus_per_worker, sampling.gpus_per_worker)
        items = [{"index": index} for index in range(len(missing))]
        written = ray.data.from_items(items, override_num_blocks=len(items)).map(
            ShardWriter,  # type: ignore[arg-type]  # an actor class, whose instances are the function
            fn_constructor_kwargs={
                "files": dict(files),
                "sampling": sampling,
                "seed": recipe.generate.seed,
                "shards": list(missing),
                "uris": [storage.join(recipe.generate.samples_uri, names[shard.index]) for shard in missing],
            },
            compute=ray.data.ActorPoolStrategy(size=min(sampling.num_workers, len(items))),
            num_cpus=sampling.cpus_per_worker,
            num_gpus=sampling.gpus_per_worker,
        )
        with tqdm(total=sum(shard.num_rows for shard in missing), desc="generate", unit="row") as bar:
            for row in written.iter_rows():
                bar.update(row["rows"])


class ShardWriter:
    """An actor that samples whole shards and commits each as one file."""

    def __init__(
        self,
        files: Mapping[str, bytes],
        sampling: SamplingConfig,
        seed: int,
        shards: Sequence[prompts.Shard],
        uris: Sequence[str],
    ) -> None:
        self.sampler = ModelSampler(files, sampling)
        self.seed, self.shards, self.uris = seed, shards, uris

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        table = sample_table(self.sampler, self.shards[row["index"]], self.seed)
        storage.commit_table(self.uris[row["index"]], table)
        return {"rows": table.num_rows}


def sample_table(sampler: ModelSampler, shard: prompts.Shard, run_seed: int) -> pa.Table:
    """The samples of a shard, in prompt order, with the prompts' further columns passed through."""
    table, sample_ids, seeds = prompts.expand(prompts.read_shard(shard), run_seed)
    texts = table.column("prompt").to_pylist()
    pictures = sampler.sample(texts, list(zip(seeds, sample_ids, strict=True)))
    columns = {
        "sample_id": pa.array(sample_ids, pa.string()),
        "prompt_id": table.column("prompt_id"),
        "seed": pa.array(seeds, pa.int64()),
        "image": pa.array(
            [{"bytes": encode_png(p), "path": f"{i}.png"} for p, i in zip(pictures, sample_ids, strict=True)], IMAGE
        ),
        "prompt": table.column("prompt"),
        "model_digest": pa.array([sampler.model_digest] * len(texts), pa.string()),
    }
    fields = list(SAMPLES)
    for name in table.column_names:
        if name not in columns and name not in PROMPT_COLUMNS:
            columns[name] = table.column(name)
            fields.append(table.schema.field(name))
    return pa.table(columns, schema=pa.schema(fields))


def _finish(
    recipe: Recipe, plan: dict[str, Any], prompt_set: prompts.PromptSet, names: Sequence[str]
) -> dict[str, Any]:
    """Hash all shards, write the rejects, and the manifest last."""
    uri = recipe.generate.samples_uri
    shards = []
    for name in names:
        place = storage.join(uri, name)
        shards.append(
            {"uri": name, "rows": storage.open_parquet(place).metadata.num_rows, "sha256": storage.file_digest(place)}
        )
    place = prompt_set.uris[0] if len(prompt_set.uris) == 1 else recipe.generate.prompts_uri
    rejects = [{"place": place, "id": i, "reason": "the prompt is empty"} for i in prompt_set.rejected]
    storage.commit_table(storage.join(uri, "rejects.parquet"), pa.Table.from_pylist(rejects, REJECTS))
    whole = manifest(
        "generate",
        inputs={"prompts_uri": recipe.generate.prompts_uri, "prompts_digest": prompt_set.digest, **plan},
        config=recipe.as_dict(),
        shards=shards,
        totals={"samples": sum(s["rows"] for s in shards), "prompts": prompt_set.num_rows, "rejects": len(rejects)},
        model_digest=plan["model_digest"],
    )
    storage.commit_json(storage.join(uri, MANIFEST), whole)
    return whole
