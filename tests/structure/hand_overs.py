"""What one module hands to another has a type: public signatures say `dict[str, Any]` only where a reason is given.

Looked at are parameters and results of public functions and methods, parameters of constructors, and fields of classes,
in ganrnn/ and pipelines/, except methods that read or write a file's plain values (`EDGES`). A dictionary of anything
tells its reader nothing, and mypy checks none of its keys.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("ganrnn", "pipelines")
UNTYPED = re.compile(r"\b(dict|Dict|Mapping|MutableMapping)(\[\w+, Any\]|(?!\[)\b)")

# The edge itself: a class and the plain values of its file.
EDGES = ("from_json", "to_json", "from_row", "to_row", "from_dict", "as_dict")

PLAIN = "plain values of a dataclass that each task defines for itself"
ROWS = "rows with the columns that a user's file has"
ANY_SHAPE = "works on plain values of any shape and reads no key"
GYMNASIUM = "as Gymnasium declares it"
OF_A_VERB = "each verb has keys of its own; what others read has a property"
REASONS = {
    "ganrnn/checkpoint.py: Description.config": PLAIN,
    "ganrnn/checkpoint.py: Description.position": "the state of the training loop, stored and not read in ganrnn",
    "ganrnn/checkpoint.py: Description.vocabulary": PLAIN,
    "ganrnn/checkpoint.py: pack(position)": "as Description.position",
    "ganrnn/checkpoint.py: restore ->": "as Description.position",
    "ganrnn/config.py: from_plain(values)": PLAIN,
    "ganrnn/text/environment.py: TextEnvironment.metadata": GYMNASIUM,
    "ganrnn/text/environment.py: TextEnvironment.reset ->": GYMNASIUM,
    "ganrnn/text/environment.py: TextEnvironment.reset(options)": GYMNASIUM,
    "ganrnn/text/environment.py: TextEnvironment.step ->": GYMNASIUM,
    "ganrnn/training/text_step.py: TextTaskConfig.rules ->": "arguments of a constructor, by name",
    "pipelines/config/loader.py: parse_recipe(raw)": "YAML before it is checked",
    "pipelines/config/overrides.py: apply_override(values)": "YAML before it is checked",
    "pipelines/flat.py: flat ->": ANY_SHAPE,
    "pipelines/flat.py: flat(tree)": ANY_SHAPE,
    "pipelines/formats/evaluation_report.py: EvaluationReport.config": "the recipe as it was, shown and not read",
    "pipelines/formats/manifest.py: Manifest.config": OF_A_VERB,
    "pipelines/formats/manifest.py: Manifest.inputs": OF_A_VERB,
    "pipelines/generate/plan.py: Output.plan ->": "the content of plan.json, compared key by key",
    "pipelines/generate/plan.py: file_prefix(plan)": "the content of plan.json, hashed",
    "pipelines/ingest/prepare.py: PreparedRow.columns": ROWS,
    "pipelines/ingest/source_row.py: RawRow.attributes": ROWS,
    "pipelines/ingest/source_row.py: id_column_of(present)": "reads the names of columns only",
    "pipelines/ingest/source_row.py: wanted_columns(present)": "reads the names of columns only",
    "pipelines/ingest/sources.py: describe ->": "each kind of source has keys of its own in the manifest",
    "pipelines/ingest/split_writer.py: SplitWriter.rows": ROWS,
    "pipelines/rate/report.py: report ->": "the content of ratings.json, which formats/ratings.py reads into a class",
    "pipelines/rate/report.py: table(result)": "the content of ratings.json",
    "pipelines/rate/store.py: create(about)": "stored as JSON in the study",
    "pipelines/storage/folder_identity.py: claim(identity)": ANY_SHAPE,
    "pipelines/train/run_record.py: RunRecord.__init__(identity)": "as training_identity",
    "pipelines/storage/folder_identity.py: require_same(identity)": ANY_SHAPE,
    "pipelines/storage/folder_identity.py: require_same(recorded)": ANY_SHAPE,
    "pipelines/storage/folder_identity.py: require_unclaimed(identity)": ANY_SHAPE,
    "pipelines/tracking/model_input.py: frame(prompt)": ROWS,
    "pipelines/tracking/registered_model.py: RegisteredModel.predict(params)": "as MLflow declares it",
    "pipelines/tracking/registry.py: register(example)": ROWS,
    "pipelines/tracking/runs.py: start_run(recipe)": ANY_SHAPE,
    "pipelines/train/driver.py: training_identity ->": "the content of run.json, compared key by key",
    "pipelines/train/job.py: TrainJob.vocabulary": PLAIN,
}


def annotations(path: Path) -> Iterator[tuple[str, str]]:
    """Places of a file, as `function.parameter` or `Class.field`, and what their annotations say."""
    for name, node in _public(ast.parse(path.read_text()).body, ""):
        if isinstance(node, ast.AnnAssign):
            yield name, ast.unparse(node.annotation)
            continue
        arguments = node.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if argument.annotation:
                yield f"{name}({argument.arg})", ast.unparse(argument.annotation)
        if node.returns:
            yield f"{name} ->", ast.unparse(node.returns)


def _public(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AnnAssign]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _public(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef) and _is_public(node.name):
            yield prefix + node.name, node
        elif isinstance(node, ast.AnnAssign) and prefix and isinstance(node.target, ast.Name):
            yield prefix + node.target.id, node


def _is_public(name: str) -> bool:
    return (not name.startswith("_") or name == "__init__") and name not in EDGES


def untyped() -> list[str]:
    """Places of the packages that hand over a dictionary of anything."""
    return [
        f"{path.relative_to(REPOSITORY)}: {name}"
        for package in PACKAGES
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        for name, annotation in annotations(path)
        if UNTYPED.search(annotation)
    ]
