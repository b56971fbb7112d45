"""The actor of generation: reads the prompts of a shard, samples them, commits the file, and goes on with the next."""

import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from pipelines import storage
from pipelines.cluster.errors import answered
from pipelines.formats.prompts import ShardReader
from pipelines.generate.plan import Work
from pipelines.generate.receipts import commit, receipt
from pipelines.sampling.samples import Drawn, draw, samples_table


class ShardWriter:
    """Makes runs of shards: rows {"output", "start", "stop"} to rows {"output", "start", "receipts": JSON}."""

    def __init__(self, work: Work) -> None:
        self.outputs = work.outputs
        self.sampler = work.sampler()
        self.reader = ShardReader()
        self.uploads = ThreadPoolExecutor(1)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return answered(lambda: self.write(row["output"], row["start"], row["stop"]))

    def write(self, output: int, start: int, stop: int, skipped: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Shards [start, stop) of an output: a file is uploaded, and on a GPU encoded, while the next is sampled.

        A shard that is there is read for its receipt. `skipped` holds prompts to leave out, with the reason.
        """
        folder = self.outputs[output]
        receipts: list[Future[dict[str, Any]]] = []
        for index in range(start, stop):
            uri = folder.shard_uri(index)
            if storage.exists(uri):
                receipts.append(self.uploads.submit(receipt, uri))
                continue
            rows = self.reader.read(folder.prompt_set.shard(index))
            drawn = draw(self.sampler, rows, folder.seed, skipped)
            if receipts:
                receipts[-1].result()  # no more than one file waits
            if self.sampler.device == "cpu":  # encoding beside the next shard would take a second CPU
                receipts.append(self.uploads.submit(commit, uri, samples_table(self.sampler, drawn)))
            else:
                receipts.append(self.uploads.submit(self._encode_and_commit, uri, drawn))
        return {"output": output, "start": start, "receipts": json.dumps([made.result() for made in receipts])}

    def _encode_and_commit(self, uri: str, drawn: Drawn) -> dict[str, Any]:
        return commit(uri, samples_table(self.sampler, drawn))
