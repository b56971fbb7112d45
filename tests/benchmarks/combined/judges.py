"""Judges of pictures and words: on scenes and, where there is one, on NLVR, beside what knows less.

NLVR (a folder with train.parquet and val.parquet) asks for DATA. Its figures are means over seeds of the accuracy on
val of the checkpoint that knew best half of its groups, on the other half: of the judge, of one whose words have no
order (`bag_of_words`), of one that never hears them (`image_only`), and of always the commoner answer.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import mean
from typing import Any

import torch
from torch import nn

from ganrnn import cpu
from ganrnn.metrics.statistics.intervals import wilson_interval
from ganrnn.tasks.match_judge import MatchJudge
from pipelines import storage
from pipelines.config.loader import load_recipe
from tests.benchmarks.recipe_scores import data_folder, report
from tests.benchmarks.record import ROOT, Figure, digits

SEEDS = range(3)
NUM_STEPS, CHECK_EVERY_STEPS = 1_200, 100
Rows = Mapping[str, Sequence[Any]]


class Bag(nn.Module):
    """In the place of a reader: each word on its own, and the mean of all."""

    def __init__(self, embedding_dim: int, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(embedding_dim, dim)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        words = torch.tanh(self.linear(x))
        mask = torch.arange(x.shape[1]) < lengths[:, None]
        return words, (words * mask[:, :, None]).sum(1) / lengths[:, None]


def bag_of_words(task: MatchJudge) -> None:
    """Take the RNN out of a judge."""
    for network in (task.network, task.average):
        torch.manual_seed(0)
        network.reader = Bag(task.config.embedding_dim, task.config.dim)  # type: ignore[assignment]
    task.average.requires_grad_(False)


# Name -> what becomes of the judge, and of the words.
KINDS: dict[str, tuple[Callable[[MatchJudge], None], Callable[[str], str]]] = {
    "judge": (lambda task: None, lambda text: text),
    "bag_of_words": (bag_of_words, lambda text: text),
    "image_only": (lambda task: None, lambda text: ""),
}


def scenes() -> list[Figure]:
    """Statements about scenes, false in one attribute or true."""
    held = report("scene_judge", [])
    return [Figure("judge_scenes", held["metrics"]["right"], held)]


def nlvr() -> list[Figure]:
    """Sentences of people about boxes of shapes."""
    cpu.prepare(1)
    folder = f"{data_folder()}/nlvr"
    settings = [
        f"ingest.{key}={folder}/{name}.parquet" for key, name in (("source_uri", "train"), ("holdout_uri", "val"))
    ]
    config = load_recipe(str(ROOT / "jobs/recipes/judges/nlvr_judge.yaml"), settings).task
    train, val = (storage.read_table([f"{folder}/{name}.parquet"]).to_pydict() for name in ("train", "val"))
    groups = sorted(set(val["group"]))
    random.Random(0).shuffle(groups)
    first = set(groups[: len(groups) // 2])
    watched, tested = (
        [i for i, group in enumerate(val["group"]) if (group in first) == side] for side in (True, False)
    )
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for seed in SEEDS:
        for kind in KINDS:
            found[kind].append(
                _accuracy(kind, replace(config, num_steps=NUM_STEPS), train, val, (watched, tested), seed)
            )
            print(f"  seed {seed}, {kind}: {found[kind][-1]:.3f}", flush=True)
    truth = [val["match"][i] for i in tested]
    majority = max(sum(truth), len(truth) - sum(truth)) / len(truth)
    details = {
        "tested": len(tested),
        "by_seed": {kind: [digits(value) for value in values] for kind, values in found.items()},
        "intervals": {
            kind: [digits(bound) for bound in wilson_interval(round(mean(values) * len(tested)), len(tested))]
            for kind, values in found.items()
        },
    }
    names = {"judge": "judge_nlvr", "bag_of_words": "judge_nlvr_bag_of_words", "image_only": "judge_nlvr_image_only"}
    figures = [Figure(names[kind], mean(values), details) for kind, values in found.items()]
    return [*figures, Figure("judge_nlvr_majority", majority, {"tested": len(tested)})]


def _accuracy(kind: str, config: Any, train: Rows, val: Rows, sides: tuple[list[int], list[int]], seed: int) -> float:
    """On the second side, of the step that was best on the first."""
    change, words = KINDS[kind]
    task = MatchJudge(config, MatchJudge.build_vocabulary(config, ((text,) for text in train["text"])), seed)
    change(task)
    task.player = type(task.player)(config.optimiser, task.network.parameters())
    batch = task.collate(_pairs(train, words))
    generator = torch.Generator().manual_seed(seed)
    best, answer = 0.0, 0.0
    for step in range(1, config.num_steps + 1):
        rows = torch.randint(len(train["text"]), (32,), generator=generator)
        task.step({name: tensor[rows] for name, tensor in batch.items()})
        if step % CHECK_EVERY_STEPS == 0:
            on_watched, on_tested = (_right(task, _pairs(val, words), rows) for rows in sides)
            if on_watched > best:
                best, answer = on_watched, on_tested
    return answer


def _pairs(rows: Rows, words: Callable[[str], str]) -> dict[str, Sequence[Any]]:
    texts = [words(text) for text in rows["text"]]
    return {"image": rows["image"], "text": texts, "label": rows["match"], "attributes": [None] * len(texts)}


def _right(task: MatchJudge, pairs: Rows, rows: Sequence[int]) -> float:
    verdicts = []
    for start in range(0, len(rows), 64):
        part = rows[start : start + 64]
        logits = task.logits([pairs["image"][i] for i in part], [pairs["text"][i] for i in part])
        verdicts += [(logit > 0) == pairs["label"][i] for logit, i in zip(logits.tolist(), part, strict=True)]
    return mean(verdicts)


GROUPS: dict[str, Callable[[], list[Figure]]] = {"judge_scenes": scenes, "judge_nlvr": nlvr}
