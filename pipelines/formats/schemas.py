"""Every Parquet schema and the manifest, versioned.

Images stand in the Hugging Face layout, so that datasets, pandas, DuckDB and Ray read the files as they are.
"""

import pyarrow as pa

# Key of a samples file's metadata: its counts and its rejects, as JSON.
SHARD_NOTES = "ganrnn.shard"

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
ATTRIBUTES = pa.map_(pa.string(), pa.string())

DATASET = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("image", IMAGE, nullable=False),
        ("text", pa.string()),
        ("label", pa.int64()),
        ("attributes", ATTRIBUTES),
    ]
)
TEXTS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        ("label", pa.int64()),
        ("attributes", ATTRIBUTES),
    ]
)
PAIRS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        ("label", pa.int64()),
        ("attributes", ATTRIBUTES),
    ]
)
# The input of image_to_image and of judges; a data set and its prompts have this column if their source has it.
SOURCE_IMAGE = pa.field("source_image", IMAGE)
REJECTS = pa.schema([("place", pa.string()), ("id", pa.string()), ("reason", pa.string())])

# Columns of a prompts file that sampling reads; all others pass through to the samples.
PROMPT_COLUMNS = ("prompt_id", "prompt", "seed", "num_samples")
PROMPTS = pa.schema(
    [
        pa.field("prompt_id", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        ("label", pa.int64()),
        ("attributes", ATTRIBUTES),
    ]
)
# Of texts and pairs; `reference` is what a person wrote for the prompt.
TEXT_PROMPTS = pa.schema(
    [
        pa.field("prompt_id", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        ("reference", pa.string()),
        ("label", pa.int64()),
        ("attributes", ATTRIBUTES),
    ]
)
_SAMPLE_KEYS = (
    pa.field("sample_id", pa.string(), nullable=False),
    pa.field("prompt_id", pa.string(), nullable=False),
    pa.field("seed", pa.int64(), nullable=False),
)
_SAMPLE_ORIGIN = (
    pa.field("prompt", pa.string()),
    pa.field("model_digest", pa.string()),
    pa.field("unknown_tokens", pa.int32()),
)
SAMPLES = pa.schema([*_SAMPLE_KEYS, pa.field("image", IMAGE, nullable=False), *_SAMPLE_ORIGIN])
# `finish` says why a text ends; logarithms are natural, as `ganrnn.decoding.decode.GeneratedText` has them.
TEXT_SAMPLES = pa.schema(
    [
        *_SAMPLE_KEYS,
        pa.field("text", pa.string(), nullable=False),
        *_SAMPLE_ORIGIN,
        ("num_tokens", pa.int32()),
        ("log_probability", pa.float64()),
        ("constraint_cost", pa.float64()),
        ("finish", pa.string()),
    ]
)
# Of a judge: how likely it is that a prompt's picture shows what its words say.
MATCH_SCORE = pa.field("match_score", pa.float32(), nullable=False)
SCORES = pa.schema([*_SAMPLE_KEYS, MATCH_SCORE, *_SAMPLE_ORIGIN])
# An answer of a rater. `left` and `right` are the sources of a pair; one item, or a check's none, leave out the right
# one, or both. `counts` says whether the report counts it: rated, seen, and by a rater who heeded the checks.
RATINGS = pa.schema(
    [
        pa.field("rater", pa.string(), nullable=False),
        pa.field("trial", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        *((f"{side}_{name}", pa.string()) for side in ("left", "right") for name in ("source", "key", "digest")),
        ("expected", pa.string()),
        pa.field("choice", pa.string(), nullable=False),
        pa.field("seen", pa.bool_(), nullable=False),
        pa.field("counts", pa.bool_(), nullable=False),
        ("seconds", pa.float64()),
        ("language", pa.string()),
        ("answered_at", pa.timestamp("s", tz="UTC")),
    ]
)


def dataset(kind: str, has_sources: bool) -> pa.Schema:
    """Of a dataset of `images`, `texts` or `pairs`."""
    return _with_sources({"images": DATASET, "texts": TEXTS, "pairs": PAIRS}[kind], has_sources)


def prompts(kind: str, has_sources: bool) -> pa.Schema:
    """Of the prompts that ingest writes."""
    return _with_sources(PROMPTS if kind == "images" else TEXT_PROMPTS, has_sources)


def _with_sources(schema: pa.Schema, has_sources: bool) -> pa.Schema:
    return schema.append(SOURCE_IMAGE) if has_sources else schema


def holds_image(kind: pa.DataType) -> bool:
    """Whether a column is a struct with encoded pictures under `bytes`."""
    index = kind.get_field_index("bytes") if pa.types.is_struct(kind) else -1
    return index >= 0 and is_binary(kind.field(index).type)


def is_binary(kind: pa.DataType) -> bool:
    """With offsets of 32 or of 64 bits, or with views."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))
