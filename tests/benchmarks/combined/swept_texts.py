"""Quality against diversity: text GANs beside plain language models of the same data, over temperatures.

Each picture is that of the report of an evaluation (`evaluate.sweep`), copied to results/. A point of a text GAN lies
beyond a language model where no point of that one is at least as good in both: likely to a reader of real texts, and
teaching a reader of its own to find real texts likely. Poems ask for DATA, which has tang_poems/.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines import storage
from pipelines.config.loader import load_recipe
from pipelines.evaluate.driver import evaluate
from tests.benchmarks.combined import dreamt_texts, reinforced_texts
from tests.benchmarks.recipe_scores import data_folder, report
from tests.benchmarks.record import ROOT, Figure, digits, recipe_path

TEMPERATURES = (0.6, 0.8, 1.0, 1.2)
POEM_STEPS = 1_000
# What the reinforced writer of captions becomes for poems: the network of tang_poems.yaml.
LIKE_POEMS = (
    "run_uri=runs/reinforced_poems",
    "ingest.source=parquet",
    "task.num_tokens=66",
    "task.embedding_dim=192",
    "task.hidden_dim=384",
    "task.tied=true",
    "task.dropout=0.2",
    "generate.sampling.decoding.max_tokens=66",
)


def captions() -> list[Figure]:
    """Of scenes: the dreamer and a language model of as many words and steps; the reinforced writer and its like."""
    report(dreamt_texts.DREAMER, [])
    name, settings = dreamt_texts.PLAIN
    words = [*settings, *dreamt_texts.PLAIN_TRAIN]
    report(name, words)
    writer, alone = reinforced_texts.settings()
    report(reinforced_texts.NAME, writer)
    report(reinforced_texts.NAME, alone)
    beside = {
        "language_model_words": _checkpoints(name, words),
        "reinforced_captions": _checkpoints(reinforced_texts.NAME, writer),
        "language_model_characters": _checkpoints(reinforced_texts.NAME, alone),
    }
    held = _swept("captions", dreamt_texts.DREAMER, [], beside, num_texts=1_000, reader_steps=400)
    curves = held["curves"]
    pairs = {
        "dreamt_captions": ("dreamt_captions", "language_model_words"),
        "reinforced_captions": ("reinforced_captions", "language_model_characters"),
    }
    return [_beyond(name, *(curves[one]["points"] for one in pair), held) for name, pair in pairs.items()]


def poems() -> list[Figure]:
    """Of the Tang, written freely: the dreamer, the reinforced writer and a language model.

    All of their networks for words have read for as many steps; the dreamer's GAN takes those of its recipe besides.
    """
    folder = f"{data_folder()}/tang_poems"
    data = [f"ingest.{key}={folder}/{name}.parquet" for key, name in (("source_uri", "train"), ("holdout_uri", "val"))]
    shared = [*data, f"task.num_steps={POEM_STEPS}"]
    plain = [*shared, "run_uri=runs/tang_poems_short"]
    report("dreamt_poems", data)
    report("tang_poems", plain)
    writer = [*shared, *LIKE_POEMS, f"task.num_pretraining_steps={POEM_STEPS * 7 // 10}"]
    report(reinforced_texts.NAME, writer)
    beside = {
        "reinforced_poems": _checkpoints(reinforced_texts.NAME, writer),
        "language_model": _checkpoints("tang_poems", plain),
    }
    held = _swept("poems", "dreamt_poems", data, beside, num_texts=500, reader_steps=150)
    curves = held["curves"]
    others = curves["language_model"]["points"]
    return [_beyond(name, curves[name]["points"], others, held) for name in ("dreamt_poems", "reinforced_poems")]


def _checkpoints(name: str, settings: Sequence[str]) -> str:
    uri: str = load_recipe(recipe_path(name), settings).train.checkpoint_uri
    return uri


def _swept(
    data: str, name: str, settings: Sequence[str], beside: Mapping[str, str], num_texts: int, reader_steps: int
) -> dict[str, Any]:
    """The sweep of a recipe's report; its picture goes to results/."""
    place = f"runs/swept_{data}"
    own = [
        f"evaluate.report_uri={place}",
        f"evaluate.sweep.temperatures={list(TEMPERATURES)}",
        f"evaluate.sweep.num_texts={num_texts}",
        f"evaluate.sweep.reader.num_steps={reader_steps}",
        *(f"evaluate.sweep.beside.{other}={uri}" for other, uri in beside.items()),
    ]
    recipe = load_recipe(recipe_path(name), [*settings, *own])
    sweep: dict[str, Any] = evaluate(recipe).to_json()["sweep"]
    picture = storage.read_bytes(f"{recipe.evaluate.report_uri}/quality_diversity.png")
    (ROOT / f"tests/benchmarks/results/quality_diversity_{data}.png").write_bytes(picture)
    return sweep


def _beyond(
    name: str, points: Sequence[Mapping[str, float]], others: Sequence[Mapping[str, float]], held: Any
) -> Figure:
    """Of a model's points, how many no point of another beats in quality and in diversity."""
    axes = ("nats_per_character", "reverse_nats_per_character")
    number = sum(not any(all(other[axis] <= own[axis] for axis in axes) for other in others) for own in points)
    return Figure(f"{name}_points_beyond_language_model", number, {"of": len(points), "sweep": _rounded(held)})


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return digits(value) if isinstance(value, float) else value


GROUPS: dict[str, Callable[[], list[Figure]]] = {"swept_captions": captions, "swept_poems": poems}
