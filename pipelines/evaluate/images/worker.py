"""One pass over images: features, posteriors, retrieval and attributes of fixed blocks; `SetStatistics` merges them.

A block is a row group of a Parquet file or a shard of prompts. Its result depends on the block alone, so that any
number of workers gives the same scores, to the byte.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch

from ganrnn import checkpoint, cpu
from ganrnn.data import images as pictures
from ganrnn.data.built_in import KINDS
from ganrnn.data.scenes import Kind
from ganrnn.errors import BadInput
from ganrnn.metrics.extractors import indomain
from ganrnn.metrics.extractors.load import Extractor, load_extractor
from ganrnn.metrics.images.conditional_diversity import ConditionSubset, pixel_features
from ganrnn.metrics.images.edits import edit_counts, kept_pixels
from ganrnn.metrics.images.inception_score import InceptionSums
from ganrnn.metrics.images.r_precision import candidate_indices, is_retrieved, is_retrieved_among_captions
from ganrnn.metrics.images.seam import Seam
from pipelines import storage
from pipelines.config.evaluate import ExtractorConfig
from pipelines.config.sampling import SamplingConfig
from pipelines.evaluate.images.block_result import BlockResult, Counts, ExtractedFeatures, ReportPictures
from pipelines.evaluate.images.blocks import (
    Block,
    BlockRows,
    Condition,
    attributes_of,
    captions_of,
    conditions_of,
    decode_images,
    groups_of,
    source_images,
)
from pipelines.evaluate.images.collector import NUM_EXTREMES
from pipelines.evaluate.images.meaning import is_told_by_attributes, meanings
from pipelines.evaluate.images.protocol import Protocol
from pipelines.evaluate.images.set_statistics import FACTORS, IN_DOMAIN, counted
from pipelines.formats import prompts
from pipelines.report.page import ReportPicture
from pipelines.sampling.judge import Chooser
from pipelines.sampling.sampler import ModelSampler
from pipelines.sampling.samples import draw

PIXELS = "pixels"
CONDITION_LIMITS = (128, 32)  # conditions, and pictures of each
NUM_FIRST = 64  # images of a set that the page shows


class BlockScorer:
    """An actor that scores whole blocks with its networks; prompts are sampled first, nothing is stored."""

    def __init__(
        self,
        network: bytes,
        network_digest: str,
        extractor: ExtractorConfig,
        protocol: Protocol,
        condition: Condition,
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
        self.protocol, self.run_seed, self.features_uri = protocol, run_seed, features_uri
        self.condition = condition
        self.by_attributes = is_told_by_attributes(protocol.built_in, protocol.captions, condition)
        self.position = {key: i for i, key in enumerate(protocol.caption_keys)}
        with torch.no_grad():
            self.captions = self.network.text_embedding(protocol.caption_texts)
            self.classes = self.network.text_embedding(protocol.posterior_texts)

    def __call__(self, block: Block) -> BlockResult:
        rows = self._sampled(block) if block.shard else self._stored(block)
        return self._score(block, rows) if rows.ids else BlockResult(block.set_name, block.index, [])

    def _stored(self, block: Block) -> BlockRows:
        table = storage.RowGroups(block.uri).read(block.row_group)
        is_samples = "sample_id" in table.column_names
        pngs = [image["bytes"] for image in table.column("image").to_pylist()]
        ids = table.column("sample_id" if is_samples else "id").to_pylist()
        name = "prompt" if is_samples else "text"
        texts = table.column(name).to_pylist() if name in table.column_names else [None] * len(ids)
        return self._rows(ids, texts, table, decode_images(block.uri, ids, pngs), pngs)

    def _sampled(self, block: Block) -> BlockRows:
        assert block.shard and self.sampler
        drawn = draw(self.sampler, self.reader.read(block.shard), self.run_seed)
        arrays = [torch.from_numpy(array).permute(2, 0, 1) for array in drawn.outputs]
        images = torch.stack(arrays) if arrays else torch.empty(0)
        pngs = [pictures.encode_png(array) for array in drawn.outputs]
        return self._rows(drawn.sample_ids, drawn.prompts.to_pylist(), drawn.table, images, pngs)

    def _rows(
        self,
        ids: list[str],
        texts: list[str | None],
        table: pa.Table,
        images: torch.Tensor,
        pngs: list[bytes],
    ) -> BlockRows:
        attributes = attributes_of(table)
        captions = captions_of(texts, attributes, table)
        groups = groups_of(self.protocol.group_by, captions, attributes, table)
        conditions = conditions_of(self.condition, self.by_attributes, captions, attributes, table)
        return BlockRows(ids, captions, attributes, groups, conditions, images, pngs, source_images(table, images))

    @torch.no_grad()
    def _score(self, block: Block, rows: BlockRows) -> BlockResult:
        features = self._features(block, rows)
        if block.set_name == "training":  # only its features are needed
            return BlockResult(block.set_name, block.index, rows.ids, features)
        answers: list[dict[str, bool]] = [{} for _ in rows.ids]
        scores = self._retrieve(block, rows, torch.from_numpy(features[IN_DOMAIN].values), answers)
        counts: Counts = {}
        correct: list[dict[str, bool]] = []
        if self.protocol.built_in:
            read = KINDS[self.protocol.built_in].read
            seen = read(rows.images)
            correct = [
                {name: shows.get(name) == value for name, value in attributes.items()}
                for shows, attributes in zip(seen, rows.attributes, strict=True)
            ]
            for answer, shows in zip(answers, correct, strict=True):
                answer.update({f"attribute/{name}": is_right for name, is_right in shows.items()})
            if rows.sources is not None:
                counts |= edit_counts(read(rows.sources), rows.attributes, seen)
        if rows.sources is not None:
            counts["pixels_kept"] = kept_pixels(rows.sources, rows.images)
        groups = sorted({*rows.groups} - {""})
        return BlockResult(
            set_name=block.set_name,
            index=block.index,
            ids=rows.ids,
            features=features,
            conditions=_conditions(rows, features, self.protocol.built_in),
            counts=counts | counted(answers),
            groups=rows.groups,
            group_counts={
                name: counted([answer for answer, group in zip(answers, rows.groups, strict=True) if group == name])
                for name in groups
            },
            seam=Seam.of(rows.images) if self.protocol.has_seam else Seam(),
            pictures=_pictures(block, rows, scores, correct),
        )

    def _features(self, block: Block, rows: BlockRows) -> dict[str, ExtractedFeatures]:
        """Features by extractor, also written to `features_uri` if it is set."""
        values = indomain.extract(self.network, rows.images)
        posterior = self.network.posterior(torch.from_numpy(values), self.classes).numpy()
        features = {IN_DOMAIN: ExtractedFeatures(values, self._class_sums(posterior, rows.ids))}
        if self.extractor:
            values, probabilities = self.extractor(rows.images.to(self.device))
            sums = None if probabilities is None else self._class_sums(probabilities, rows.ids)
            features[self.extractor.name] = ExtractedFeatures(values, sums)
        for name, extracted in features.items():
            is_finite = np.isfinite(extracted.values).all(axis=1)
            if not is_finite.all():
                raise BadInput(
                    f"{name}: features of picture {rows.ids[int(np.argmin(is_finite))]!r} are NaN or infinite; "
                    "the extractor's weights cannot be used on such pictures"
                )
        if self.features_uri:
            columns = {
                name: pa.FixedSizeListArray.from_arrays(extracted.values.ravel(), extracted.values.shape[1])
                for name, extracted in features.items()
            }
            table = pa.table({"id": rows.ids, "text": rows.texts, **columns})
            storage.commit_table(storage.join(self.features_uri, f"{block.set_name}-{block.index:08d}.parquet"), table)
        return features

    def _class_sums(self, probabilities: np.ndarray, ids: Sequence[str]) -> InceptionSums:
        return InceptionSums.from_probabilities(probabilities, ids, self.protocol.num_splits)

    def _retrieve(
        self, block: Block, rows: BlockRows, features: torch.Tensor, answers: Sequence[dict[str, bool]]
    ) -> np.ndarray:
        """Match scores [N], NaN for prompts that are no caption; adds to `answers` which images retrieve theirs."""
        embeddings = self.network.image_embedding(features)
        keys = list(map(str, meanings(rows.texts, rows.attributes, self.by_attributes)))
        known = [row for row, key in enumerate(keys) if key in self.position]
        true = np.array([self.position[keys[row]] for row in known], np.int64)
        scores = np.full(len(rows.ids), np.nan)
        scores[known] = (embeddings[known] * self.captions[true]).sum(1).numpy()
        protocol = self.protocol
        if not protocol.num_candidates:
            return scores
        ids = [rows.ids[row] for row in known]
        candidates = candidate_indices(protocol.caption_keys, ids, true, protocol.num_candidates, protocol.seed)
        hits = is_retrieved_among_captions(embeddings[known].numpy(), self.captions.numpy(), candidates)
        for row, hit in zip(known, hits, strict=True):
            answers[row]["retrieved"] = bool(hit)
        if self.judge and known and block.set_name != "reference":
            ranked = self.judge.rank(rows.images[known], protocol.caption_texts, torch.from_numpy(candidates)).numpy()
            for row, hit in zip(known, is_retrieved(ranked[:, 0], ranked[:, 1:]), strict=True):
                answers[row]["retrieved_by_judge"] = bool(hit)
        return scores


def _conditions(
    rows: BlockRows, features: Mapping[str, ExtractedFeatures], built_in: Kind | None
) -> dict[str, ConditionSubset]:
    """Pixels, features and, of built-in scenes, factors by condition; nothing where no row has one."""
    known = [row for row, condition in enumerate(rows.conditions) if condition]
    if not known:
        return {}
    conditions, ids = ([names[row] for row in known] for names in (rows.conditions, rows.ids))
    compared = {PIXELS: pixel_features(rows.images[known])}
    if built_in and (factors := KINDS[built_in].factors):
        compared[FACTORS] = factors(rows.images[known])
    compared |= {name: extracted.values[known] for name, extracted in features.items()}
    return {
        name: ConditionSubset.from_features(values, conditions, ids, CONDITION_LIMITS)
        for name, values in compared.items()
    }


def load(config: ExtractorConfig) -> Extractor | None:
    """The network of `evaluate.extractor`, checked; None if none is set."""
    if not (uri := config.weights_uri):
        return None
    return load_extractor(storage.read_bytes(uri) if storage.exists(uri) else None, uri, config.sha256)


def _pictures(
    block: Block, rows: BlockRows, scores: np.ndarray, correct: Sequence[Mapping[str, bool]]
) -> ReportPictures:
    """Images for the report: the first of a set, and the best and worst of each block by match score."""

    def pictures(chosen: Sequence[int]) -> list[ReportPicture]:
        return [
            ReportPicture(
                sample_id=rows.ids[row],
                prompt=rows.texts[row],
                png=_with_source(rows, row),
                match_score=float(scores[row]),
                correct=dict(correct[row]) if correct else None,
            )
            for row in chosen
        ]

    if block.set_name == "reference":
        return ReportPictures()
    first = pictures(range(min(NUM_FIRST, len(rows.ids)))) if block.index == 0 else []
    if block.set_name != "samples":
        return ReportPictures(first)
    ranked = [int(row) for row in np.argsort(-scores, kind="stable") if np.isfinite(scores[row])]
    return ReportPictures(first, pictures(ranked[:NUM_EXTREMES]), pictures(ranked[-NUM_EXTREMES:]))


def _with_source(rows: BlockRows, row: int) -> bytes:
    """The image of a row for the page, next to its source image if it has one."""
    if rows.sources is None:
        return rows.pngs[row]
    pair = torch.cat([rows.sources[row], rows.images[row]], dim=2)
    return pictures.encode_png(pair.permute(1, 2, 0).numpy())
