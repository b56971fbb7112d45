"""One character-level language model of tinyshakespeare, ours or nanoGPT's, trained on one core; its validation loss.

    PYTHONPATH=. python tests/benchmarks/texts/nanogpt_sides.py ours --text TEXT --seed N --seconds S --out OUT
    PYTHONPATH=. python tests/benchmarks/texts/nanogpt_sides.py nanogpt --text TEXT --seed N --checkout DIR --out OUT

nanoGPT's network, optimizer, batches and learning rates are those of a checkout of it, at the setting for CPUs of its
README; the loop around them is that of its train.py without evaluations. Ours takes as many seconds as it is told.
Seconds are those of the process, which stand still while others have the core.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from ganrnn import cpu
from ganrnn.tasks.language_model import LanguageModel, LanguageModelConfig
from pipelines.config.loader import load_recipe
from tests.benchmarks.texts.program_parts import parts

ROOT = Path(__file__).parents[3]
TRAIN_SHARE = 0.9
# `python train.py config/train_shakespeare_char.py --device=cpu --compile=False ...` of the README.
README_SETTING = {
    **{"device": "cpu", "device_type": "cpu", "block_size": 64, "batch_size": 12, "n_layer": 4, "n_head": 4},
    **{"n_embd": 128, "max_iters": 2_000, "lr_decay_iters": 2_000, "dropout": 0.0},
}
# How many characters of each window of a block are scored: all, or those that have at least so much context.
SCORED = (64, 32, 8)
OUR_SETTING = (
    *("task.cell=lstm", "task.hidden_dim=320", "task.embedding_dim=64", "task.num_tokens=64"),
    *("train.global_batch_size=12", "task.optimiser.learning_rate=6e-3", "task.ema_half_life_steps=100"),
)
PROBE_SHARE, PLANNED_SHARE = 0.08, 0.96


def split(text: str) -> tuple[str, str]:
    """What trains and what validates."""
    at = int(len(text) * TRAIN_SHARE)
    return text[:at], text[at:]


def ours(text: str, seed: int, seconds: float, checkout: str, folder: Path) -> dict[str, Any]:
    """The recipe tinyshakespeare in a setting for minutes; a short training before tells how many steps fit in."""
    path = str(ROOT / "jobs/recipes/texts/tinyshakespeare.yaml")
    recipe = load_recipe(path, OUR_SETTING)
    train_text, val_text = split(text)
    vocabulary = LanguageModel.build_vocabulary(recipe.task, [(train_text,)])

    def trained(config: LanguageModelConfig, seconds: float) -> tuple[LanguageModel, float]:
        task = LanguageModel(config, vocabulary, seed)
        batches = task.batches({"text": [train_text]}, recipe.train.global_batch_size, seed)
        started = time.process_time()
        while task.step_index < config.num_steps and time.process_time() - started < seconds:
            task.step(batches.at(task.step_index))
        return task, time.process_time() - started

    probe, taken = trained(recipe.task, PROBE_SHARE * seconds)
    num_steps = int(probe.step_index / taken * seconds * PLANNED_SHARE)
    planned = load_recipe(path, (*OUR_SETTING, f"task.num_steps={num_steps}"))
    task, taken = trained(planned.task, seconds)
    total, count = task.negative_log_likelihood({"text": [val_text]})
    num_tokens = task.step_index * recipe.train.global_batch_size * recipe.task.num_tokens
    about = {"steps": task.step_index, "planned_steps": num_steps, "seconds": taken, "tokens": num_tokens}
    return {"loss": total / count, "scored": count, "weights": _weights(task.network)} | about


def nanogpt(text: str, seed: int, seconds: float, checkout: str, folder: Path) -> dict[str, Any]:
    """Its 2,000 iterations and one, as it counts them."""
    sys.path.insert(0, checkout)
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    codes = {character: code for code, character in enumerate(sorted(set(text)))}
    encoded = [np.array([codes[character] for character in part], np.uint16) for part in split(text)]
    encoded[0].tofile(folder / "train.bin")
    given = parts(f"{checkout}/config/train_shakespeare_char.py", [], {}) | README_SETTING
    given |= {"os": __import__("os"), "math": __import__("math"), "np": np, "torch": torch, "data_dir": str(folder)}
    s = parts(f"{checkout}/train.py", ["get_batch", "get_lr"], given)
    sizes = {name: s[name] for name in ("n_layer", "n_head", "n_embd", "block_size", "bias", "dropout")}
    torch.manual_seed(1337 + seed)
    model = GPT(GPTConfig(**sizes, vocab_size=len(codes)))
    betas = (s["beta1"], s["beta2"])
    optimizer = model.configure_optimizers(s["weight_decay"], s["learning_rate"], betas, "cpu")
    started = time.process_time()
    X, Y = s["get_batch"]("train")
    for iteration in range(s["max_iters"] + 1):
        for group in optimizer.param_groups:
            group["lr"] = s["get_lr"](iteration)
        _, loss = model(X, Y)
        X, Y = s["get_batch"]("train")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), s["grad_clip"])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
    taken, steps = time.process_time() - started, s["max_iters"] + 1
    val = torch.from_numpy(encoded[1].astype(np.int64))
    losses = {str(num): _loss(model, val, s["block_size"], num) for num in SCORED}
    about = {"steps": steps, "seconds": taken, "tokens": steps * s["batch_size"] * s["block_size"]}
    return {"losses": losses, "scored": len(val) - 1, "weights": _weights(model)} | about


@torch.no_grad()
def _loss(model: Any, tokens: torch.Tensor, block: int, num_scored: int) -> float:
    """Nats a character of int64 [T], all but the first, each read in a block whose last `num_scored` count."""
    model.eval()
    total, done = 0.0, 1
    for batch in _batched(_windows(len(tokens), block, num_scored)):
        held = torch.stack([tokens[start : start + block + 1] for start in batch])
        inputs, targets = held[:, :-1].contiguous(), held[:, 1:].contiguous()
        logits, _ = model(inputs, targets)
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
        for start, of_window in zip(batch, losses, strict=True):
            total += float(of_window[done - start - 1 :].sum())
            done = start + block + 1
    assert done == len(tokens)
    return total / (len(tokens) - 1)


def _windows(num_tokens: int, block: int, num_scored: int) -> list[int]:
    """Where windows begin; the last ends where the text does."""
    last = num_tokens - 1 - block
    return [*range(0, last, num_scored), last]


def _batched(starts: list[int]) -> Iterable[list[int]]:
    return (starts[first : first + 64] for first in range(0, len(starts), 64))


def _weights(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


SIDES = {"ours": ours, "nanogpt": nanogpt}


def main() -> None:
    """One training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("side", choices=SIDES)
    for name, kind in (("text", str), ("seed", int), ("seconds", float), ("checkout", str), ("out", str)):
        parser.add_argument(f"--{name}", type=kind, default=None)
    given = parser.parse_args()
    cpu.prepare(1)
    out = Path(given.out)
    text = Path(given.text).read_text(encoding="utf-8")
    made = SIDES[given.side](text, given.seed, given.seconds, given.checkout, out.parent)
    out.write_text(json.dumps(made))


if __name__ == "__main__":
    main()
