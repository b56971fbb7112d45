"""Progress of generation: on the driver's terminal, and as metrics of Ray's own Prometheus exporter."""

import time
from collections.abc import Iterable, Sequence
from types import TracebackType

from tqdm import tqdm

from ganrnn.errors import BadInput
from pipelines.cluster.metrics import counter, gauge
from pipelines.config.recipe import Recipe
from pipelines.generate.plan import Output
from pipelines.generate.receipts import Receipt


class GenerationProgress:
    """A bar with prompts/s and time left, rejects and, where a price is known, what a million prompts cost.

    Ray exports the same numbers as `ray_ganrnn_prompts_total`, `ray_ganrnn_rejects_total` (once there is one),
    `ray_ganrnn_prompts_left`, `ray_ganrnn_prompts_per_second` and `ray_ganrnn_cost_per_million_prompts`, tagged with
    the output URI.
    """

    def __init__(self, recipe: Recipe, outputs: Sequence[Output]) -> None:
        self.config = recipe.generate
        self.total = sum(output.prompt_set.num_rows for output in outputs)
        self.num_done = self.num_new = self.num_rejects = 0
        self.since = time.monotonic()
        self.bar = tqdm(total=self.total, desc="generate", unit="prompt")
        output = self.config.samples_uri
        self.counters = {
            "prompts": counter("ganrnn_prompts_total", "prompts done by this driver", output=output),
            "rejects": counter("ganrnn_rejects_total", "prompts without samples", output=output),
        }
        rate, cost = "prompts done a second since the start of this driver", "in the currency of the configured price"
        self.gauges = {
            "left": gauge("ganrnn_prompts_left", "prompts to do", output=output),
            "rate": gauge("ganrnn_prompts_per_second", rate, output=output),
            "cost": gauge("ganrnn_cost_per_million_prompts", cost, output=output),
        }

    def __enter__(self) -> "GenerationProgress":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bar.close()

    def update(self, receipts: Iterable[Receipt]) -> None:
        """Count committed shards. Raises BadInput once more prompts are rejected than `max_reject_share` allows."""
        for receipt in receipts:
            self.num_done += receipt.num_prompts
            if receipt.is_new:
                self.num_new += receipt.num_prompts
            else:
                self.bar.initial += receipt.num_prompts  # no part of the speed
            self.num_rejects += len(receipt.rejects)
            self.counters["prompts"].inc(receipt.num_prompts)
            if receipt.rejects:
                self.counters["rejects"].inc(len(receipt.rejects))
            self.bar.update(receipt.num_prompts)
        rate = self.num_new / (time.monotonic() - self.since)
        cost = cost_per_million(self.config.sampling.price_per_worker_hour, self.config.sampling.num_workers, rate)
        self.gauges["left"].set(self.total - self.num_done)
        self.gauges["rate"].set(rate)
        self.gauges["cost"].set(cost)
        shown = {"rejects": str(self.num_rejects)} | ({"cost/M": f"{cost:.3g}"} if cost else {})
        self.bar.set_postfix(shown, refresh=False)
        if self.num_rejects > self.config.max_reject_share * self.total:
            raise BadInput(
                f"{self.config.prompts_uri}: {self.num_rejects} of {self.total} prompts have no samples; "
                f"generate.max_reject_share allows {self.config.max_reject_share:g}"
            )


def cost_per_million(price_per_worker_hour: float, num_workers: int, prompts_per_second: float) -> float:
    """What a million prompts cost, in the currency of the price; 0 as long as that is not known."""
    return price_per_worker_hour * num_workers / 3600 / prompts_per_second * 1e6 if prompts_per_second else 0.0
