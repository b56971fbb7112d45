"""One way to compute what an evaluation needs, ours or a reference's, on one thread, with the CPU seconds that it took.

    python tests/benchmarks/scoring/evaluation_sides.py SIDE --data DATA --out OUT

DATA and OUT are .npz files, as `evaluation.py` writes and reads them. The references run in an environment of their
own, which has none of our code; torchvision, which they import and do not need here, is stood in for.
"""

import argparse
import hashlib
import sys
import time
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch

Arrays = Mapping[str, Any]
UNUSED = ("", ".datasets", ".models", ".transforms", ".transforms.functional")


def without_torchvision() -> None:
    """Let torch-fidelity be imported, and torchmetrics, which imports it."""
    for name in UNUSED:
        module = MagicMock()
        module.__spec__ = ModuleSpec(f"torchvision{name}", None)
        sys.modules[f"torchvision{name}"] = module


def timed(compute: Callable[[], Any], warm_up: bool = True) -> tuple[Any, dict[str, float]]:
    """What it gives, and the CPU and wall seconds of one run."""
    if warm_up:
        compute()
    cpu, wall = time.process_time(), time.perf_counter()
    made = compute()
    return made, {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}


def extract_ours(data: Arrays) -> Arrays:
    """The micro-batches and the memory settings are ours."""
    from ganrnn import cpu
    from ganrnn.metrics.extractors.inception import InceptionExtractor

    cpu.prepare(1)
    path = Path(str(data["weights"]))
    content = path.read_bytes()
    extractor = InceptionExtractor(content, str(path), hashlib.sha256(content).hexdigest())
    pictures, tall = (torch.from_numpy(data[name]) for name in ("pictures", "tall"))
    (features, logits), seconds = timed(lambda: extractor(pictures))
    tall_features, tall_logits = extractor(tall)
    return {
        "features": features,
        "logits": logits,
        "tall_features": tall_features,
        "tall_logits": tall_logits,
    } | seconds


def extract_torch_fidelity(data: Arrays) -> Arrays:
    """In batches of its default size."""
    without_torchvision()
    from torch_fidelity.defaults import DEFAULTS
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    extractor = FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], str(data["weights"]))
    pictures, tall = (torch.from_numpy(data[name]) for name in ("pictures", "tall"))

    def extract() -> list[Any]:
        parts = [extractor(part) for part in pictures.split(DEFAULTS["batch_size"])]
        return [torch.cat(held).numpy() for held in zip(*parts, strict=True)]

    with torch.no_grad():
        (features, logits), seconds = timed(extract)
        tall_features, tall_logits = (held.numpy() for held in extractor(tall))
    return {
        "features": features,
        "logits": logits,
        "tall_features": tall_features,
        "tall_logits": tall_logits,
    } | seconds


def score_ours(data: Arrays) -> Arrays:
    """Of all samples at once: one split, one subset."""
    from ganrnn.metrics.extractors.inception import probabilities
    from ganrnn.metrics.images.frechet import frechet_distance
    from ganrnn.metrics.images.inception_score import InceptionSums
    from ganrnn.metrics.images.kid import kernel_distance
    from ganrnn.metrics.images.precision_recall import manifold_scores
    from ganrnn.metrics.statistics.moments import Moments

    x, y = data["samples"], data["reference"]
    shares = probabilities(data["logits"])
    scores = manifold_scores(x, y)
    return {
        "fid": frechet_distance(Moments.from_features(x), Moments.from_features(y)),
        "kid": kernel_distance(x, y, 1, len(x), 0)[0],
        "is": InceptionSums.from_probabilities(shares, [str(i) for i in range(len(shares))], 1).score()[0],
        "precision": scores.precision,
        "recall": scores.recall,
        "density": scores.density,
        "coverage": scores.coverage,
    }


def score_references(data: Arrays) -> Arrays:
    """Names are METRIC/SOURCE. torchmetrics gets features of float64, so that its own rounding is not measured."""
    without_torchvision()
    from torch_fidelity.metric_prc import calculate_precision_recall_full
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.inception import InceptionScore
    from torchmetrics.image.kid import KernelInceptionDistance

    x, y, logits = (torch.from_numpy(data[name]).double() for name in ("samples", "reference", "logits"))
    given = torch.nn.Identity()
    given.num_features = x.shape[1]
    fid = FrechetInceptionDistance(given)
    kid = KernelInceptionDistance(given, subsets=1, subset_size=len(x))
    for metric in (fid, kid):
        metric.update(x, real=False)
        metric.update(y, real=True)
    score = InceptionScore(given, splits=1)
    score.update(logits)
    precision, recall = calculate_precision_recall_full(x, y, 3)
    return {
        "fid/torchmetrics": fid.compute().item(),
        "kid/torchmetrics": kid.compute()[0].item(),
        "is/torchmetrics": score.compute()[0].item(),
        "precision/torch_fidelity": precision,
        "recall/torch_fidelity": recall,
    } | _formulas(x.numpy(), y.numpy(), logits.numpy())


def _formulas(x: Any, y: Any, logits: Any) -> Arrays:
    """The definitions in the papers, written out for sets of equal size."""
    from scipy.linalg import sqrtm
    from scipy.spatial.distance import cdist
    from scipy.special import softmax

    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    shift = ((x.mean(0) - y.mean(0)) ** 2).sum()
    within_x, within_y, between = ((a @ b.T / x.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    others = ~np.eye(len(x), dtype=bool)
    p = softmax(logits, axis=1)
    distances = cdist(x, y)
    around_x, around_y = (np.sort(cdist(z, z), axis=1) for z in (x, y))  # column 0 is the row itself
    return {
        "fid/formula": shift + np.trace(cov_x + cov_y - 2 * sqrtm(cov_x @ cov_y).real),
        "kid/formula": within_x[others].mean() + within_y[others].mean() - 2 * between.mean(),
        "is/formula": np.exp((p * np.log(p / p.mean(0))).sum(1).mean()),
        "precision/formula": (distances <= around_y[:, 3]).any(1).mean(),
        "recall/formula": (distances <= around_x[:, 3, None]).any(0).mean(),
        "density/formula": (distances < around_y[:, 5]).sum(1).mean() / 5,
        "coverage/formula": (distances < around_y[:, 5]).any(0).mean(),
    }


def frechet_ours(data: Arrays) -> Arrays:
    """Of moments."""
    from ganrnn.metrics.images.frechet import frechet_distance
    from ganrnn.metrics.statistics.moments import Moments

    count = int(data["count"])
    a, b = (Moments(count, data[f"mean_{side}"], data[f"covariance_{side}"] * (count - 1)) for side in "ab")
    value, seconds = timed(lambda: frechet_distance(a, b), warm_up=False)
    return {"fid": value} | seconds


def frechet_sqrtm(data: Arrays) -> Arrays:
    """The definition, by scipy."""
    from scipy.linalg import sqrtm

    def distance() -> float:
        root = sqrtm(data["covariance_a"] @ data["covariance_b"]).real
        shift = data["mean_a"] - data["mean_b"]
        return float(shift @ shift + np.trace(data["covariance_a"] + data["covariance_b"] - 2 * root))

    value, seconds = timed(distance, warm_up=False)
    return {"fid": value} | seconds


def frechet_torch_fidelity(data: Arrays) -> Arrays:
    """By eigenvalues of the product."""
    without_torchvision()
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    a, b = ({"mu": data[f"mean_{side}"], "sigma": data[f"covariance_{side}"]} for side in "ab")
    made, seconds = timed(lambda: fid_statistics_to_metric(a, b, False), warm_up=False)
    return {"fid": made["frechet_inception_distance"]} | seconds


SIDES: dict[str, Callable[[Arrays], Arrays]] = {
    made.__name__: made
    for made in (
        *(extract_ours, extract_torch_fidelity, score_ours, score_references),
        *(frechet_ours, frechet_sqrtm, frechet_torch_fidelity),
    )
}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("side", choices=sorted(SIDES))
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with np.load(given.data) as held:
        np.savez(given.out, **SIDES[given.side](dict(held)))
