"""Texts of one model as the prompts of another, and the manifest that leads from an image back to both.

The model that writes is the dreamer, the one that generates images the painter. A prompt keeps the sample id of its
text and gets a column with the digest of the dreamer; both pass through to the samples of the painter.
"""

import pyarrow as pa

from ganrnn import checkpoint
from ganrnn.errors import BadInput
from ganrnn.task import task_class
from pipelines import storage
from pipelines.config.loader import load_recipe
from pipelines.config.recipe import Recipe
from pipelines.formats import manifest as manifests
from pipelines.formats.dataset import read_manifest
from pipelines.formats.manifest import MANIFEST, Manifest, ManifestShard
from pipelines.formats.schemas import SAMPLES, TEXT_SAMPLES
from pipelines.formats.unique_ids import count_different
from pipelines.sampling import model_files
from pipelines.sampling.judge import chooser_of

DREAMER_DIGEST = "dreamer_digest"
# Columns that a prompt does not take over from a sample: those that samples of images have themselves, and those that
# describe the human text, not the generated one.
_LEFT_BEHIND = {*TEXT_SAMPLES.names, *SAMPLES.names, "reference", "attributes"}


def dreamer_of(recipe: Recipe) -> Recipe:
    """The recipe of the model that writes the prompts of another one.

    Raises BadInput, before anything is written, if it does not give texts, if the model of `recipe` does not generate
    images from prompts alone, if its judge does not fit, or if its data set, which evaluate reads, is missing.
    """
    config = recipe.dream
    if not config.recipe:
        raise BadInput("dream.recipe is missing; give the path of a recipe whose task gives texts")
    try:
        dreamer = load_recipe(config.recipe, config.overrides)
    except BadInput as error:
        raise type(error)(f"dream.recipe: {error}") from error
    if (output_modality := task_class(dreamer.task.name).output_modality) != "texts":
        raise BadInput(
            f"dream.recipe {config.recipe} has the task {dreamer.task.name}, which gives {output_modality}; "
            "allowed is a task that gives texts, such as latent_text_gan"
        )
    uri = recipe.generate.model_uri
    painter = checkpoint.load_sampler(model_files.fetch_files(uri, recipe.tracking), uri)
    if painter.output_modality != "images" or tuple(painter.prompt_columns) != ("prompt",):
        read = " and ".join(painter.prompt_columns) or "noise alone"
        raise BadInput(
            f"generate.model_uri {uri} gives {painter.output_modality} by {read}; "
            "allowed is a model that gives images by prompt alone, such as one of text_to_image"
        )
    chooser_of(recipe, painter)
    read_manifest(recipe.ingest.dataset_uri)
    if recipe.generate.prompts_uri.endswith(".parquet"):
        raise BadInput(
            f"generate.prompts_uri is {recipe.generate.prompts_uri}; dreamt prompts are several files, give a folder"
        )
    return dreamer


def commit_prompts(samples_uri: str, prompts_uri: str) -> None:
    """Write the texts of a finished generation as prompts, a file for each shard; files that exist are kept.

    Empty texts stay: generate rejects them with the reason. Raises BadInput if the generation is not finished or gave
    no texts, or the folder has prompts of other samples.
    """
    manifest = manifests.read(samples_uri, "generate")
    assert manifest.model_digest is not None
    names = {shard.uri for shard in manifest.shards}
    present = storage.list_files(prompts_uri, ".parquet")
    others = [uri for uri in present if storage.relative(uri, prompts_uri) not in names]
    if others:
        raise BadInput(
            f"{others[0]} is no prompt of what {samples_uri} holds; "
            "choose another generate.prompts_uri, or delete the folder"
        )
    for name in sorted(names):
        prompt_uri = storage.join(prompts_uri, name)
        if not storage.exists(prompt_uri):
            uri = storage.join(samples_uri, name)
            storage.commit_table(prompt_uri, _prompts(uri, storage.read_table([uri]), manifest.model_digest))
    storage.delete_unfinished(prompts_uri)


def _prompts(uri: str, samples: pa.Table, dreamer_digest: str) -> pa.Table:
    """Samples of texts as prompts, with the further columns of their own prompts."""
    storage.require_columns(uri, samples.schema, ["sample_id", "text"])
    if DREAMER_DIGEST in samples.column_names:
        raise BadInput(
            f"{uri} has a column {DREAMER_DIGEST!r}, which dreamt prompts have themselves; rename or drop it"
        )
    columns = {
        "prompt_id": samples.column("sample_id"),
        "prompt": samples.column("text"),
        DREAMER_DIGEST: pa.array([dreamer_digest] * samples.num_rows, pa.string()),
    }
    kept = [name for name in samples.column_names if name not in _LEFT_BEHIND]
    return pa.table(columns | {name: samples.column(name) for name in kept})


def commit_manifest(recipe: Recipe, dreamer: Recipe) -> Manifest:
    """Write `run_uri`/manifest.json: the shards of images by digest, and both models, the prompts and the judge.

    Raises BadInput if one of the two generations is not finished.
    """
    text_uri, image_uri = dreamer.generate.samples_uri, recipe.generate.samples_uri
    texts, images = (manifests.read(uri, "generate") for uri in (text_uri, image_uri))
    prompt_uris = [storage.join(recipe.generate.prompts_uri, shard.uri) for shard in texts.shards]
    manifest = Manifest(
        "closed_loop",
        inputs={
            "dreamer": _model_and_samples(text_uri, texts),
            "prompts": {"prompts_uri": recipe.generate.prompts_uri, "prompts_digest": images.prompts_digest},
            "painter": _model_and_samples(image_uri, images),
            "judge": images.choice,
        },
        config=recipe.as_dict(),
        shards=tuple(
            ManifestShard(storage.join(image_uri, shard.uri), shard.num_rows, shard.sha256) for shard in images.shards
        ),
        totals={
            "dreamt": texts.totals["samples"],
            "different": count_different(prompt_uris, "prompt"),
            "painted": images.totals["samples"],
            "rejected": images.totals["rejects"],
        },
        model_digest=images.model_digest,
    )
    manifests.commit(recipe.run_uri, manifest)
    return manifest


def _model_and_samples(samples_uri: str, manifest: Manifest) -> dict[str, str | None]:
    return {
        "model_digest": manifest.model_digest,
        "samples_uri": samples_uri,
        "samples_manifest_digest": storage.file_digest(storage.join(samples_uri, MANIFEST)),
    }


def trace(manifest: Manifest) -> list[str]:
    """Lines that lead from the first image of a loop's manifest back to the models and texts that it comes from."""
    shard = next(shard for shard in manifest.shards if shard.num_rows)
    row = storage.read_table([shard.uri]).slice(0, 1).to_pylist()[0]
    lines = [
        f"for example           {row['sample_id']} in {shard.uri}",
        f"  generated by        {row['model_digest']}",
        f"  for the prompt      {row['prompt']}",
        f"  a text generated by {row['dreamer_digest']}",
        f"  with the id         {row['prompt_id']} in {manifest.inputs['dreamer']['samples_uri']}",
    ]
    if judge := manifest.inputs["judge"]:
        lines.append(f"  and chosen by       {judge['judge_digest']}, match_score {row['match_score']:.4f}")
    return lines
