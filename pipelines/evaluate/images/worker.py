"""One pass over pictures: features, posteriors, retrieval and attributes of fixed blocks, which `SetScores` adds up.

A block is a row group of a Parquet file or a shard of prompts. What is said of it depends on the block alone, so that
any number of workers gives the same scores, to the byte.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ganrnn import checkpoint, cpu
from ganrnn.data import images as pictures
from ganrnn.data.built_in import KINDS
from ganrnn.errors import BadInput
from ganrnn.metrics.extractors import indomain
from ganrnn.metrics.extractors.load import Extractor, load_extractor
from ganrnn.metrics.images.edits import edited, kept_pixels
from ganrnn.metrics.images.inception_score import InceptionSums
from ganrnn.metrics.images.r_precision import candidate_indices, is_retrieved, is_retrieved_among_captions
from ganrnn.metrics.images.seam import Seam
from ganrnn.text.captions import meaning_key
from pipelines import storage
from pipelines.cluster.errors import answered
from pipelines.config import SamplingConfig
from pipelines.config.evaluate import ExtractorConfig
from pipelines.evaluate.images.blocks import Block, Scored, attributes_of, decode_images, groups_of, source_images
from pipelines.evaluate.images.collector import NUM_EXTREMES
from pipelines.evaluate.images.protocol import Protocol
from pipelines.evaluate.images.set_statistics import IN_DOMAIN, counted
from pipelines.formats import prompts
from pipelines.sampling.judge import Chooser
from pipelines.sampling.sampler import ModelSampler
from pipelines.sampling.samples import draw


class BlockScorer:
    """An actor that scores whole blocks with its networks; prompts are sampled first, nothing is stored."""

    def __init__(
        self,
        blocks: Sequence[Block],
        network: bytes,
        network_digest: str,
        extractor: ExtractorConfig,
        protocol: Protocol,
        model_files: Mapping[str, bytes] | None,
        sampling: SamplingConfig,
        chooser: Chooser | None,
        judge_files: Mapping[str, bytes] | None,
        run_seed: int,
        features_uri: str,
    ) -> None:
        self.reader = prompts.ShardReader()
        self.sampler = ModelSampler(model_files, sampling, chooser) if model_files else None
        cpu.prepare(num_threads=1)
        self.network = indomain.unpack(network, network_digest)
        self.extractor = load(extractor)
        self.device = "cuda" if sampling.gpus_per_worker else "cpu"
        if self.extractor:
            self.extractor.to(self.device)
        self.judge = checkpoint.load_sampler(judge_files) if judge_files else None
        self.blocks, self.protocol, self.run_seed, self.features_uri = blocks, protocol, run_seed, features_uri
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
        return self._rows(ids, texts, table, decode_images(block.uri, ids, pngs), pngs)

    def _sampled(self, block: Block) -> "Scored":
        assert block.shard and self.sampler
        drawn = draw(self.sampler, self.reader.read(block.shard), self.run_seed)
        arrays = [torch.from_numpy(array).permute(2, 0, 1) for array in drawn.outputs]
        images = torch.stack(arrays) if arrays else torch.empty(0)
        pngs = [pictures.encode_png(array) for array in drawn.outputs]
        return self._rows(drawn.sample_ids, drawn.prompts.to_pylist(), drawn.table, images, pngs)

    def _rows(
        self, ids: list[str], texts: list[str], table: pa.Table, images: torch.Tensor, pngs: list[bytes]
    ) -> "Scored":
        attributes = attributes_of(table)
        groups = groups_of(self.protocol.group_by, texts, attributes, table)
        return Scored(ids, texts, attributes, groups, images, pngs, source_images(table, images))

    @torch.no_grad()
    def _score(self, block: Block, found: "Scored") -> dict[str, Any]:
        made = self._features(block, found)
        features = torch.from_numpy(made[IN_DOMAIN][0])
        nothing: dict[str, Any] = {"counts": "{}", "group_of": [], "group_counts": "{}", "seam": [0, 0.0, 0.0, 0.0]}
        partial = {"ids": found.ids, "features": self._packed(made, found.ids), **nothing, "shown": []}
        if block.set_name == "training":  # of which nothing but features is asked
            return partial
        rights: list[dict[str, bool]] = [{} for _ in found.ids]
        scores = self._retrieve(block, found, features, rights)
        counts: dict[str, list[int]] = {}
        correct: list[dict[str, bool]] = []
        if self.protocol.built_in:
            read = KINDS[self.protocol.built_in].read
            seen = read(found.images)
            correct = [{n: s.get(n) == v for n, v in a.items()} for s, a in zip(seen, found.attributes, strict=True)]
            for row, shows in zip(rights, correct, strict=True):
                row.update({f"attribute/{name}": is_right for name, is_right in shows.items()})
            if found.sources is not None:
                counts |= edited(read(found.sources), found.attributes, seen)
        if found.sources is not None:
            counts["pixels_kept"] = kept_pixels(found.sources, found.images)
        if self.protocol.has_seam:
            partial["seam"] = list(astuple(Seam.of(found.images)))
        names = sorted({*found.groups} - {""})
        members = {name: [r for r, group in zip(rights, found.groups, strict=True) if group == name] for name in names}
        return partial | {
            "counts": json.dumps(counts | counted(rights)),
            "group_of": found.groups,
            "group_counts": json.dumps({name: counted(rows) for name, rows in members.items()}),
            "shown": _shown(block, found, scores, correct),
        }

    def _features(self, block: Block, found: "Scored") -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
        """Features float32 [N, D] and probabilities [N, K] of the classes, where there are any, by extractor."""
        features = indomain.extract(self.network, found.images)
        posterior = self.network.posterior(torch.from_numpy(features), self.classes).numpy()
        made: dict[str, tuple[np.ndarray, np.ndarray | None]] = {IN_DOMAIN: (features, posterior)}
        if self.extractor:
            made[self.extractor.name] = self.extractor(found.images.to(self.device))
        for name, (values, _) in made.items():
            finite = np.isfinite(values).all(axis=1)
            if not finite.all():
                raise BadInput(
                    f"{name}: features of picture {found.ids[int(np.argmin(finite))]!r} are NaN or infinite; "
                    "the extractor's weights cannot be used on such pictures"
                )
        if self.features_uri:
            columns = {name: pa.FixedSizeListArray.from_arrays(v.ravel(), v.shape[1]) for name, (v, _) in made.items()}
            table = pa.table({"id": found.ids, "text": found.texts, **columns})
            storage.commit_table(storage.join(self.features_uri, f"{block.name.replace('/', '-')}.parquet"), table)
        return made

    def _packed(
        self, made: Mapping[str, tuple[np.ndarray, np.ndarray | None]], ids: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Features as bytes: of fewer rows than columns they are smaller than their moments."""
        packed = []
        for name, (values, posterior) in made.items():
            sums = posterior if posterior is None else self._sums(posterior, ids)
            packed.append({"extractor": name, "values": values.tobytes(), "classes": sums})
        return packed

    def _sums(self, posterior: np.ndarray, ids: Sequence[str]) -> bytes:
        return InceptionSums.from_probabilities(posterior, ids, self.protocol.num_splits).to_bytes()

    def _retrieve(
        self, block: Block, found: "Scored", features: torch.Tensor, rights: Sequence[dict[str, bool]]
    ) -> np.ndarray:
        """Match scores [N], NaN where no caption is known; into `rights` goes who found their own caption."""
        embeddings = self.network.image_embedding(features)
        keys = [str(meaning_key(t, a)) for t, a in zip(found.texts, found.attributes, strict=True)]
        known = [row for row, key in enumerate(keys) if key in self.position]
        true = np.array([self.position[keys[row]] for row in known], np.int64)
        scores = np.full(len(found.ids), np.nan)
        scores[known] = (embeddings[known] * self.captions[true]).sum(1).numpy()
        held = self.protocol
        ids = [found.ids[row] for row in known]
        candidates = candidate_indices(held.caption_keys, ids, true, held.num_candidates, held.seed)
        hits = is_retrieved_among_captions(embeddings[known].numpy(), self.captions.numpy(), candidates)
        for row, hit in zip(known, hits, strict=True):
            rights[row]["retrieved"] = bool(hit)
        if self.judge and known and block.set_name != "reference":
            ranked = self.judge.rank(found.images[known], held.caption_texts, torch.from_numpy(candidates)).numpy()
            for row, hit in zip(known, is_retrieved(ranked[:, 0], ranked[:, 1:]), strict=True):
                rights[row]["retrieved_by_judge"] = bool(hit)
        return scores


def load(config: ExtractorConfig) -> Extractor | None:
    """The network of `evaluate.extractor`, checked; None where there is none."""
    if not (uri := config.weights_uri):
        return None
    return load_extractor(storage.read_bytes(uri) if storage.exists(uri) else None, uri, config.sha256)


def _shown(
    block: Block, found: Scored, scores: np.ndarray, correct: Sequence[Mapping[str, bool]]
) -> list[dict[str, Any]]:
    """Pictures for the report: the first of a set, and the best and worst of each block by match score."""
    if block.set_name == "reference":
        return []
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
