"""What an evaluation scores: samples that were stored, or prompts and a model; and the judge that counts."""

import json
from collections.abc import Mapping
from typing import Any

from ganrnn import checkpoint
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config import Recipe
from pipelines.evaluate.images.blocks import Block, blocks_of_files
from pipelines.formats import prompts
from pipelines.formats.manifest import MANIFEST
from pipelines.sampling import model_files
from pipelines.sampling.judge import chooser_of, judge_of


def subject_of(recipe: Recipe) -> tuple[dict[str, Any], list[Block], dict[str, Any]]:
    """What is scored: its digests, its blocks, and the model and who chooses where pictures are made on the way."""
    config = recipe.generate
    if recipe.evaluate.from_prompts:
        uris = prompts.find(config.prompts_uri, config.since, config.where)
        files = model_files.fetch_files(config.model_uri, recipe.tracking)
        task = checkpoint.load_sampler(files, config.model_uri)
        prompt_set = prompts.plan(list(uris), task.prompt_columns, config.sampling.shard_rows, config.max_reject_share)
        shards = [prompt_set.shard(index) for index in range(prompt_set.num_shards)]
        blocks = [Block("samples", shard.index, shard.num_rows, shard=shard) for shard in shards]
        subject = {
            "model_digest": task.model_digest,
            "prompts_digest": prompt_set.digest,
            "samples_manifest_digest": None,
        }
        chooser = chooser_of(recipe, task)
        return (
            subject | _chosen(chooser.plan() if chooser else None),
            blocks,
            {"model_files": files, "chooser": chooser},
        )
    uri = storage.join(config.samples_uri, MANIFEST)
    if not storage.exists(uri):
        raise BadInput(f"{uri} does not exist; run generate first, or set evaluate.from_prompts=true")
    held = storage.read_json(uri)
    blocks = blocks_of_files("samples", [storage.join(config.samples_uri, shard["uri"]) for shard in held["shards"]])
    subject = {
        "model_digest": held["model_digest"],
        "prompts_digest": held["inputs"]["prompts_digest"],
        "samples_manifest_digest": storage.file_digest(uri),
    }
    return subject | _chosen(held["inputs"].get("choice")), blocks, {"model_files": None, "chooser": None}


def counting_judge(recipe: Recipe, subject: Mapping[str, Any]) -> tuple[dict[str, bytes] | None, dict[str, str]]:
    """The files of the judge that counts, and what a report says of it; BadInput where it has had a say before."""
    if not (uri := recipe.evaluate.judge_uri):
        return None, {}
    files, digest = judge_of(recipe, uri, "evaluate.judge_uri", recipe.task)
    learnt = recipe.train.judge_uri and judge_of(recipe, recipe.train.judge_uri, "train.judge_uri", recipe.task)[1]
    for other, place in (
        (learnt, "the generator has learnt from it"),
        (_chooser(subject), "it has chosen the samples"),
    ):
        if other == digest:
            raise BadInput(f"evaluate.judge_uri {uri} cannot count: {place}; train one with another seed")
    return files, {"judge_digest": digest}


def _chooser(subject: Mapping[str, Any]) -> str | None:
    found: str | None = json.loads(subject.get("choice", "{}")).get("judge_digest")
    return found


def _chosen(choice: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a report says of a judge's choice: samples that were chosen are not compared with others."""
    return {"choice": json.dumps(choice, sort_keys=True)} if choice else {}
