"""Ours against other trainers of GANs: CIFAR-10 by class, equal CPU seconds on one core, one network that scores all.

Asks for the data set and for checkouts of the peers, by environment variables: CIFAR10 (a folder with train.parquet and
val.parquet), STUDIOGAN (POSTECH-CVLab/PyTorch-StudioGAN), R3GAN (brownvc/R3GAN).
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from ganrnn.data import images
from ganrnn.metrics.extractors import indomain
from ganrnn.metrics.images.frechet import frechet_distance
from ganrnn.metrics.statistics.moments import Moments
from ganrnn.text.captions import meaning_key
from pipelines import storage
from tests.benchmarks.record import ROOT, Figure, digits, ratio_figure

SEEDS = (0, 1, 2)
SECONDS = 200.0
NUM_SAMPLES = 2_560
SIDES = {"ours": "", "studiogan": "STUDIOGAN", "r3gan": "R3GAN"}


def measure() -> list[Figure]:
    """Every seed on every side in turn."""
    missing = [name for name in ("CIFAR10", *filter(None, SIDES.values())) if not os.environ.get(name)]
    if missing:
        raise SystemExit(f"set {', '.join(missing)}: {' '.join((__doc__ or '').split())}")
    folder = os.environ["CIFAR10"]
    real = {split: storage.read_table([f"{folder}/{split}.parquet"]).to_pydict() for split in ("train", "val")}
    pictures = {split: images.to_tensor([row["bytes"] for row in held["image"]]) for split, held in real.items()}
    keys = [meaning_key(text) for text in real["train"]["text"]]
    torch.set_num_threads(1)
    network = indomain.fit(indomain.InDomainConfig(num_steps=600), pictures["train"], real["train"]["text"], keys, 0)
    reference = Moments.from_features(indomain.extract(network, pictures["val"]))

    def score(samples: torch.Tensor) -> float:
        return frechet_distance(Moments.from_features(indomain.extract(network, samples)), reference)

    floor = score(pictures["train"][:NUM_SAMPLES])
    print(f"  real pictures: {floor:.3f}", flush=True)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in SIDES}
    with tempfile.TemporaryDirectory(prefix="ganrnn-peers-") as scratch:
        data = Path(scratch) / "data.pt"
        asked = torch.arange(NUM_SAMPLES) % 10
        torch.save({"images": pictures["train"], "labels": torch.tensor(real["train"]["label"]), "asked": asked}, data)
        for seed in SEEDS:
            for name in SIDES:
                made = _run(name, seed, data)
                made["score"] = score(made.pop("samples"))
                runs[name].append({key: digits(v) if isinstance(v, float) else v for key, v in made.items()})
                print(f"  seed {seed}, {name}: {runs[name][-1]}", flush=True)
    return _figures(runs, floor)


def _run(name: str, seed: int, data: Path) -> dict[str, Any]:
    out = data.with_name(f"{name}-{seed}.pt")
    command = [sys.executable, str(ROOT / "tests/benchmarks/gans/gan_sides.py"), name, "--data", str(data)]
    command += ["--seed", str(seed), "--seconds", str(SECONDS), "--out", str(out)]
    command += ["--checkout", os.environ.get(SIDES[name], "")]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    made: dict[str, Any] = torch.load(out, weights_only=True)
    return made


def _figures(runs: dict[str, list[dict[str, Any]]], floor: float) -> list[Figure]:
    peers = [name for name in SIDES if name != "ours"]
    best = min(peers, key=lambda name: mean(run["score"] for run in runs[name]))
    fastest = max(peers, key=lambda name: mean(run["images_per_second"] for run in runs[name]))
    pairs = range(len(SEEDS))
    scores = [runs["ours"][i]["score"] / runs[best][i]["score"] for i in pairs]
    speeds = [runs["ours"][i]["images_per_second"] / runs[fastest][i]["images_per_second"] for i in pairs]
    details = {"runs": runs, "floor": digits(floor), "cpu_seconds": SECONDS, "num_samples": NUM_SAMPLES}
    return [
        ratio_figure("peer_score_ratio", scores, f"Fréchet distance, ours over that of {best}, by seed", details),
        ratio_figure("peer_throughput_ratio", speeds, f"training images/s, ours over those of {fastest}", {}),
    ]
