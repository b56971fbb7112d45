"""The section `sampling` of a recipe."""

from dataclasses import dataclass, field, replace
from typing import Literal

from ganrnn.decoding.poem_constraint import RhymeSets
from ganrnn.decoding.rules import Decoding
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.checks import at_least

LEAST_MICRO_BATCH = 8  # of pictures


@dataclass(frozen=True)
class SamplingConfig:
    """Where a model samples: actors of Ray Data, each with a fixed-shape micro-batch.

    The pool starts with `min_workers` (0: all) and grows to `num_workers` as the cluster has room and there is work.
    `gpus_per_worker` may be a fraction. `price_per_worker_hour`, in any currency, turns rows/s into a cost.

    Matrix kernels treat the rows that fill no whole tile differently in the last bit; for pictures `micro_batch_size`
    is a multiple of 8, so that there are none, and a row's sample does not depend on its place in the batch.
    `decoding` is how texts are written, where a prompt has no column of the same name that says otherwise. Its
    `rhymes` may stand in a text file, `rhymes_uri`, a set of characters a line.
    """

    num_workers: int = 2
    min_workers: int = 0
    cpus_per_worker: float = 1
    gpus_per_worker: float = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    micro_batch_size: int = 64
    shard_rows: int = 512
    price_per_worker_hour: float = 0
    decoding: Decoding = field(default_factory=Decoding)
    rhymes_uri: str | None = None

    def __post_init__(self) -> None:
        at_least("sampling", self, num_workers=1, min_workers=0, micro_batch_size=1, shard_rows=1)
        at_least("sampling", self, gpus_per_worker=0, price_per_worker_hour=0)
        if self.min_workers > self.num_workers:
            raise BadInput(
                f"sampling.min_workers is {self.min_workers}; allowed are values up to sampling.num_workers "
                f"({self.num_workers})"
            )
        if self.rhymes_uri and self.decoding.rhymes:
            raise BadInput("sampling.rhymes_uri and sampling.decoding.rhymes are both given; one of them is enough")

    def with_rhymes(self) -> "SamplingConfig":
        """A copy that has the content of `rhymes_uri` in its place."""
        if not self.rhymes_uri:
            return self
        try:
            lines = storage.read_bytes(storage.absolute(self.rhymes_uri)).decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise BadInput(f"sampling.rhymes_uri {self.rhymes_uri} is not UTF-8 ({error})") from error
        RhymeSets.read("\n".join(lines))
        return replace(self, decoding=replace(self.decoding, rhymes=tuple(lines)), rhymes_uri=None)
