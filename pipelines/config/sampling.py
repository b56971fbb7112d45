"""The pool that samples and how it decodes: the section `generate.sampling` of a recipe."""

from dataclasses import dataclass, field
from typing import Literal

from ganrnn.config import above_to, at_least, within
from ganrnn.decoding.rules import Decoding
from ganrnn.errors import BadInput
from pipelines.config.uri_fields import uri_field

LEAST_MICRO_BATCH = 8  # of pictures


@dataclass(frozen=True)
class SamplingConfig:
    """A model's workers: actors of Ray Data, each with a micro-batch of fixed shape.

    Matrix kernels treat the rows that fill no whole tile differently in the last bit. For images `micro_batch_size` is
    a multiple of 8, so that there are none, and a row's sample does not depend on its place in the batch.
    """

    num_workers: int = 2  #: Largest number of workers (actors of Ray Data), each with a copy of the model.
    min_workers: int = 0  #: Number of workers that the pool starts with, up to num_workers; 0 starts all.
    cpus_per_worker: float = 1  #: CPUs that Ray reserves for a worker.
    gpus_per_worker: float = 0  #: GPUs of a worker, which may be a fraction.
    precision: Literal["float32", "bfloat16"] = "float32"  #: Number format of the networks; bfloat16 is faster on GPUs.
    micro_batch_size: int = 64  #: Rows that the networks sample at a time; of images a multiple of 8.
    shard_rows: int = 512  #: Number of prompts whose samples share a Parquet file.
    #: Factor on the noise of images: a smaller one gives more typical images, and fewer different ones.
    truncation: float = 1.0
    #: Price of a worker for an hour in any currency, for the cost of a million prompts; 0 shows none.
    price_per_worker_hour: float = 0
    #: How texts are decoded, where a prompt has no column of the same name.
    decoding: Decoding = field(default_factory=Decoding)
    #: Text file with the content of decoding.rhymes, a set of characters per line.
    rhymes_uri: str | None = uri_field(None)

    def __post_init__(self) -> None:
        at_least("generate.sampling", self, num_workers=1, micro_batch_size=1, shard_rows=1)
        at_least("generate.sampling", self, cpus_per_worker=0, gpus_per_worker=0, price_per_worker_hour=0)
        within("generate.sampling", self, min_workers=(0, "num_workers"))
        above_to("generate.sampling", self, truncation=(0, 1))
        if self.rhymes_uri and self.decoding.rhymes:
            raise BadInput(
                "generate.sampling.rhymes_uri and generate.sampling.decoding.rhymes are both given: one is enough"
            )
