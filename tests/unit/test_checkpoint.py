"""Checkpoints: training goes on bit for bit, and nothing that was altered is used."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from ganrnn import checkpoint
from ganrnn.errors import BadInput
from ganrnn.tasks.text_to_image import TextToImage
from ganrnn.text.captions import Vocabulary
from tests.unit import tiny

Files = dict[str, bytes]


def trained(num_steps: int, task: TextToImage | None = None) -> TextToImage:
    task = task or tiny.task()
    while task.step_index < num_steps:
        task.step(tiny.batch(8, task.step_index))
    return task


def packed(task: TextToImage) -> Files:
    return checkpoint.pack(task, {"0.cpu": torch.get_rng_state()}, {"identity": "training"})


@pytest.fixture(scope="module")
def files() -> Files:
    return packed(trained(3))


def description_of(files: Files) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(files[checkpoint.DESCRIPTION])
    return changed


def redescribed(files: Files, change: Callable[[dict[str, Any]], Any], consistent: bool = True) -> Files:
    """The files with another description, its model digest made to fit where `consistent`."""
    description = description_of(files)
    change(description)
    if consistent:
        description["model_digest"] = checkpoint.model_digest(checkpoint.Description(**description))
    return files | {checkpoint.DESCRIPTION: json.dumps(description).encode()}


def test_training_goes_on_bit_for_bit() -> None:
    task = trained(5)
    files = packed(task)
    trained(10, task)
    other = tiny.task(seed=99)
    trained(2, other)
    torch.manual_seed(1234)
    rng_states, position = checkpoint.restore(other, files)
    assert position == {"identity": "training"} and other.step_index == 5
    torch.set_rng_state(rng_states["0.cpu"])
    trained(10, other)
    tiny.assert_equal(tiny.weights(other), tiny.weights(task))
    assert packed(other) == packed(task)


def test_packing_is_a_function_of_the_state(files: Files) -> None:
    assert packed(trained(3)) == files
    assert set(files) == {checkpoint.DESCRIPTION, *checkpoint.TRAINING_FILES}
    assert description_of(files)["step"] == 3
    assert vars(checkpoint.verify(files)) == description_of(files)


def test_a_loaded_model_paints_as_the_trained_one(files: Files) -> None:
    task = trained(3)
    loaded = checkpoint.load_sampler({name: files[name] for name in checkpoint.SAMPLER_FILES})
    rows, keys = {"prompt": tiny.CAPTIONS[:3]}, [(0, "a"), (0, "b"), (1, "a")]
    assert torch.equal(loaded.sample(rows, keys), task.sample(rows, keys))
    assert loaded.model_digest == description_of(files)["model_digest"]


def test_every_sampling_weight_changes_the_digest() -> None:
    task = tiny.task()
    digests = [description_of(packed(task))["model_digest"]]
    for name in ("encoder_ema", "generator_ema"):
        for parameter in task.networks[name].parameters():
            parameter.view(-1)[-1].add_(0.5)
            digests.append(description_of(packed(task))["model_digest"])
    assert len(set(digests)) == len(digests)


def test_the_digest_is_of_what_samples(files: Files) -> None:
    digest = description_of(files)["model_digest"]
    wider = tiny.task(num_steps=30)
    words = TextToImage(tiny.CONFIG, Vocabulary("word", (*tiny.VOCABULARY.tokens[:-1], "other")))
    wider.networks, words.networks = trained(3).networks, trained(3).networks
    assert description_of(packed(wider))["model_digest"] != digest
    assert description_of(packed(words))["model_digest"] != digest
    critic = trained(3)
    with torch.no_grad():
        next(critic.discriminator.parameters()).add_(1)
    assert description_of(packed(critic))["model_digest"] == digest
    assert packed(critic) != files


@pytest.mark.parametrize("name", checkpoint.TRAINING_FILES)
def test_an_altered_byte_is_refused(files: Files, name: str) -> None:
    for byte_index in (0, len(files[name]) // 2, len(files[name]) - 1):
        data = bytearray(files[name])
        data[byte_index] ^= 1
        with pytest.raises(BadInput, match=f"folder: {name} has sha256 .* the file is damaged"):
            checkpoint.restore(tiny.task(), files | {name: bytes(data)}, "folder")
    with pytest.raises(BadInput, match="the file is damaged"):
        checkpoint.verify(files | {name: files[name][:-1]})


def test_a_damaged_restore_leaves_the_task_alone(files: Files) -> None:
    task = tiny.task(seed=5)
    before = tiny.weights(task)
    with pytest.raises(BadInput):
        checkpoint.restore(task, files | {"rng.safetensors": b""})
    tiny.assert_equal(tiny.weights(task), before)
    assert task.step_index == 0


def test_a_file_that_is_not_described_is_refused(files: Files) -> None:
    with pytest.raises(BadInput, match=r"more.safetensors has sha256 .* expected none"):
        checkpoint.verify(files | {"more.safetensors": b"x"})


@pytest.mark.parametrize("kept", [0, 1, 100, -2])
def test_a_truncated_description_is_refused(files: Files, kept: int) -> None:
    with pytest.raises(BadInput, match=r"folder is no checkpoint description .* may be truncated"):
        checkpoint.describe(files[checkpoint.DESCRIPTION][:kept], "folder")


@pytest.mark.parametrize("data", [b"[]", b"3", b"{}", b"\xff\xfe", b'{"format_version": 1, "model_digest": "x"}'])
def test_another_json_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match="folder is no checkpoint description"):
        checkpoint.describe(data, "folder")


def test_an_unknown_format_is_refused(files: Files) -> None:
    with pytest.raises(BadInput, match="format_version is 99; this version of ganrnn reads 1"):
        checkpoint.verify(redescribed(files, lambda d: d.update(format_version=99)))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["config"].update(z_dim=7),
        lambda d: d["vocabulary"]["tokens"].append("more"),
        lambda d: d.update(task="other"),
        lambda d: d["files"].update({checkpoint.SAMPLER: "0" * 64}),
    ],
    ids=["config", "vocabulary", "task", "weights"],
)
def test_an_altered_description_is_refused(files: Files, change: Callable[[dict[str, Any]], Any]) -> None:
    with pytest.raises(BadInput, match=r"model_digest is .* the file was altered"):
        checkpoint.verify(redescribed(files, change, consistent=False))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["vocabulary"]["tokens"].append("more"), "weights of encoder_ema do not fit its config or voc"),
        (lambda d: d["vocabulary"]["tokens"].pop(), "weights of encoder_ema do not fit its config or vocabulary"),
        (lambda d: d["config"].update(base_channels=8), "weights of generator_ema do not fit"),
        (lambda d: d["config"].update(cell="lstm"), "weights of encoder_ema do not fit"),
        (lambda d: d["config"].update(new=1), "the config or vocabulary is not one of text_to_image"),
        (lambda d: d.update(task="no_such"), "task is 'no_such'; allowed are image_gan, "),
        (lambda d: d["config"].update(height=17), "height is 17"),
        (lambda d: d["vocabulary"].update(tokens=["a", "b"]), "tokens must be distinct and begin with"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    files: Files, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        checkpoint.load_sampler(redescribed(files, change), "folder")


def test_a_training_with_another_config_or_vocabulary_is_refused(files: Files) -> None:
    with pytest.raises(BadInput, match="folder: its task config differs from the recipe's"):
        checkpoint.restore(tiny.task(num_steps=21), files, "folder")
    tokens = (*tiny.VOCABULARY.tokens[:-1], "other")
    other = TextToImage(replace(tiny.CONFIG), Vocabulary("word", tokens))
    with pytest.raises(BadInput, match="folder: its vocabulary differs from the data set's"):
        checkpoint.restore(other, files, "folder")
