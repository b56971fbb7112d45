"""Grids and animations of what is typed: which prompt and which noise is where, and what is refused."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganrnn import checkpoint, noise
from ganrnn.data import images
from ganrnn.data.conditions import Conditions
from ganrnn.errors import BadInput
from ganrnn.tasks.image_gan import ImageGan, ImageGanConfig
from ganrnn.tasks.text_to_image import TextToImage, TextToImageConfig
from ganrnn.text.captions import SPECIAL_TOKENS, Vocabulary
from pipelines.sampling import paint as painter
from pipelines.sampling.paint import Painting, paint

SIZES: dict[str, Any] = {
    "height": 16,
    "width": 16,
    "z_dim": 6,
    "style_dim": 16,
    "feature_dim": 16,
    "base_channels": 4,
}
TEXT = TextToImageConfig(**SIZES, embedding_dim=8, hidden_dim=8)
LABEL = ImageGanConfig(**SIZES, condition="label", condition_dim=8)
WORDS = Vocabulary("word", (*SPECIAL_TOKENS, "red", "blue", "green", "circle"))
ATTRIBUTES = Conditions.of_attributes([{"colour": "red", "size": "1"}, {"colour": "blue", "size": "3"}], ["size"])


@dataclass(frozen=True)
class Model:
    """A model in a folder."""

    uri: str
    tracking_uri: str

    def paint(self, *prompts: str, out: str, **options: Any) -> np.ndarray:
        """The picture, or the frames, uint8 [F, H, W, 3]."""
        path = paint(Painting(prompts, out=out, **options), self.uri, self.tracking_uri)
        assert path == out
        with Image.open(path) as image:
            if not getattr(image, "is_animated", False):
                return np.asarray(image)
            frames = []
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                frames.append(np.asarray(image.convert("RGB")))
            return np.stack(frames)


def model(folder: Path, task: Any) -> Model:
    """A task with random weights, as a folder."""
    for name, data in checkpoint.pack(task, {}, {}).items():
        (folder / "model").mkdir(exist_ok=True)
        (folder / "model" / name).write_bytes(data)
    return Model(str(folder / "model"), f"sqlite:///{folder}/mlflow.db")


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.chdir(tmp_path)
    return model(tmp_path, TextToImage(TEXT, WORDS))


@pytest.fixture
def labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.chdir(tmp_path)
    return model(tmp_path, ImageGan(LABEL, Conditions.of_labels(range(3))))


def cells(sheet: np.ndarray, num_columns: int) -> list[list[bytes]]:
    """The pictures of a grid, by row and column, without their zoom."""
    size = sheet.shape[1] // num_columns
    small = sheet[:: size // 16, :: size // 16]
    return [
        [small[y : y + 16, x : x + 16].tobytes() for x in range(0, small.shape[1], 16)]
        for y in range(0, small.shape[0], 16)
    ]


def single(model: Model, prompt: str, seed: int) -> bytes:
    (((picture,),)) = cells(model.paint(prompt, seeds=[seed], out="one.png"), 1)
    return picture


def test_a_row_for_each_prompt_and_a_column_for_each_noise(texts: Model) -> None:
    grid = cells(texts.paint("red circle", "blue", seeds=[5], num_columns=3, out="grid.png"), 3)
    assert [len(row) for row in grid] == [3, 3] and len({cell for row in grid for cell in row}) == 6
    assert grid[0] == [single(texts, "red circle", seed) for seed in (5, 6, 7)]
    assert cells(texts.paint("red circle", "blue", seeds=[7, 5], out="grid.png"), 2) == [row[::-2] for row in grid]
    # All prompts of a column have one noise: that of the first.
    swapped = cells(texts.paint("red circle", "red circle", num_columns=2, out="grid.png"), 2)
    assert swapped[0] == swapped[1]


def test_all_classes_are_painted_where_none_is_named(labels: Model) -> None:
    grid = cells(labels.paint(num_columns=2, out="grid.png"), 2)
    assert len(grid) == 3
    assert grid == cells(labels.paint("0", "1", "2", num_columns=2, out="grid.png"), 2)
    assert grid[0][0] == single(labels, "0", 0)


def test_attributes_and_noise_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = replace(LABEL, condition="attributes", numeric_attributes=("size",))
    table = model(tmp_path, ImageGan(config, ATTRIBUTES))
    rows = cells(table.paint("colour=red, size=2", "size=2,colour=red", "colour=blue", out="grid.png"), 1)
    assert rows[0] == rows[1] != rows[2]
    with pytest.raises(BadInput, match=r"'colour=mauve'; .*model knows colour=blue, red; size=1 to 3$"):
        table.paint("colour=mauve", out="no.png")
    with pytest.raises(BadInput, match="the prompt has 'red', and the model paints by attributes; give NAME=VALUE"):
        table.paint("red", out="no.png")
    with pytest.raises(BadInput, match="paints by attributes, such as colour=blue, red; size=1 to 3; say what"):
        table.paint(out="no.png")
    alone = model(tmp_path, ImageGan(replace(LABEL, condition="none"), Conditions(0, {}, {})))
    assert len({cell for row in cells(alone.paint(num_columns=4, out="alone.png"), 4) for cell in row}) == 4
    with pytest.raises(BadInput, match="paints by noise alone; leave out the prompt 'red'"):
        alone.paint("red", out="no.png")
    with pytest.raises(BadInput, match="paints by noise alone; use --to-seed instead of --to red"):
        alone.paint(to="red", out="no.gif")
    assert not (tmp_path / "no.png").exists() and not (tmp_path / "no.gif").exists()


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[list[np.ndarray]]:
    """The frames of animations as they are before they are encoded."""
    animations: list[list[np.ndarray]] = []
    encode_animation = images.encode_animation

    def encode(frames: Sequence[np.ndarray], image_format: str) -> bytes:
        animations.append(list(frames))
        return encode_animation(frames, image_format)

    monkeypatch.setattr(painter.images, "encode_animation", encode)
    return animations


def test_an_animation_goes_from_a_prompt_to_another(texts: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    animations = recorded(monkeypatch)
    shown = texts.paint("red circle", seeds=[3], to="blue", num_frames=5, out="a.gif")
    (frames,) = animations
    assert shown.shape == (5, 128, 128, 3) and len({frame.tobytes() for frame in frames}) == 5
    grid = texts.paint("red circle", "blue", seeds=[3], out="both.png")  # one noise, which is that of the first
    assert [cells(frame, 1)[0] for frame in (frames[0], frames[-1])] == cells(grid, 1)


def test_an_animation_goes_from_a_noise_to_another(labels: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    animations = recorded(monkeypatch)
    shown = labels.paint("1", "2", num_columns=2, to_seed=7, num_frames=3, out="a.webp")
    assert shown.shape == (3, 2 * 16 * 4, 2 * 16 * 4, 3)
    first, _, last = (cells(frame, 2) for frame in animations[0])
    assert first == cells(labels.paint("1", "2", num_columns=2, out="first.png"), 2)
    assert last == cells(labels.paint("1", "2", seeds=[7, 8], out="last.png"), 2)


def test_conditions_and_noise_may_move_together(labels: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    animations = recorded(monkeypatch)
    path = paint(Painting(["1"], to="2", to_seed=4, num_frames=2), labels.uri, labels.tracking_uri)
    assert path == "1.webp"
    with Image.open(path) as image:
        assert (image.format, getattr(image, "n_frames", 1)) == ("WEBP", 2)
    both = labels.paint("1", "2", seeds=[4], out="both.png")
    assert cells(animations[0][-1], 1)[0] == cells(both, 1)[1]


def test_words_that_a_generator_attends_to_cannot_be_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    attending = model(tmp_path, TextToImage(replace(TEXT, word_attention=True), WORDS))
    with pytest.raises(BadInput, match="attends to the words of its prompt, and no words lie between two; leave out"):
        attending.paint("red", to="blue", out="no.gif")
    assert attending.paint("red", to_seed=1, num_frames=3, out="yes.gif").shape[0] == 3
    assert not (tmp_path / "no.gif").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"num_columns": 0}, "--columns is 0; allowed are values from 1 up"),
        ({"num_columns": 2, "seeds": [1, 2]}, "--columns is 2 and --seed given 2 times; use one of them"),
        ({"num_frames": 9}, "--frames is 9, of an animation; say where it ends, by --to or --to-seed"),
        ({"num_frames": 1, "to": "blue"}, "--frames is 1; allowed are values from 2 up"),
        ({"to": " "}, "the prompt is empty; say what to paint"),
        ({"to": "blue", "out": "a.png"}, r"--out is a\.png; an animation has file names that end in \.webp, \.gif"),
        ({"out": "a.gif"}, r"--out is a\.gif; allowed are file names that end in \.png, \.jpg, \.jpeg, \.webp"),
    ],
)
def test_options_that_contradict_each_other(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{sentence}$"):
        Painting(["red"], **options)


@pytest.mark.parametrize(("prompt", "what"), [("7", "labels 0, 1, 2"), ("x", "give a number such as 3")])
def test_a_class_that_is_not_known(prompt: str, what: str, labels: Model, tmp_path: Path) -> None:
    for options in ({"prompts": [prompt]}, {"prompts": ["1"], "to": prompt}):
        with pytest.raises(BadInput, match=f"the prompt is '{prompt}'.*{what}"):
            paint(Painting(**options), labels.uri, labels.tracking_uri)  # type: ignore[arg-type]
    assert {path.name for path in tmp_path.iterdir()} <= {"model", "mlflow.db"}


def test_an_animation_is_endless() -> None:
    frames = [np.full((4, 6, 3), level, np.uint8) for level in (0, 100, 200)]
    for image_format in ("GIF", "WEBP"):
        with Image.open(io.BytesIO(images.encode_animation(frames, image_format))) as image:
            assert (image.format, image.size, getattr(image, "n_frames", 1)) == (image_format, (6, 4), 3)
            assert image.info["loop"] == 0
            image.seek(1)
            image.load()
            assert image.info["duration"] == 80


def test_shares_of_the_way_between_conditions_are_linear() -> None:
    task = ImageGan(LABEL, Conditions.of_labels(range(3)))
    rows, to_rows = {"prompt_id": ["a"], "label": [0]}, {"prompt_id": ["a"], "label": [1]}
    encoder = task.networks["encoder_ema"]
    start, end = (encoder(task.encode_prompts(each)["values"]) for each in (rows, to_rows))
    z = noise.normal([(0, "a")], 6)
    with torch.no_grad():
        expected = images.to_uint8(task.networks["generator_ema"](z, torch.lerp(start, end, 0.25)))
    assert torch.equal(task.sample_between(rows, [(0, "a")], to_rows, [(0, "a")], 0.25), expected)
