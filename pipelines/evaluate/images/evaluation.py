"""Images against the reference split: one pass of actors over fixed blocks, whose results merge in a fixed order."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

from tqdm import tqdm

from ganrnn.metrics.extractors.load import Extractor
from pipelines.cluster.runner import Runner, Workers
from pipelines.cluster.session import session
from pipelines.config.evaluate import MOST_CANDIDATES, MOST_SPLITS
from pipelines.config.recipe import Recipe
from pipelines.evaluate.images import indomain_network
from pipelines.evaluate.images.blocks import Block, blocks_of_files, condition_of
from pipelines.evaluate.images.collector import Collector
from pipelines.evaluate.images.metrics import group_scores, scores_of
from pipelines.evaluate.images.nearest_training import nearest_training, training_pictures
from pipelines.evaluate.images.protocol import Protocol, num_splits_of, protocol_digest, protocol_of, real_ids
from pipelines.evaluate.images.reference_cache import SPLITS, ReferenceCache
from pipelines.evaluate.images.separation import does_not_separate
from pipelines.evaluate.images.set_statistics import IN_DOMAIN
from pipelines.evaluate.images.worker import BlockScorer, load
from pipelines.formats.dataset import shard_uris
from pipelines.formats.evaluation_report import EvaluationReport, Facts, Groups, Scored
from pipelines.formats.manifest import Manifest
from pipelines.report import page, plots
from pipelines.report.page import Champion, ReportPicture
from pipelines.sampling.judge import Judge
from pipelines.sampling.sample_source import SampleSource


@dataclass(frozen=True)
class ImageEvaluation:
    """Scores, and what the pages show besides."""

    scored: Scored
    collector: Collector
    training_uris: Sequence[str]

    def pages(
        self,
        report: EvaluationReport,
        curves: Mapping[str, Sequence[tuple[int, float]]],
        training_samples: Mapping[int, bytes],
        champion: Champion | None,
    ) -> dict[str, bytes]:
        """report.html and contact_sheet.png, with curves and samples of the training and the scores of the champion."""
        samples = self.collector.pictures["samples"]
        html = page.render(
            report,
            samples.first,
            self.collector.pictures["real"].first,
            samples.best,
            samples.worst,
            self._nearest_training(),
            plots.draw_training(curves) if curves else b"",
            champion,
            training_samples,
        )
        sheet = page.contact_sheet([picture.png for picture in samples.first], num_columns=8, zoom=3)
        return {"contact_sheet.png": sheet, "report.html": html.encode()}

    def _nearest_training(self) -> list[tuple[ReportPicture, ReportPicture, float]]:
        """Generated images, the nearest training image of each by in-domain features, and their relative distance."""
        shown, sets = self.collector.pictures["samples"], self.collector.sets
        samples, training = (sets[name].features[IN_DOMAIN].subset for name in ("samples", "training"))
        neighbours = nearest_training([*shown.first, *shown.best, *shown.worst], samples, training)
        images = training_pictures(self.training_uris, {neighbour.training_id for neighbour in neighbours})
        return [(neighbour.sample, images[neighbour.training_id], neighbour.ratio) for neighbour in neighbours]


def evaluate_images(recipe: Recipe, manifest: Manifest, source: SampleSource, judge: Judge | None) -> ImageEvaluation:
    """Score samples against the splits of the data set of `manifest`; a judge ranks captions as well."""
    extractor = load(recipe.evaluate.extractor)
    reference, real, training = (
        shard_uris(recipe.ingest.dataset_uri, manifest, split) for split in ("val", "test", "train")
    )
    protocol = protocol_of(recipe, manifest, reference, real, extractor)
    num_splits = num_splits_of(recipe.evaluate.num_splits, [source.sample_ids, partial(real_ids, real)])
    protocol = replace(protocol, num_splits=num_splits)
    _say_what_follows_the_data(recipe, protocol)
    with session() as runner:
        runner.require("evaluate", Workers(recipe.evaluate.num_workers))
        network, digest = indomain_network.ensure(runner, recipe, manifest)
        judge_digest = judge.digest if judge else None
        cache = ReferenceCache(recipe, manifest, digest, protocol, judge_digest)
        collector = Collector(["samples", *([] if cache.is_known else SPLITS)], recipe.evaluate.num_kid_features)
        score_blocks(
            runner,
            recipe,
            [*sample_blocks(source), *cache.missing],
            network,
            digest,
            protocol,
            source,
            judge,
            collector,
        )
    collector.finish()
    cache.complete(collector)
    scored = _scored(recipe, manifest, source, judge_digest, collector, digest, protocol, extractor)
    return ImageEvaluation(scored, collector, training)


def _say_what_follows_the_data(recipe: Recipe, protocol: Protocol) -> None:
    """Print settings that are smaller than usual because the data set is small; the protocol holds them."""
    for name, usual in (("num_candidates", MOST_CANDIDATES), ("num_splits", MOST_SPLITS)):
        value = getattr(protocol, name)
        if getattr(recipe.evaluate, name) is None and value < usual:
            print(f"evaluate.{name} is {value}, not {usual}: the data set has no more")


def sample_blocks(source: SampleSource) -> list[Block]:
    """A block for each row group of stored samples, or for each shard of prompts."""
    if source.prompt_set is None:
        return blocks_of_files("samples", source.stored_uris)
    shards = [source.prompt_set.shard(index) for index in range(source.prompt_set.num_shards)]
    return [Block("samples", shard.index, shard.num_rows, shard=shard) for shard in shards]


def score_blocks(
    runner: Runner,
    recipe: Recipe,
    blocks: Sequence[Block],
    network: bytes,
    network_digest: str,
    protocol: Protocol,
    source: SampleSource,
    judge: Judge | None,
    collector: Collector,
) -> None:
    """The one pass: the result of each block goes to `collector` as it comes."""
    sampling, config = recipe.generate.sampling, recipe.evaluate
    assert recipe.generate.seed is not None  # a resolved recipe has one
    make = partial(
        BlockScorer,
        network=network,
        network_digest=network_digest,
        extractor=config.extractor,
        protocol=protocol,
        condition=condition_of(recipe.task),
        model_files=source.model_files,
        sampling=sampling,
        chooser=source.chooser,
        judge_files=judge.files if judge else None,
        run_seed=recipe.generate.seed,
        features_uri=config.features_uri,
    )
    workers = Workers(config.num_workers)
    if source.model_files or config.extractor.weights_uri:
        workers = Workers(config.num_workers, sampling.cpus_per_worker, sampling.gpus_per_worker)
    sizes = {(block.set_name, block.index): block.num_rows for block in blocks}
    with tqdm(total=sum(sizes.values()), desc="evaluate", unit="row") as bar:
        for result in runner.map(make, blocks, workers):
            collector.add(result)
            bar.update(sizes[result.set_name, result.index])


def _scored(
    recipe: Recipe,
    manifest: Manifest,
    source: SampleSource,
    judge_digest: str | None,
    collector: Collector,
    network_digest: str,
    protocol: Protocol,
    extractor: Extractor | None,
) -> Scored:
    sets = collector.sets
    scores, floors = (scores_of(sets[name], sets, protocol) for name in ("samples", "real"))
    accuracy = floors.metrics.get(f"r_precision_{protocol.num_candidates}")
    if not protocol.num_candidates:
        scores.marks[f"r_precision_{recipe.evaluate.num_candidates or MOST_CANDIDATES}"] = (
            "left out: evaluate.num_candidates is 2 at least, and the test split has "
            f"{len(protocol.caption_keys)} distinct caption"
        )
    counts = {name: sets[name].num_pictures for name in (*SPLITS, "samples")}
    judge = {"judge_digest": judge_digest} if judge_digest else {}
    in_domain: Facts = {
        "name": IN_DOMAIN,
        "digest": network_digest,
        **({"retrieval_accuracy": accuracy} if accuracy is not None else {}),
        "image_size": [manifest.counts["height"], manifest.counts["width"]],
        "resizer": "none: pictures have the size of the data set",
        "classes": len(protocol.posterior_texts),
        **asdict(recipe.evaluate.indomain),
    }
    num_learnt = min(counts["training"], recipe.evaluate.indomain.max_rows)
    groups = [group_scores(sets[name], sets, protocol) for name in ("samples", "real") if protocol.group_by]
    return Scored(
        metrics=scores.metrics,
        intervals=scores.intervals,
        floors=floors.metrics,
        counts=counts,
        protocol_digest=protocol_digest(protocol, network_digest, source.digests() | judge, counts),
        judge_digest=judge_digest,
        marks=scores.marks,
        does_not_separate=does_not_separate(scores, floors, num_learnt, protocol.num_candidates),
        extractors={IN_DOMAIN: in_domain} | ({extractor.name: extractor.facts()} if extractor else {}),
        groups=Groups(protocol.group_by, *groups) if groups else None,
    )
