"""Checkpoints: the files of a model folder, their checks, and loading.

A folder has `checkpoint.json` (task, config, vocabulary, step, digests of all other files; written last) and
safetensors: `sampler` (the EMA networks, which sample) and, to resume training, `networks`, `optimisers` and `rng`. No
file is a pickle, and no file is used before its digest is checked.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load, save

from ganrnn.config import from_plain
from ganrnn.errors import BadInput
from ganrnn.task import BackoffState, task_class

FORMAT_VERSION = 1
DESCRIPTION = "checkpoint.json"
SAMPLER = "sampler.safetensors"
SAMPLER_FILES = (DESCRIPTION, SAMPLER)
TRAINING_FILES = (SAMPLER, "networks.safetensors", "optimisers.safetensors", "rng.safetensors")


@dataclasses.dataclass(frozen=True)
class Description:
    """The content of `checkpoint.json`.

    task, config, vocabulary:  plain values from which the networks are built
    step, caution:  number of updates, and the fields of `BackoffState`
    position:       position in the data order, and other values that must be equal when training resumes
    files:          sha256 of every other file by name
    """

    format_version: int
    task: str
    config: Mapping[str, Any]
    vocabulary: Mapping[str, Any]
    step: int
    caution: Mapping[str, int]
    position: Mapping[str, Any]
    files: Mapping[str, str]
    model_digest: str


def pack(task: Any, rng_states: Mapping[str, torch.Tensor], position: Mapping[str, Any]) -> dict[str, bytes]:
    """The complete state of a training as named files.

    `rng_states` has the uint8 states of each rank's generators by name; `position` is the position in the data order
    and other values that must be equal when training resumes.
    """
    tensors = {
        SAMPLER: _prefixed({n: m.state_dict() for n, m in task.networks.items() if n.endswith("_ema")}),
        "networks.safetensors": _prefixed(
            {n: m.state_dict() for n, m in task.networks.items() if not n.endswith("_ema")}
        ),
        "optimisers.safetensors": _prefixed({n: _flat_optimizer(o) for n, o in task.optimizers.items()}),
        "rng.safetensors": dict(rng_states),
    }
    files = {
        name: save({k: v.detach().cpu().contiguous() for k, v in group.items()}) for name, group in tensors.items()
    }
    description = Description(
        format_version=FORMAT_VERSION,
        task=task.config.name,
        config=dataclasses.asdict(task.config),
        vocabulary=dataclasses.asdict(task.vocabulary),
        step=task.step_index,
        caution=dataclasses.asdict(task.backoff),
        position=position,
        files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        model_digest="",
    )
    description = dataclasses.replace(description, model_digest=model_digest(description))
    text = json.dumps(vars(description), indent=2, sort_keys=True, ensure_ascii=False)
    return files | {DESCRIPTION: text.encode()}


def model_digest(description: Description) -> str:
    """The identity of a model: sha256 over its task, config, vocabulary and sampling weights."""
    identity = [description.task, description.config, description.vocabulary, description.files[SAMPLER]]
    return hashlib.sha256(json.dumps(identity, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def describe(data: bytes, source: str) -> Description:
    """The checked content of `checkpoint.json`; `source` names it in errors. Raises BadInput for other content."""
    try:
        content = json.loads(data)
        description = Description(**{field.name: content[field.name] for field in dataclasses.fields(Description)})
        version, stated = description.format_version, description.model_digest
        actual = model_digest(description)
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{source} is no checkpoint description ({error}); it may be truncated") from error
    if version != FORMAT_VERSION:
        raise BadInput(f"{source}: format_version is {version}; this version of ganrnn reads {FORMAT_VERSION}")
    if stated != actual:
        raise BadInput(
            f"{source}: model_digest is {stated[:12]}, its content gives {actual[:12]}; the file was altered"
        )
    return description


def verify(files: Mapping[str, bytes], source: str = DESCRIPTION) -> Description:
    """The checked description of a checkpoint. Raises BadInput if a file does not have its digest."""
    description = describe(files[DESCRIPTION], source)
    for name, data in files.items():
        if name == DESCRIPTION:
            continue
        expected, actual = description.files.get(name, "none"), hashlib.sha256(data).hexdigest()
        if actual != expected:
            raise BadInput(f"{source}: {name} has sha256 {actual[:12]}, expected {expected[:12]}; the file is damaged")
    return description


def load_sampler(files: Mapping[str, bytes], source: str = DESCRIPTION) -> Any:
    """The task of a checkpoint with its EMA networks loaded, ready to sample; `.model_digest` identifies the model.

    `files` must include `checkpoint.json` and `sampler.safetensors`. Raises BadInput if a digest, the vocabulary or
    a tensor does not fit.
    """
    description = verify(files, source)
    task = _build(description, source)
    _load_networks(task, load(files[SAMPLER]), source)
    task.model_digest = description.model_digest
    return task


def require_config(description: Description, config: Any, source: str) -> None:
    """Raise BadInput if a training with this task config cannot resume from a checkpoint."""
    if description.config != _plain(config):
        raise BadInput(f"{source}: its task config differs from the recipe's; use the same or another run_uri")


def restore(
    task: Any, files: Mapping[str, bytes], source: str = DESCRIPTION
) -> tuple[dict[str, torch.Tensor], Mapping[str, Any]]:
    """Load a complete training state into a task of the same config; returns (rng states, position)."""
    description = verify(files, source)
    require_config(description, task.config, source)
    if description.vocabulary != _plain(task.vocabulary):
        raise BadInput(
            f"{source}: its vocabulary differs from the data set's; use the same data set or another run_uri"
        )
    loaded = {name: dict(load(files[name])) for name in TRAINING_FILES}
    _load_networks(task, loaded[SAMPLER] | loaded["networks.safetensors"], source)
    for name, optimizer in task.optimizers.items():
        _load_optimizer(optimizer, _under(loaded["optimisers.safetensors"], name))
    task.step_index, task.backoff = description.step, BackoffState(**description.caution)
    return loaded["rng.safetensors"], description.position


def _build(description: Description, source: str) -> Any:
    task = task_class(description.task, f"{source}: task")
    try:
        config = from_plain(task.config_type, description.config)
        vocabulary = from_plain(task.vocabulary_type, description.vocabulary)
    except TypeError as error:
        raise BadInput(f"{source}: the config or vocabulary is not one of {description.task} ({error})") from error
    return task(config, vocabulary)


def _plain(config: Any) -> Any:
    """A dataclass after a round trip through JSON."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def _load_networks(task: Any, tensors: Mapping[str, torch.Tensor], source: str) -> None:
    for name in sorted({key.split("/", 1)[0] for key in tensors}):
        try:
            task.networks[name].load_state_dict(_under(tensors, name))
        except (RuntimeError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise BadInput(f"{source}: the weights of {name} do not fit its config or vocabulary ({reason})") from error


def _prefixed(groups: Mapping[str, Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {f"{group}/{key}": value for group, tensors in groups.items() for key, value in tensors.items()}


def _under(tensors: Mapping[str, torch.Tensor], group: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(f"{group}/"): value for key, value in tensors.items() if key.startswith(f"{group}/")}


def _flat_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Per-parameter state as "index.name" tensors; the hyperparameters come from the config."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": torch.as_tensor(value) for index, moments in state.items() for name, value in moments.items()
    }


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, moments in optimizer.state.items():
        for name, value in moments.items():
            if value.shape == parameter.shape:  # with the memory layout of the weight, as before it was saved
                moments[name] = torch.empty_like(parameter).copy_(value)
