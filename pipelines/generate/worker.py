"""The actor of generation: reads the prompts of a shard, samples them, commits the file, and goes on with the next."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from pipelines import storage
from pipelines.formats.prompts import ShardReader
from pipelines.generate.plan import ShardRange, Work
from pipelines.generate.receipts import Receipt, commit, receipt_or_problem
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

        A file in the place of a shard is kept if its bytes are those that its writer stated, else replaced. `skipped`
        holds prompts to leave out, with the reason.
        """
        output = self.outputs[shards.output]
        receipts: list[Future[Receipt]] = []
        for index in range(shards.start, shards.stop):
            uri = output.shard_uri(index)
            present = receipt_or_problem(uri) if storage.exists(uri) else ""
            if isinstance(present, Receipt):
                receipts.append(_done(present))
                continue
            rows = self.reader.read(output.prompt_set.shard(index))
            samples = draw(self.sampler, rows, output.seed, skipped)
            if receipts:
                receipts[-1].result()  # no more than one file waits
            if self.sampler.device == "cpu":  # encoding during the next shard would take a second CPU
                receipts.append(self.uploads.submit(commit, uri, samples_table(self.sampler, samples), present))
            else:
                receipts.append(self.uploads.submit(self._encode_and_commit, uri, samples, present))
        return [receipt.result() for receipt in receipts]

    def _encode_and_commit(self, uri: str, samples: Samples, replaced: str) -> Receipt:
        return commit(uri, samples_table(self.sampler, samples), replaced)


def _done(receipt: Receipt) -> Future[Receipt]:
    future: Future[Receipt] = Future()
    future.set_result(receipt)
    return future
