"""Tokens a second of `sample` on 1,000 rows beside two loops in float32 that promise nothing about neighbours.

`row_loop` calls the same network token by token for one row after another, with oneDNN as torch does by default or
without it, which is faster for one row; the figure is of the faster. `batched` is what Hugging Face's generate
does with a batch: all rows take every step until the last one has ended, and none leaves. All sides write the same
number of tokens for every row, greedily and sampled, on one thread, in turn; the loop over rows a part of them. The
weights are random, the sizes those of the recipe tinyshakespeare. Seconds are those of the process.
"""

import string
import time
from collections.abc import Callable
from statistics import median

import torch

from ganrnn import cpu
from ganrnn.decoding.rules import Decoding
from ganrnn.tasks.language_model import LanguageModel
from ganrnn.text.vocabulary import BEGIN, END, PAD, UNKNOWN, TextVocabulary
from pipelines.config.loader import load_recipe
from pipelines.config.sampling import SamplingConfig
from tests.benchmarks.record import ROOT, Figure, digits, ratio_figure, spread

NUM_ROWS, NUM_TOKENS, NUM_REPEATS = 1_000, 100, 5
NUM_LOOPED = 100  # of the rows, for the loop over them
DEFAULT_BATCH = SamplingConfig().micro_batch_size
BATCHES = (DEFAULT_BATCH, 256)
TEMPERATURES = {"greedy": 0.0, "sampled": 1.0}
NEVER = [PAD, UNKNOWN, BEGIN, END]
LOOPS = {"row_loop": True, "row_loop_without_onednn": False}  # with oneDNN or not
Side = Callable[[float, int], int]  # temperature and number of rows to the number of tokens written


def model() -> LanguageModel:
    """Of printable characters."""
    recipe = load_recipe(str(ROOT / "jobs/recipes/texts/tinyshakespeare.yaml"))
    return LanguageModel(recipe.task, TextVocabulary.build("character", [string.printable]))


def ours(task: LanguageModel, micro_batch: int) -> Side:
    """As a worker of the pipeline does, micro-batch after micro-batch."""

    def write(temperature: float, num_rows: int) -> int:
        rules = Decoding(temperature=temperature, min_tokens=NUM_TOKENS, max_tokens=NUM_TOKENS)
        num_written = 0
        for start in range(0, num_rows, micro_batch):
            keys = [(0, str(row)) for row in range(start, min(start + micro_batch, num_rows))]
            written = task.sample({"decoding": [rules] * len(keys)}, keys)
            num_written += sum(len(text.tokens) for text in written)
        return num_written

    return write


@torch.inference_mode()
def _plain(task: LanguageModel, num_rows: int, temperature: float) -> torch.Tensor:
    """Tokens int64 [num_rows, NUM_TOKENS], all rows in step."""
    network, state = task.average, task.average.stack.begin(num_rows)
    tokens = torch.full((num_rows, 1), BEGIN)
    made: list[torch.Tensor] = []
    has_ended = torch.zeros(num_rows, dtype=torch.bool)
    while len(made) < NUM_TOKENS and not has_ended.all():
        features, state = network(tokens, state)
        logits = network.logits(features)[:, -1]
        logits[:, NEVER] = -torch.inf
        if temperature:
            tokens = torch.multinomial((logits / temperature).softmax(1), 1)
        else:
            tokens = logits.argmax(1, keepdim=True)
        has_ended |= tokens[:, 0] == END
        made.append(tokens)
    return torch.cat(made, dim=1)


def row_loop(task: LanguageModel, with_onednn: bool) -> Side:
    """A row at a time."""

    def write(temperature: float, num_rows: int) -> int:
        with torch.backends.mkldnn.flags(enabled=with_onednn):
            texts = [task.vocabulary.decode(_plain(task, 1, temperature)[0].tolist()) for _ in range(num_rows)]
        return sum(map(len, texts))

    return write


def batched(task: LanguageModel, batch: int) -> Side:
    """So many rows at a time."""

    def write(temperature: float, num_rows: int) -> int:
        texts = []
        for start in range(0, num_rows, batch):
            tokens = _plain(task, min(batch, num_rows - start), temperature)
            texts += [task.vocabulary.decode(row) for row in tokens.tolist()]
        return sum(map(len, texts))

    return write


def measure() -> list[Figure]:
    """Each side in turn; the figures are of the default micro-batch, greedy or sampled, whichever is the slower."""
    cpu.prepare(1)
    task = model()
    sides: dict[str, Side] = {name: row_loop(task, with_onednn) for name, with_onednn in LOOPS.items()}
    for size in BATCHES:
        sides |= {f"ours_{size}": ours(task, size), f"batched_{size}": batched(task, size)}
    speeds: dict[str, dict[str, list[float]]] = {mode: {side: [] for side in sides} for mode in TEMPERATURES}
    for side in sides.values():
        side(1.0, 8)  # warm-up
    for repeat in range(NUM_REPEATS):
        for mode, temperature in TEMPERATURES.items():
            for name, side in sides.items():
                num_rows = NUM_LOOPED if name in LOOPS else NUM_ROWS
                started = time.process_time()
                num_tokens = side(temperature, num_rows)
                speeds[mode][name].append(num_tokens / (time.process_time() - started))
                assert num_tokens == num_rows * NUM_TOKENS, f"{name} wrote {num_tokens} tokens"
            now = ", ".join(f"{name} {held[-1]:.0f}" for name, held in speeds[mode].items())
            print(f"  {repeat + 1}, {mode}, tokens/s: {now}", flush=True)
    faster = max(LOOPS, key=lambda name: median(speeds["greedy"][name]))
    return [
        _figure("decode_vs_row_loop", speeds, dict.fromkeys(BATCHES, faster)),
        _figure("decode_vs_hf_batched", speeds, {size: f"batched_{size}" for size in BATCHES}),
    ]


def _figure(name: str, speeds: dict[str, dict[str, list[float]]], peers: dict[int, str]) -> Figure:
    """Of our speed at each micro-batch over that of its peer."""
    ratios = {
        (mode, size): [a / b for a, b in zip(held[f"ours_{size}"], held[peer], strict=True)]
        for mode, held in speeds.items()
        for size, peer in peers.items()
    }
    slower = min(TEMPERATURES, key=lambda mode: median(ratios[mode, DEFAULT_BATCH]))
    details = {
        "all": {f"{mode}_{size}": spread(held) for (mode, size), held in ratios.items()},
        "tokens_per_second": {
            mode: {side: [digits(speed) for speed in of_side] for side, of_side in held.items()}
            for mode, held in speeds.items()
        },
        "num_rows": NUM_ROWS,
        "num_rows_of_row_loop": NUM_LOOPED,
        "tokens_a_row": NUM_TOKENS,
        "threads": 1,
    }
    peer = peers[DEFAULT_BATCH]
    meaning = f"tokens/s of `sample` in micro-batches of {DEFAULT_BATCH} by those of {peer}, {slower}"
    return ratio_figure(name, ratios[slower, DEFAULT_BATCH], meaning, details)
