"""One pass over pictures: features, posteriors, retrieval and attributes of fixed blocks, as partials that merge.

A block is a row group of a Parquet file or a shard of prompts. Its partial depends on the block alone, so that any
number of workers gives the same scores, to the byte.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ganrnn import checkpoint, cpu, scenes
from ganrnn import images as pictures
from ganrnn.built_in import KINDS
from ganrnn.metrics import indomain
from ganrnn.metrics.edits import edited, kept_pixels
from ganrnn.metrics.inception_score import InceptionSums
from ganrnn.metrics.kid import FeatureSubset
from ganrnn.metrics.moments import Moments
from ganrnn.metrics.retrieval import candidate_indices, is_retrieved, is_retrieved_among_captions
from ganrnn.metrics.seam import Seam
from ganrnn.text import meaning_key
from pipelines import prompts, storage
from pipelines.chooser import Chooser
from pipelines.config import SamplingConfig
from pipelines.refusals import answered
from pipelines.sampling import ModelSampler, draw

NUM_EXTREMES = 8


@dataclass(frozen=True)
class Block:
    """What one call scores. `set_name` says to which set it belongs: reference, real, training or samples."""

    set_name: str
    index: int
    num_rows: int
    uri: str = ""
    row_group: int = 0
    shard: prompts.Shard | None = None

    @property
    def name(self) -> str:
        """Sorts as the blocks of a set stand."""
        return f"{self.set_name}/{self.index:08d}"


def blocks_of_files(set_name: str, uris: Sequence[str]) -> list[Block]:
    """A block for each row group."""
    groups = [
        (uri, group, file.metadata.row_group(group).num_rows)
        for uri in uris
        for file in [storage.open_parquet(uri)]
        for group in range(file.num_row_groups)
    ]
    return [Block(set_name, index, rows, uri, group) for index, (uri, group, rows) in enumerate(groups)]


@dataclass(frozen=True)
class Protocol:
    """What must be equal for two scores to be comparable, beside the pictures."""

    caption_texts: tuple[str, ...]  # one of each distinct meaning
    caption_keys: tuple[str, ...]
    posterior_texts: tuple[str, ...]  # the classes of the Inception Score
    num_candidates: int
    num_splits: int
    num_kid_features: int
    seed: int
    captions: str  # what the network reads of a row: text or attributes
    built_in: scenes.Kind | None  # the kind of scenes, whose attributes can be read back from pictures
    has_seam: bool


class BlockScorer:
    """An actor that scores whole blocks with the in-domain network; prompts are sampled first, nothing is stored."""

    def __init__(
        self,
        blocks: Sequence[Block],
        network: bytes,
        network_digest: str,
        protocol: Protocol,
        model_files: Mapping[str, bytes] | None,
        sampling: SamplingConfig,
        chooser: Chooser | None,
        judge_files: Mapping[str, bytes] | None,
        run_seed: int,
    ) -> None:
        self.reader = prompts.ShardReader()
        self.sampler = ModelSampler(model_files, sampling, chooser) if model_files else None
        cpu.prepare(num_threads=1)
        self.network = indomain.unpack(network, network_digest)
        self.judge = checkpoint.load_sampler(judge_files) if judge_files else None
        self.blocks, self.protocol, self.run_seed = blocks, protocol, run_seed
        self.position = {key: i for i, key in enumerate(protocol.caption_keys)}
        with torch.no_grad():
            self.captions = self.network.text_embedding(protocol.caption_texts)
            self.classes = self.network.text_embedding(protocol.posterior_texts)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return answered(lambda: self._scored(self.blocks[row["index"]]))

    def _scored(self, block: Block) -> dict[str, Any]:
        found = self._sampled(block) if block.shard else self._stored(block)
        if not found.ids:
            return {"block": block.name, "rows": 0, "shown": []}
        return {"block": block.name, "rows": len(found.ids)} | self._score(block, found)

    def _stored(self, block: Block) -> "Scored":
        with storage.reading_parquet(block.uri):
            table = storage.open_parquet(block.uri).read_row_group(block.row_group)
        is_samples = "sample_id" in table.column_names
        pngs = [image["bytes"] for image in table.column("image").to_pylist()]
        ids = table.column("sample_id" if is_samples else "id").to_pylist()
        texts = table.column("prompt" if is_samples else "text").to_pylist()
        images = pictures.to_tensor(pngs) if pngs else torch.empty(0)
        return Scored(ids, texts, _attributes(table), images, pngs, _sources(table, images))

    def _sampled(self, block: Block) -> "Scored":
        assert block.shard and self.sampler
        drawn = draw(self.sampler, self.reader.read(block.shard), self.run_seed)
        arrays = [torch.from_numpy(array).permute(2, 0, 1) for array in drawn.outputs]
        images = torch.stack(arrays) if arrays else torch.empty(0)
        pngs = [pictures.encode_png(array) for array in drawn.outputs]
        sources = _sources(drawn.table, images)
        return Scored(drawn.sample_ids, drawn.prompts.to_pylist(), _attributes(drawn.table), images, pngs, sources)

    @torch.no_grad()
    def _score(self, block: Block, found: "Scored") -> dict[str, Any]:
        ids, images = found.ids, found.images
        features = indomain.extract(self.network, images)
        posterior = self.network.posterior(torch.from_numpy(features), self.classes).numpy()
        partial: dict[str, Any] = {
            "moments": Moments.from_features(features).to_bytes(),
            "inception": InceptionSums.from_probabilities(posterior, ids, self.protocol.num_splits).to_bytes(),
            "subset": FeatureSubset.from_features(features, ids, self.protocol.num_kid_features).to_bytes(),
        }
        if block.set_name == "training":  # of which nothing but features is asked
            return {**partial, "counts": "{}", "shown": []}
        embeddings = self.network.image_embedding(torch.from_numpy(features))
        keys = [str(meaning_key(t, a)) for t, a in zip(found.texts, found.attributes, strict=True)]
        known = [row for row, key in enumerate(keys) if key in self.position]
        true = np.array([self.position[keys[row]] for row in known], np.int64)
        scores = np.full(len(ids), np.nan)
        scores[known] = (embeddings[known] * self.captions[true]).sum(1).numpy()
        held = self.protocol
        candidates = candidate_indices(
            held.caption_keys, [ids[row] for row in known], true, held.num_candidates, held.seed
        )
        hits = is_retrieved_among_captions(embeddings[known].numpy(), self.captions.numpy(), candidates)
        counts = {"retrieved": [int(hits.sum()), len(known)]}
        if self.judge and known and block.set_name != "reference":
            ranked = self.judge.rank(images[known], held.caption_texts, torch.from_numpy(candidates)).numpy()
            counts["retrieved_by_judge"] = [int(is_retrieved(ranked[:, 0], ranked[:, 1:]).sum()), len(known)]
        correct: list[dict[str, bool]] = []
        if self.protocol.built_in:
            read = KINDS[self.protocol.built_in].read
            seen = read(images)
            correct = [{n: s.get(n) == v for n, v in a.items()} for s, a in zip(seen, found.attributes, strict=True)]
            counts |= _count(correct)
            if found.sources is not None:
                counts |= edited(read(found.sources), found.attributes, seen)
        if found.sources is not None:
            counts["pixels_kept"] = kept_pixels(found.sources, images)
        if self.protocol.has_seam:
            partial["seam"] = astuple(Seam.of(images))
        shown = _shown(block, found, scores, correct)
        return {**partial, "counts": json.dumps(counts), "shown": shown}


@dataclass(frozen=True)
class Scored:
    """The rows of a block: images and, where they were made from others, sources uint8 [N, 3, H, W]; pngs encoded."""

    ids: list[str]
    texts: list[str]
    attributes: list[dict[str, str]]
    images: torch.Tensor
    pngs: list[bytes]
    sources: torch.Tensor | None


def _sources(table: pa.Table, images: torch.Tensor) -> torch.Tensor | None:
    """The pictures that some were made from, at their size; None unless all of them have one."""
    if "source_image" not in table.column_names or table.column("source_image").null_count or not len(images):
        return None
    height, width = images.shape[2:]
    return pictures.to_tensor([image["bytes"] for image in table.column("source_image").to_pylist()], (height, width))


def _attributes(table: pa.Table) -> list[dict[str, str]]:
    if "attributes" not in table.column_names:
        return [{}] * table.num_rows
    return [dict(pairs or []) for pairs in table.column("attributes").to_pylist()]


def _count(correct: Sequence[Mapping[str, bool]]) -> dict[str, list[int]]:
    """Per attribute name: how often right, how often asked for."""
    counts: dict[str, list[int]] = {}
    for row in correct:
        for name, is_right in row.items():
            held = counts.setdefault(f"attribute/{name}", [0, 0])
            held[0] += is_right
            held[1] += 1
    return counts


def _shown(
    block: Block, found: Scored, scores: np.ndarray, correct: Sequence[Mapping[str, bool]]
) -> list[dict[str, Any]]:
    """Pictures for the report: the first of a set, and the best and worst of each block by match score."""
    first = list(range(min(64, len(found.ids)))) if block.index == 0 else []
    ranked = [int(row) for row in np.argsort(-scores, kind="stable") if np.isfinite(scores[row])]
    chosen = {
        "first": first,
        "best": ranked[:NUM_EXTREMES] if block.set_name == "samples" else [],
        "worst": ranked[-NUM_EXTREMES:] if block.set_name == "samples" else [],
    }
    return [
        {
            "kind": kind,
            "sample_id": found.ids[row],
            "prompt": found.texts[row],
            "png": _before_and_after(found, row),
            "match_score": float(scores[row]),
            "correct": json.dumps(correct[row]) if correct else None,
        }
        for kind, rows in chosen.items()
        for row in rows
    ]


def _before_and_after(found: Scored, row: int) -> bytes:
    """A picture as it is looked at: right of its source, where it has one."""
    if found.sources is None:
        return found.pngs[row]
    pair = torch.cat([found.sources[row], found.images[row]], dim=2)
    return pictures.encode_png(pair.permute(1, 2, 0).numpy())
