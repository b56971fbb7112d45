"""Training tokens a second beside a bare LSTM loop: pytorch/examples word_language_model, its network and its train().

Asks, by environment variables, for the text and the peer: TINYSHAKESPEARE (the .txt file), WORD_LANGUAGE_MODEL (the
folder of that name in a checkout of pytorch/examples). Both sides have the default sizes of its main.py, the same words
and one thread each; they take turns in processes of their own. Seconds are those of the process, which stand still
while others have the core. The peer runs as it stands and, in the details, with torch set up as ours is (`ganrnn.cpu`).
"""

import argparse
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import torch

from ganrnn import cpu
from ganrnn.tasks.language_model import LanguageModel, LanguageModelConfig
from ganrnn.text.vocabulary import TextVocabulary
from ganrnn.training.optimizer import PlayerConfig
from tests.benchmarks.record import Figure, digits, ratio_figure, spread
from tests.benchmarks.texts.program_parts import parts

DIM, NUM_LAYERS, BPTT, BATCH, DROPOUT, CLIP = 200, 2, 35, 20, 0.2, 0.25
NUM_BATCHES, NUM_WARM_UP, NUM_PAIRS = 20, 5, 7
ASKED = ("TINYSHAKESPEARE", "WORD_LANGUAGE_MODEL")
Trainer = Callable[[int], float]  # a number of batches to the CPU seconds that they took


def ours(text: str, vocabulary: TextVocabulary) -> Trainer:
    """Steps of the task, with their batches."""
    config = LanguageModelConfig(
        vocabulary="word",
        stream=True,
        num_tokens=BPTT,
        cell="lstm",
        embedding_dim=DIM,
        hidden_dim=DIM,
        num_layers=NUM_LAYERS,
        dropout=DROPOUT,
        optimiser=PlayerConfig(schedule="constant", beta1=0.9, beta2=0.99, max_gradient_norm=CLIP),
    )
    task = LanguageModel(config, vocabulary)
    batches = task.batches({"text": [text]}, BATCH, seed=0)

    def train(num_batches: int) -> float:
        started = time.process_time()
        for _ in range(num_batches):
            task.step(batches.at(task.step_index))
        return time.process_time() - started

    return train


def theirs(text: str, vocabulary: TextVocabulary) -> Trainer:
    """Their train() over so much text that it makes so many batches."""
    folder = os.environ["WORD_LANGUAGE_MODEL"]
    sys.path.insert(0, folder)
    from model import RNNModel  # type: ignore[import-not-found]

    sizes = {"batch_size": BATCH, "bptt": BPTT, "clip": CLIP, "use_optimizer": False, "log_interval": 200}
    arguments = argparse.Namespace(model="LSTM", dry_run=False, **sizes)
    model = RNNModel("LSTM", len(vocabulary), DIM, DIM, NUM_LAYERS, DROPOUT)
    given = {"args": arguments, "model": model, "criterion": torch.nn.NLLLoss(), "lr": 20, "epoch": 1}
    given |= {"torch": torch, "time": time, "math": math, "device": torch.device("cpu")}
    given["corpus"] = SimpleNamespace(dictionary=vocabulary)  # of which it takes the length
    space = parts(f"{folder}/main.py", ["batchify", "repackage_hidden", "get_batch", "train"], given)
    whole = space["batchify"](torch.tensor(vocabulary.encode(text)), BATCH)

    def train(num_batches: int) -> float:
        space["train_data"] = whole[: num_batches * BPTT + 1]
        started = time.process_time()
        space["train"]()
        return time.process_time() - started

    return train


# Name of a side: what trains, and whether the process is set up by `ganrnn.cpu` first.
SIDES: dict[str, tuple[Callable[[str, TextVocabulary], Trainer], bool]] = {
    "ours": (ours, True),
    "bare": (theirs, False),
    "bare_prepared": (theirs, True),
}


def measure() -> list[Figure]:
    """All sides in turn, after a warm-up."""
    missing = [name for name in ASKED if not os.environ.get(name)]
    if missing:
        raise SystemExit(f"set {', '.join(missing)}: {' '.join((__doc__ or '').split())}")
    text = Path(os.environ["TINYSHAKESPEARE"]).read_text(encoding="utf-8")
    vocabulary = TextVocabulary.build("word", [text])
    context = multiprocessing.get_context("spawn")
    ends: dict[str, Connection] = {}
    for side in SIDES:
        ends[side], other = context.Pipe()
        context.Process(target=serve, args=(side, text, vocabulary, other), daemon=True).start()
        ask(ends[side], NUM_WARM_UP)
    speeds: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(NUM_PAIRS):
        for side, end in ends.items():
            speeds[side].append(NUM_BATCHES * BATCH * BPTT / ask(end, NUM_BATCHES))
        print("  " + ", ".join(f"{side} {held[-1]:.0f} tokens/s" for side, held in speeds.items()), flush=True)
    for end in ends.values():
        end.send(0)
    ratios = {
        side: [a / b for a, b in zip(speeds["ours"], speeds[side], strict=True)] for side in ("bare", "bare_prepared")
    }
    details = {
        "tokens_per_second": {side: [digits(speed) for speed in held] for side, held in speeds.items()},
        "vs_bare_prepared": digits(median(ratios["bare_prepared"])),
        "vs_bare_prepared_spread": spread(ratios["bare_prepared"]),
        "vocabulary": len(vocabulary),
        "batches_a_repeat": NUM_BATCHES,
        "threads": 1,
    }
    meaning = "training tokens/s of `step` with its batches by those of the train() of word_language_model, one thread"
    return [ratio_figure("train_tokens_vs_bare_lstm", ratios["bare"], meaning, details)]


def ask(end: Connection, num_batches: int) -> float:
    """CPU seconds of so many batches on a side."""
    end.send(num_batches)
    seconds: float = end.recv()
    return seconds


def serve(side: str, text: str, vocabulary: TextVocabulary, end: Connection) -> None:
    """One side in a process of its own, which trains when it is asked, until it is asked for nothing."""
    build, is_prepared = SIDES[side]
    if is_prepared:
        cpu.prepare(1)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    train = build(text, vocabulary)
    while num_batches := end.recv():
        end.send(train(num_batches))
