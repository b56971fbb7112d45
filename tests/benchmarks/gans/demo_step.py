"""The share of one core's float32 peak that a training step of the demo reaches, both measured in one run.

The peak is that of a product of two matrices of 1,024 x 1,024. The operations of steps, optimizers among them, are
counted by torch, which sees products and convolutions alone; their seconds are those of whole steps.
"""

import time
from collections.abc import Callable
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from ganrnn import cpu
from ganrnn.data import scenes
from ganrnn.data.images import encode_png
from ganrnn.tasks.text_to_image import TextToImage
from pipelines.config.loader import load_recipe
from tests.benchmarks.record import Figure, digits, ratio_figure

NUM_ROWS = 32
NUM_STEPS = 24
REPEATS = 7
SIZE = 1_024


def measure() -> list[Figure]:
    """Steps with and without the discriminator, as often as the demo has them."""
    cpu.prepare(1)
    recipe = load_recipe("demo")
    combinations = scenes.single_combinations()[::11][:NUM_ROWS]
    texts = [scenes.describe(attributes, "en", index) for index, attributes in enumerate(combinations)]
    task = TextToImage(recipe.task, TextToImage.build_vocabulary(recipe.task, ((text,) for text in texts)))
    pictures = [{"bytes": encode_png(scenes.draw(attributes, 32, 32))} for attributes in combinations]
    batch = task.collate({"image": pictures, "text": texts, "attributes": combinations})
    first = recipe.task.num_energy_steps
    starts = (first - round(NUM_STEPS * first / recipe.task.num_steps)) // 8 * 8  # penalties come every eighth step

    def steps() -> None:
        task.step_index = starts
        for _ in range(NUM_STEPS):
            task.step(batch)

    left, right = torch.randn(2, SIZE, SIZE).unbind()
    steps()
    with FlopCounterMode(display=False) as counter:
        steps()
    operations = counter.get_total_flops()
    shares, rates = [], []
    for _ in range(REPEATS):
        peak = 2 * SIZE**3 / _seconds(lambda: torch.mm(left, right), 20)
        rates.append(operations / _seconds(steps))
        shares.append(rates[-1] / peak)
    details = {"rows": NUM_ROWS, "operations_per_step": operations / NUM_STEPS, "gflops": digits(median(rates) / 1e9)}
    return [ratio_figure("share_of_peak", shares, "of the float32 peak of one core, by repeat", details)]


def _seconds(work: Callable[[], object], times: int = 1) -> float:
    started = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - started) / times
