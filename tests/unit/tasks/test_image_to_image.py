"""A picture in, another one out: what pairs and kinds teach, and that a sample depends on its own row alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ganrnn import checkpoint
from ganrnn.data import images
from ganrnn.data.built_in import KINDS
from ganrnn.data.images import encode_png
from ganrnn.data.scenes import ScenesConfig
from ganrnn.errors import BadInput
from ganrnn.tasks.image_to_image import TASK, ImageToImage, ImageToImageConfig
from tests.unit import tiny

CONFIG = ImageToImageConfig(
    height=16,
    width=16,
    z_dim=4,
    style_dim=16,
    feature_dim=16,
    base_channels=4,
    condition_dim=8,
    embedding_dim=8,
    hidden_dim=8,
    num_steps=20,
    penalty_every_steps=2,
    matching_weight=1.0,
)
UNPAIRED = {"pairing": "unpaired", "condition": "label", "matching_weight": 0.0}
KINDS_OF_TASKS: list[dict[str, Any]] = [{}, UNPAIRED, {"condition": "none", "matching_weight": 0.0}]


def rows(num_rows: int = 64, kind: Any = "edits") -> dict[str, list[Any]]:
    drawn = list(KINDS[kind].draw(ScenesConfig(kind=kind, num_train=num_rows), "train", 0, 16, 16))
    return {
        "prompt_id": [scene.id for scene in drawn],
        "image": [{"bytes": encode_png(scene.image)} for scene in drawn],
        "source_image": [{"bytes": encode_png(scene.source)} for scene in drawn if scene.source is not None],
        "text": [scene.text for scene in drawn],
        "prompt": [scene.text for scene in drawn],
        "attributes": [list(scene.attributes.items()) for scene in drawn],
        "label": [i % 3 if scene.label is None else scene.label for i, scene in enumerate(drawn)],
    }


def task(**changes: Any) -> ImageToImage:
    config = replace(CONFIG, **changes)
    columns = ImageToImage.vocabulary_columns(config)
    data = rows()
    return ImageToImage(config, ImageToImage.build_vocabulary(config, zip(*(data[n] for n in columns), strict=True)))


def part(columns: dict[str, list[Any]], start: int, stop: int) -> dict[str, list[Any]]:
    return {name: column[start:stop] for name, column in columns.items()}


@pytest.mark.parametrize("changes", KINDS_OF_TASKS, ids=["edits", "unpaired", "pairs alone"])
def test_every_kind_trains_all_networks_and_comes_back(changes: dict[str, Any]) -> None:
    model, data = task(**changes), rows()
    before = tiny.weights(model)
    torch.manual_seed(1)
    for step in range(3):
        metrics = model.step(model.collate(part(data, 8 * step, 8 * step + 8)))
        assert metrics["reconstruction"] > 0
        assert all(torch.isfinite(value) and value.shape == () for value in metrics.values())
    after = tiny.weights(model)
    still = [name for name in before if torch.equal(before[name], after[name]) and not name.endswith("realism.bias")]
    assert not still
    again = checkpoint.load_sampler(checkpoint.pack(model, {}, {}))
    keys = [(0, i) for i in data["prompt_id"][:8]]
    assert torch.equal(again.sample(part(data, 0, 8), keys), model.sample(part(data, 0, 8), keys))


def test_a_training_taken_up_again_has_the_same_bits() -> None:
    data = rows()
    straight, broken = task(**UNPAIRED), task(**UNPAIRED)
    torch.manual_seed(1)
    for step in range(4):
        straight.step(straight.collate(part(data, 8 * step, 8 * step + 8)))
    torch.manual_seed(1)
    for step in range(2):
        broken.step(broken.collate(part(data, 8 * step, 8 * step + 8)))
    files = checkpoint.pack(broken, {"0.cpu": torch.get_rng_state()}, {})
    resumed = task(**UNPAIRED)
    rng, _ = checkpoint.restore(resumed, files)
    torch.set_rng_state(rng["0.cpu"])
    for step in range(2, 4):
        resumed.step(resumed.collate(part(data, 8 * step, 8 * step + 8)))
    tiny.assert_equal(tiny.weights(straight), tiny.weights(resumed))


def test_pairs_are_held_to_the_wanted_picture() -> None:
    model, data = task(), rows(8)
    batch = model.collate(data)
    chunk = model._micro_batch(batch, with_graph=False)
    losses = model.auxiliary_losses(chunk, chunk.fake)
    weight, loss = losses["reconstruction"]
    wanted = images.to_float(torch.stack([images.to_tensor([row["bytes"]])[0] for row in data["image"]]))
    assert weight == 10.0
    assert loss.item() == pytest.approx((chunk.fake - wanted).abs().mean().item(), rel=1e-6)


def test_unpaired_sources_are_the_neighbours_and_come_with_what_they_are() -> None:
    model, data = task(**UNPAIRED), rows(8, "styles")
    batch = model.collate(data)
    assert torch.equal(batch["sources"], batch["images"][[1, 2, 3, 4, 5, 6, 7, 0]])
    assert torch.equal(batch["own_values"], batch["values"][[1, 2, 3, 4, 5, 6, 7, 0]])
    assert batch["values"].argmax(1).tolist() == data["label"]


def test_what_comes_back_of_an_unpaired_picture_is_held_to_it() -> None:
    model = task(**UNPAIRED)
    chunk = model._micro_batch(model.collate(rows(8, "styles")), with_graph=False)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def give_back(z: torch.Tensor, condition: torch.Tensor, *sources: torch.Tensor) -> torch.Tensor:
        seen.append((condition, sources[0]))
        return sources[0] + 0.5

    model.generated = give_back  # type: ignore[method-assign]
    (source,) = model.generator_inputs(chunk.batch, model.encoder)
    fake = source.roll(3, 0)
    _, loss = model.auxiliary_losses(chunk, fake)["reconstruction"]
    expected = ((fake + 0.5 - source).abs().mean() + 0.5) / 2
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    condition, starts = seen[0]
    own = model.encoder(chunk.batch["sources"], chunk.batch["own_values"])
    assert torch.equal(condition, own.repeat(2, 1)) and torch.equal(starts, torch.cat([fake, source]))


def test_the_same_words_to_another_picture_ask_for_something_else() -> None:
    model, data = task(), rows(8)
    twice = {name: [column[0], column[0], column[0]] for name, column in data.items()}
    twice["source_image"] = [data["source_image"][0], data["source_image"][0], data["source_image"][1]]
    keys = model.collate(twice)["keys"].tolist()
    assert keys[0] == keys[1] != keys[2]


def test_a_row_depends_on_its_words_its_source_and_its_key_alone() -> None:
    model, data = task(), rows(8)
    keys = [(5, i) for i in data["prompt_id"]]
    whole = model.sample(data, keys)
    order = [3, 1, 7, 0, 2, 6, 5, 4]
    shuffled = model.sample(
        {name: [column[i] for i in order] for name, column in data.items()}, [keys[i] for i in order]
    )
    assert (whole[order].int() - shuffled.int()).abs().max() <= 1
    for name in ("prompt", "source_image"):
        other = model.sample(data | {name: [data[name][1], *data[name][1:]]}, keys)
        assert not torch.equal(other[0], whole[0]) and (other[1:].int() - whole[1:].int()).abs().max() <= 1


def test_sources_of_any_size_and_format_are_brought_to_size() -> None:
    model, data = task(), rows(8)
    big = np.asarray(images.decode(data["source_image"][0]["bytes"])).repeat(4, 0).repeat(2, 1)
    sources = model.encode_prompts(data | {"source_image": [{"bytes": encode_png(big)}] * 8})["sources"]
    assert sources.shape == (8, 3, 16, 16)
    off = sources[0].int() - model.encode_prompts(data)["sources"][0].int()
    assert off.abs().float().mean() < 4
    with pytest.raises(BadInput, match="not a readable image"):
        model.encode_prompts(data | {"source_image": [{"bytes": b"no picture"}] * 8})


def test_pairs_need_a_source_in_every_row() -> None:
    data = rows(8)
    with pytest.raises(BadInput, match="a training row has no source_image"):
        task().collate(data | {"source_image": [None, *data["source_image"][1:]]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairing": "unpaired", "condition": "none"}, "nothing says what a picture is to become"),
        ({"architecture": "residual"}, "only style_palette and style paint over pictures"),
        ({"reconstruction_weight": 0.0}, "task.reconstruction_weight is 0.0; allowed are values above 0"),
        ({"numeric_attributes": ("age",)}, "task.numeric_attributes needs task.condition attributes, not text"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        replace(CONFIG, **changes)


def test_what_was_never_taught_is_counted() -> None:
    data = part(rows(8), 0, 2)
    assert task().count_unknown(data | {"prompt": ["make it red", "make it transparent, please"]}) == [0, 3]
    assert task(**UNPAIRED).count_unknown(data | {"label": [1, 7]}) == [0, 1]


def test_the_task_is_found_by_its_name() -> None:
    assert TASK is ImageToImage and ImageToImageConfig().name == "image_to_image"
