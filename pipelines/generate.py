"""Generate from a prompts Parquet: Ray Data, an actor pool, exactly one file a shard.

A shard's file is named and filled as a function of (model digest, prompts digest, run seed, shard index) and appears by
one atomic commit. Run again, only missing shards are made; the manifest is written last.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import ray
from tqdm import tqdm

from ganrnn import checkpoint
from pipelines import cluster, model, prompts, refusals, storage, tracking
from pipelines.claim import claim
from pipelines.config import Recipe
from pipelines.sampling import ShardWriter
from pipelines.schemas import MANIFEST, REJECTS, manifest

PLAN = "plan.json"


def generate(recipe: Recipe) -> dict[str, Any]:
    """Sample every prompt; returns the manifest.

    Raises BadInput when the prompts or the model cannot be used, or the folder holds samples of another plan.
    """
    config = recipe.generate
    prompt_set = prompts.plan(config.prompts_uri, config.sampling.shard_rows, config.max_reject_share)
    files = model.fetch_files(config.model_uri, recipe.tracking)
    model_digest = checkpoint.load_sampler(files, config.model_uri).model_digest
    plan = {
        "model_digest": model_digest,
        "prompts_digest": prompt_set.digest,
        "seed": config.seed,
        "shard_rows": config.sampling.shard_rows,
        "num_shards": len(prompt_set.shards),
    }
    claim(config.samples_uri, PLAN, plan, "choose another generate.samples_uri")
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
    digest = storage.sha256(json.dumps(plan, sort_keys=True).encode())[:12]
    return [f"{digest}-{index:06d}.parquet" for index in range(plan["num_shards"])]


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
        with tqdm(total=sum(shard.num_rows for shard in missing), desc="generate", unit="prompt") as bar:
            for row in refusals.rows(written):
                bar.update(missing[row["index"]].num_rows)


def _finish(
    recipe: Recipe, plan: dict[str, Any], prompt_set: prompts.PromptSet, names: Sequence[str]
) -> dict[str, Any]:
    """Hash all shards, write the rejects, and the manifest last."""
    uri = recipe.generate.samples_uri
    shards, num_unknown = [], 0
    for name in names:
        place = storage.join(uri, name)
        unknown = storage.read_table([place], ["unknown_tokens"]).column(0)
        shards.append({"uri": name, "rows": len(unknown), "sha256": storage.file_digest(place)})
        num_unknown += sum(unknown.to_pylist())
    place = prompt_set.uris[0] if len(prompt_set.uris) == 1 else recipe.generate.prompts_uri
    rejects = [{"place": place, "id": i, "reason": "the prompt is empty"} for i in prompt_set.rejected]
    storage.commit_table(storage.join(uri, "rejects.parquet"), pa.Table.from_pylist(rejects, REJECTS))
    whole = manifest(
        "generate",
        inputs={"prompts_uri": recipe.generate.prompts_uri, "prompts_digest": prompt_set.digest, **plan},
        config=recipe.as_dict(),
        shards=shards,
        totals={
            "samples": sum(shard["rows"] for shard in shards),
            "prompts": prompt_set.num_rows,
            "rejects": len(rejects),
            "unknown_tokens": num_unknown,
        },
        model_digest=plan["model_digest"],
    )
    digest = storage.commit_json(storage.join(uri, MANIFEST), whole)
    _track(recipe, whole, digest)
    return whole


def _track(recipe: Recipe, whole: Mapping[str, Any], digest: str) -> None:
    """One MLflow run: which model made which samples of which prompts."""
    run_id = tracking.start_run(
        recipe.tracking,
        "generate",
        recipe.as_dict(),
        digest,
        {"prompts": (recipe.generate.prompts_uri, whole["inputs"]["prompts_digest"])},
        {"model_digest": whole["model_digest"], "samples_manifest_digest": digest},
    )
    tracking.log_metrics(recipe.tracking, run_id, {name: float(count) for name, count in whole["totals"].items()}, 0)
    tracking.finish_run(recipe.tracking, run_id, "FINISHED")
