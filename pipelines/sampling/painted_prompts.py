"""What is typed to be painted, as the columns of prompts that a model reads.

A prompt is a text, a class label such as `3`, or attributes such as `colour=red, shape=circle`, as the model reads it.
"""

from collections.abc import Sequence
from typing import Any

from ganrnn.data.conditions import Conditions
from ganrnn.errors import BadInput
from pipelines import storage


def read_prompts(task: Any, model_uri: str, prompts: Sequence[str], source: str | None) -> dict[str, list[Any]]:
    """A row for each prompt; of no prompts one for each class, or a single one for a model that reads none.

    Raises BadInput for a model that gives no images, and for prompts and a `source`, the path of a picture to edit,
    that it does not read.
    """
    if task.output_modality != "images":
        raise BadInput(f"{model_uri} gives {task.output_modality} and no pictures; use ganrnn generate")
    reads_source = "source_image" in task.prompt_columns
    if reads_source and source is None:
        raise BadInput(f"{model_uri} paints over a picture; give one with --source")
    if not reads_source and source is not None:
        raise BadInput(f"{model_uri} reads no picture; leave out --source {source}")
    (column,) = set(task.prompt_columns) - {"source_image"} or {""}
    conditions: Conditions = getattr(task.vocabulary, "conditions", task.vocabulary)
    if not column and prompts:
        raise BadInput(f"{model_uri} paints by noise alone; leave out the prompt {prompts[0]!r}")
    if column == "label" and not prompts:
        prompts = [str(label) for label in conditions.labels]
    if column and not prompts:
        known = f", such as {conditions.known}" if column == "attributes" else ""
        raise BadInput(f"{model_uri} paints by {column}{known}; say what to paint")
    prompts = prompts or [""]
    rows: dict[str, list[Any]] = {"prompt_id": list(prompts)}
    if column:
        rows[column] = [_READERS[column](prompt) for prompt in prompts]
    if source is not None:
        data = storage.read_bytes(storage.absolute(source, "--source"), "check --source")
        rows["source_image"] = [{"bytes": data}] * len(prompts)
    if column in ("label", "attributes"):
        for prompt, num_unknown in zip(prompts, task.count_unknown(rows), strict=True):
            if num_unknown:
                raise BadInput(f"the prompt is {prompt!r}; {model_uri} knows {conditions.known}")
    return rows


def _label(prompt: str) -> int:
    if not prompt.strip().isdecimal():
        raise BadInput(f"the prompt is {prompt!r}, and the model paints by label; give a number such as 3")
    return int(prompt)


def _attributes(prompt: str) -> list[tuple[str, str]]:
    pairs = [tuple(part.strip() for part in pair.split("=", 1)) for pair in prompt.split(",")]
    if odd := next((pair for pair in pairs if len(pair) < 2), None):
        raise BadInput(f"the prompt has {odd[0]!r}, and the model paints by attributes; give NAME=VALUE,NAME=VALUE")
    return [(name, value) for name, value in pairs]


_READERS: dict[str, Any] = {"prompt": str, "label": _label, "attributes": _attributes}
