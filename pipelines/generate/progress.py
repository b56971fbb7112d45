"""Progress of generation: on the driver's terminal, and as metrics of Ray's own Prometheus exporter."""

import time
from collections.abc import Iterable, Sequence
from types import TracebackType

from tqdm import tqdm

from ganrnn.errors import BadInput
from pipelines.cluster.metrics import counter, gauge
from pipelines.config import Recipe
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
        self.done = self.made = self.rejects = 0
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
        """Count shards that are there now. BadInput once more prompts are rejected than may be."""
        for receipt in receipts:
            self.done += receipt.num_prompts
            if receipt.is_new:
                self.made += receipt.num_prompts
            else:
                self.bar.initial += receipt.num_prompts  # no part of the speed
            self.rejects += len(receipt.rejects)
            self.counters["prompts"].inc(receipt.num_prompts)
            if receipt.rejects:
                self.counters["rejects"].inc(len(receipt.rejects))
            self.bar.update(receipt.num_prompts)
        rate = self.made / (time.monotonic() - self.since)
        cost = cost_per_million(self.config.sampling.price_per_worker_hour, self.config.sampling.num_workers, rate)
        self.gauges["left"].set(self.total - self.done)
        self.gauges["rate"].set(rate)
        self.gauges["cost"].set(cost)
        shown = {"rejects": str(self.rejects)} | ({"cost/M": f"{cost:.3g}"} if cost else {})
        self.bar.set_postfix(shown, refresh=False)
        if self.rejects > self.config.max_reject_share * self.total:
            raise BadInput(
                f"{self.config.prompts_uri}: {self.rejects} of {self.total} prompts have no samples; "
                f"generate.max_reject_share allows {self.config.max_reject_share:g}"
            )


def cost_per_million(price_per_worker_hour: float, num_workers: int, prompts_per_second: float) -> float:
    """What a million prompts cost, in the currency of the price; 0 as long as that is not known."""
    return price_per_worker_hour * num_workers / 3600 / prompts_per_second * 1e6 if prompts_per_second else 0.0
