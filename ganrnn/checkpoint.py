"""Checkpoints: what a model folder holds, how it is checked, how it becomes a task again.

A folder holds `checkpoint.json` (task, config, vocabulary, step, digests of all other files; written last) and
safetensors: `sampler` (the averaged networks that sample), and for a training that can be taken up again `networks`,
`optimisers` and `rng`. Nothing in it is a pickle, nothing is used before its digest is checked.
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


def pack(task: Any, rng_states: Mapping[str, torch.Tensor], position: Mapping[str, Any]) -> dict[str, bytes]:
    """A training's whole state as named files.

    `rng_states` holds the uint8 state of each rank's generators by name; `position` is where the data order stands and
    whatever else must be equal when training goes on.
    """
    tensors = {
        SAMPLER: _prefixed({n: m.state_dict() for n, m in task.networks.items() if n.endswith("_ema")}),
        "networks.safetensors": _prefixed(
            {n: m.state_dict() for n, m in task.networks.items() if not n.endswith("_ema")}
        ),
        "optimisers.safetensors": _prefixed({n: _flat_optimizer(o) for n, o in task.optimizers.items()}),
        "rng.safetensors": dict(rng_states),
    }
    files = {name: save({k: v.detach().cpu().contiguous() for k, v in held.items()}) for name, held in tensors.items()}
    description = {
        "format_version": FORMAT_VERSION,
        "task": task.config.name,
        "config": dataclasses.asdict(task.config),
        "vocabulary": dataclasses.asdict(task.vocabulary),
        "step": task.step_index,
        "caution": dataclasses.asdict(task.backoff),
        "position": dict(position),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    description["model_digest"] = model_digest(description)
    text = json.dumps(description, indent=2, sort_keys=True, ensure_ascii=False)
    return files | {DESCRIPTION: text.encode()}


def model_digest(description: Mapping[str, Any]) -> str:
    """What a model is: sha256 over its task, config, vocabulary and sampling weights."""
    identity = [description[k] for k in ("task", "config", "vocabulary")] + [description["files"][SAMPLER]]
    return hashlib.sha256(json.dumps(identity, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def describe(data: bytes, place: str) -> dict[str, Any]:
    """The checked content of `checkpoint.json`; `place` names it in errors."""
    try:
        description: dict[str, Any] = json.loads(data)
        version, stated = description["format_version"], description["model_digest"]
        actual = model_digest(description)
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{place} is no checkpoint description ({error}); it may be truncated") from error
    if version != FORMAT_VERSION:
        raise BadInput(f"{place}: format_version is {version}; this version of ganrnn reads {FORMAT_VERSION}")
    if stated != actual:
        raise BadInput(f"{place}: model_digest is {stated[:12]}, its content gives {actual[:12]}; the file was altered")
    return description


def verify(files: Mapping[str, bytes], place: str = DESCRIPTION) -> dict[str, Any]:
    """The checked description of a checkpoint, after every other file was held against its digest."""
    description = describe(files[DESCRIPTION], place)
    for name, data in files.items():
        if name == DESCRIPTION:
            continue
        expected, actual = description["files"].get(name, "none"), hashlib.sha256(data).hexdigest()
        if actual != expected:
            raise BadInput(f"{place}: {name} has sha256 {actual[:12]}, expected {expected[:12]}; the file is damaged")
    return description


def load_sampler(files: Mapping[str, bytes], place: str = DESCRIPTION) -> Any:
    """The task of a checkpoint with its averaged networks loaded, ready to sample; `.model_digest` says which model.

    `files` holds at least `checkpoint.json` and `sampler.safetensors`. Raises BadInput when a digest, the vocabulary or
    a tensor does not fit.
    """
    description = verify(files, place)
    task = _build(description, place)
    _load_networks(task, load(files[SAMPLER]), place)
    task.model_digest = description["model_digest"]
    return task


def require_config(description: Mapping[str, Any], config: Any, place: str) -> None:
    """Raise BadInput where a training with this config of its task cannot go on from a checkpoint."""
    if description["config"] != _plain(config):
        raise BadInput(f"{place}: its task config differs from the recipe's; use the same or another run_uri")


def restore(
    task: Any, files: Mapping[str, bytes], place: str = DESCRIPTION
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Put a whole training state into a task of the same config; returns (rng states, position)."""
    description = verify(files, place)
    require_config(description, task.config, place)
    if description["vocabulary"] != _plain(task.vocabulary):
        raise BadInput(f"{place}: its vocabulary differs from the data set's; use the same data set or another run_uri")
    loaded = {name: dict(load(files[name])) for name in TRAINING_FILES}
    _load_networks(task, loaded[SAMPLER] | loaded["networks.safetensors"], place)
    for name, optimizer in task.optimizers.items():
        _load_optimizer(optimizer, _under(loaded["optimisers.safetensors"], name))
    task.step_index, task.backoff = description["step"], BackoffState(**description["caution"])
    return loaded["rng.safetensors"], description["position"]


def _build(description: Mapping[str, Any], place: str) -> Any:
    task = task_class(description["task"], f"{place}: task")
    try:
        config = from_plain(task.config_type, description["config"])
        vocabulary = from_plain(task.vocabulary_type, description["vocabulary"])
    except TypeError as error:
        raise BadInput(f"{place}: the config or vocabulary is not one of {description['task']} ({error})") from error
    return task(config, vocabulary)


def _plain(config: Any) -> Any:
    """A dataclass as JSON gives it back."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def _load_networks(task: Any, tensors: Mapping[str, torch.Tensor], place: str) -> None:
    for name in sorted({key.split("/", 1)[0] for key in tensors}):
        try:
            task.networks[name].load_state_dict(_under(tensors, name))
        except (RuntimeError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise BadInput(f"{place}: the weights of {name} do not fit its config or vocabulary ({reason})") from error


def _prefixed(groups: Mapping[str, Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {f"{group}/{key}": value for group, held in groups.items() for key, value in held.items()}


def _under(tensors: Mapping[str, torch.Tensor], group: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(f"{group}/"): value for key, value in tensors.items() if key.startswith(f"{group}/")}


def _flat_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Per-parameter state as "index.name" tensors; the hyperparameters come from the config."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": torch.as_tensor(value) for index, held in state.items() for name, value in held.items()}


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
