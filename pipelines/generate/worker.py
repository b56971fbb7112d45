"""The actor of generation: reads the prompts of a shard, samples them, commits the file, and goes on with the next."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from pipelines import storage
from pipelines.formats.prompts import ShardReader
from pipelines.generate.plan import ShardRange, Work
from pipelines.generate.receipts import Receipt, commit, receipt_of
from pipelines.sampling.samples import Samples, draw, samples_table


class ShardWriter:
    """Makes ranges of shards and returns their receipts."""

    def __init__(self, work: Work) -> None:
        self.outputs = work.outputs
        self.sampler = work.sampler()
        self.reader = ShardReader()
        self.uploads = ThreadPoolExecutor(1)

    def __call__(self, shards: ShardRange) -> tuple[ShardRange, list[Receipt]]:
        return shards, self.write(shards)

    def write(self, shards: ShardRange, skipped: Mapping[str, str] | None = None) -> list[Receipt]:
        """Write a range of shards: a file is uploaded, and on a GPU encoded, while the next is sampled.

        A shard that exists is read for its receipt. `skipped` holds prompts to leave out, with the reason.
        """
        output = self.outputs[shards.output]
        receipts: list[Future[Receipt]] = []
        for index in range(shards.start, shards.stop):
            uri = output.shard_uri(index)
            if storage.exists(uri):
                receipts.append(self.uploads.submit(receipt_of, uri))
                continue
            rows = self.reader.read(output.prompt_set.shard(index))
            samples = draw(self.sampler, rows, output.seed, skipped)
            if receipts:
                receipts[-1].result()  # no more than one file waits
            if self.sampler.device == "cpu":  # encoding during the next shard would take a second CPU
                receipts.append(self.uploads.submit(commit, uri, samples_table(self.sampler, samples)))
            else:
                receipts.append(self.uploads.submit(self._encode_and_commit, uri, samples))
        return [receipt.result() for receipt in receipts]

    def _encode_and_commit(self, uri: str, samples: Samples) -> Receipt:
        return commit(uri, samples_table(self.sampler, samples))
