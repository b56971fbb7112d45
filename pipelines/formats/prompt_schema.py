"""One schema for the files of a prompt set, whatever writers they come from: decided at planning, for all workers.

pandas, polars, DuckDB and Spark write the same texts as string, large_string, string_view or dictionary, the same
numbers in several widths, and a column without values as null. Types that have no common one are refused.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.formats.schemas import ATTRIBUTES, IMAGE

_LARGEST_SEED = 2**63 - 1  # of samples, unless a prompt has a larger one
_DEFAULTS = {"prompt_id": pa.string(), "prompt": pa.string(), "source_image": IMAGE, "attributes": ATTRIBUTES}
_INTEGERS = ("seed", "num_samples", "label")


def unified(schemas: Mapping[str, pa.Schema], columns: Sequence[str]) -> pa.Schema | None:
    """The schema that all files of a set fit, by their URIs; None where the rows can stay as they are.

    columns:  that the model reads, or that decide what is sampled

    Raises BadInput for a column whose types have no common one, and for a value that does not fit into it.
    """
    names = dict.fromkeys(name for schema in schemas.values() for name in schema.names)
    fields = [_field(name, schemas, is_read=name in columns) for name in names]
    whole = pa.schema(fields)
    for uri, schema in schemas.items():
        _require_fit(uri, schema, whole)
    whole = _with_large_seeds(schemas, whole)
    is_same = all(
        set(schema.names) == set(whole.names) and all(schema.field(f.name).type.equals(f.type) for f in whole)
        for schema in schemas.values()
    )
    return None if is_same and not has_large_seeds(whole) else whole


def has_large_seeds(schema: pa.Schema | None) -> bool:
    """Whether the schema of a set, or of its rows, has seeds of 64 bits without a sign."""
    return schema is not None and "seed" in schema.names and bool(pa.types.is_uint64(schema.field("seed").type))


def readable(kind: pa.DataType) -> pa.DataType:
    """The type without views, for which Arrow lacks kernels."""
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, readable(kind.value_type), kind.ordered)
    if pa.types.is_map(kind):
        return pa.map_(readable(kind.key_type), readable(kind.item_type), kind.keys_sorted)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(readable(field.type)) for field in kind])
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(readable(kind.value_type)))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(readable(kind.value_type)), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(readable(kind.value_type)))
    return kind


def plain(kind: pa.DataType) -> pa.DataType:
    """The type without views, and of the values themselves where they are numbered in a dictionary."""
    kind = readable(kind)
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def conformed(rows: pa.Table, schema: pa.Schema | None) -> pa.Table:
    """Rows of a file as rows of the set."""
    if schema is None:
        return rows
    columns = [
        rows.column(field.name).cast(field.type)
        if field.name in rows.column_names
        else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _field(name: str, schemas: Mapping[str, pa.Schema], is_read: bool) -> pa.Field:
    """A column of the set; its own types stay where all files agree on one that Arrow can handle."""
    fields = {uri: schema.field(name) for uri, schema in schemas.items() if name in schema.names}
    first_uri, first = next(iter(fields.items()))
    is_null = len(fields) < len(schemas) or any(field.nullable for field in fields.values())
    kind = plain(first.type) if is_read else readable(first.type)
    if any(not field.type.equals(first.type) for field in fields.values()):
        kind = plain(first.type)
        for uri, field in fields.items():
            try:
                pair = [pa.schema([(name, each)]) for each in (kind, plain(field.type))]
                kind = pa.unify_schemas(pair, promote_options="permissive").field(0).type
            except pa.ArrowException as error:
                raise BadInput(
                    f"{uri}: column {name} is {field.type}, in {first_uri} it is {first.type}; "
                    "give one type in all files, or drop the column"
                ) from error
    if is_read and pa.types.is_null(kind):
        kind = _DEFAULTS.get(name, pa.int64() if name in _INTEGERS else kind)
    if is_read and name == "attributes" and is_text_map(kind):
        kind = ATTRIBUTES
    return first.with_type(kind).with_nullable(is_null)


def is_text(kind: pa.DataType) -> bool:
    """With offsets of 32 or of 64 bits."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_text_map(kind: pa.DataType) -> bool:
    """Whether a column maps texts to texts."""
    return bool(pa.types.is_map(kind) and is_text(kind.key_type) and is_text(kind.item_type))


def _require_fit(uri: str, schema: pa.Schema, whole: pa.Schema) -> None:
    """Cast what may not fit, as the workers will do."""
    names = [field.name for field in schema if not _always_fits(field.type, whole.field(field.name).type)]
    if not names:
        return
    for batch in storage.read_batches(uri, names):
        for name in names:
            kind = whole.field(name).type
            try:
                pc.cast(batch.column(name), kind)
            except pa.ArrowException as error:
                reason = " ".join(str(error).split())
                raise BadInput(
                    f"{uri}: column {name} is {schema.field(name).type}, in the set of all files it is {kind} "
                    f"({reason}); give one type in all files, or drop the column"
                ) from error


def _always_fits(kind: pa.DataType, whole: pa.DataType) -> bool:
    types = pa.types
    is_short = types.is_integer(kind) and kind.bit_width <= 32 and not types.is_decimal(whole)
    return bool(kind.equals(whole) or types.is_null(kind) or is_text(plain(kind)) or is_short or types.is_float32(kind))


def _with_large_seeds(schemas: Mapping[str, pa.Schema], whole: pa.Schema) -> pa.Schema:
    """Seeds are of 63 bits and a sign; a set that has larger ones has seeds of 64 bits, and none below 0."""
    if not has_large_seeds(whole):
        return whole
    index = whole.get_field_index("seed")
    largest = max(
        (
            pc.max(batch.column(0)).as_py() or 0
            for uri, schema in schemas.items()
            if "seed" in schema.names
            for batch in storage.read_batches(uri, ["seed"])
        ),
        default=0,
    )
    kind = pa.uint64() if largest > _LARGEST_SEED else pa.int64()
    return whole.set(index, whole.field(index).with_type(kind))
