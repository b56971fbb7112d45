"""Scores of pictures beside torch-fidelity, torchmetrics and scipy: the same numbers, and how much sooner.

    PYTHONPATH=. python tests/benchmarks/evaluation.py [--only NAME ...]        (make bench-evaluation)

The references are installed once below build/, into an environment of their own. Every side runs in a process of its
own on one thread, on files that all of them read, in turns. Speeds are those of CPU seconds, which other work on the
machine changes less than the clock. Inception has random weights on both sides, since the published ones are no part
of the project. `defects`, `memory`, `workers` and `rating` look at our side alone, as defects.py, evaluation_memory.py,
evaluation_workers.py and rating.py say. Prints a table and merges it into tests/benchmarks/results/evaluation.json.
"""

import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.benchmarks.record import ROOT, Figure, digits, ratio_figure, run_groups, spread
from tests.benchmarks.scoring.defects import planted
from tests.benchmarks.scoring.evaluation_memory import merged_memory
from tests.benchmarks.scoring.evaluation_sides import SIDES
from tests.benchmarks.scoring.evaluation_workers import two_workers
from tests.benchmarks.scoring.rating import durability
from tests.unit.inception_weights import random_weights

REFERENCES = ROOT / "build/evaluation-references"
OURS = "ours"
# What they need, then they themselves without what they ask for and do not need here.
NEEDED = ("numpy", "scipy==1.17.1", "tqdm", "packaging", "lightning-utilities", "pillow")
COMPARED = ("torch-fidelity==0.4.0", "torchmetrics==1.9.0")
NUM_REPEATS = 5
NUM_PICTURES = 64
NUM_FEATURES = 2048  # of the covariances; of fewer samples they would not have full rank
Held = dict[str, Any]


def extractor() -> list[Figure]:
    """Features of 64 pictures of 32 x 32, and of a few that are higher than wide."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="ganrnn-evaluation-") as folder:
        weights = Path(folder) / "weights.pth"
        counters = {
            f"{key.removesuffix('.running_mean')}.num_batches_tracked": torch.tensor(0)
            for key in random_weights()
            if key.endswith("running_mean")
        }
        torch.save(random_weights() | counters, weights)
        pictures, tall = (
            rng.integers(0, 256, shape, np.uint8) for shape in ((NUM_PICTURES, 3, 32, 32), (4, 3, 80, 64))
        )
        data = _saved(Path(folder), weights=str(weights), pictures=pictures, tall=tall)
        runs = _in_turns(("extract_ours", "extract_torch_fidelity"), data, NUM_REPEATS)
    ours, theirs = runs["extract_ours"], runs["extract_torch_fidelity"]
    outputs = ("features", "logits", "tall_features", "tall_logits")
    differences = {name: digits(np.abs(ours[0][name] - theirs[0][name]).max()) for name in outputs}
    sizes = {name: digits(np.abs(theirs[0][name]).max()) for name in outputs}
    return [
        Figure("inception_max_abs_diff", max(differences.values()), {"by_output": differences, "largest": sizes}),
        _speed("extractor_vs_torch_fidelity", theirs, ours, "images/s, ours over those of torch-fidelity"),
    ]


def scores() -> list[Figure]:
    """All scores of two sets of features of 1,500 pictures that differ in mean and spread."""
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(64, 64)) / 8
    samples, reference = (
        np.maximum(rng.normal(size=(1_500, 64)) @ mixing * scale + shift, 0).astype(np.float32)
        for scale, shift in ((0.9, 0.55), (1.0, 0.4))
    )
    with tempfile.TemporaryDirectory(prefix="ganrnn-evaluation-") as folder:
        logits = (3 * rng.normal(size=(1_500, 50))).astype(np.float32)
        data = _saved(Path(folder), samples=samples, reference=reference, logits=logits)
        ours, references = (_run(side, data) for side in ("score_ours", "score_references"))
    compared = {
        name: digits(abs(float(ours[name.split("/")[0]]) / float(value) - 1)) for name, value in references.items()
    }
    values = {name: digits(float(value)) for name, value in ours.items()}
    return [Figure("metrics_max_rel_diff", max(compared.values()), {"by_reference": compared, "values": values})]


def frechet() -> list[Figure]:
    """Fréchet distance of two sets of 2,048 moments."""
    rng = np.random.default_rng(2)
    count = 2 * NUM_FEATURES
    moments: Held = {"count": count}
    for side in "ab":
        features = np.maximum(rng.normal(size=(count, NUM_FEATURES)) * np.exp(rng.normal(size=NUM_FEATURES)), 0)
        moments |= {f"mean_{side}": features.mean(0), f"covariance_{side}": np.cov(features, rowvar=False)}
    with tempfile.TemporaryDirectory(prefix="ganrnn-evaluation-") as folder:
        data = _saved(Path(folder), **moments)
        runs = _in_turns(("frechet_ours", "frechet_sqrtm", "frechet_torch_fidelity"), data, NUM_REPEATS)
    ours, by_root, by_eigenvalues = runs.values()
    values = {name: float(held[0]["fid"]) for name, held in runs.items()}
    return [
        _speed("frechet_vs_sqrtm", by_root, ours, "speed, ours over that of scipy.linalg.sqrtm", values),
        _speed("frechet_vs_torch_fidelity", by_eigenvalues, ours, "speed, ours over that of torch-fidelity", values),
    ]


def _speed(name: str, theirs: Sequence[Held], ours: Sequence[Held], meaning: str, values: Held | None = None) -> Figure:
    ratios, by_clock = (
        [float(their[key]) / float(our[key]) for their, our in zip(theirs, ours, strict=True)]
        for key in ("cpu_seconds", "wall_seconds")
    )
    details = {
        "cpu_seconds_ours": spread(float(run["cpu_seconds"]) for run in ours),
        "cpu_seconds_theirs": spread(float(run["cpu_seconds"]) for run in theirs),
        "by_the_clock": spread(by_clock),
        "threads": 1,
    }
    return ratio_figure(name, ratios, meaning, details | ({"values": values} if values else {}))


def _in_turns(sides: Sequence[str], data: Path, num_repeats: int) -> dict[str, list[Held]]:
    runs: dict[str, list[Held]] = {side: [] for side in sides}
    for repeat in range(num_repeats):
        for side, held in runs.items():
            held.append(_run(side, data))
            print(f"  {repeat + 1} of {num_repeats}, {side}: {float(held[-1]['cpu_seconds']):.2f} s", flush=True)
    return runs


def _run(side: str, data: Path) -> Held:
    assert side in SIDES, side
    python = sys.executable if side.endswith(OURS) else str(_references())
    out = data.with_name("out.npz")
    command = [
        python,
        "-W",
        "ignore",
        str(ROOT / "tests/benchmarks/scoring/evaluation_sides.py"),
        side,
        "--data",
        str(data),
        "--out",
        str(out),
    ]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = os.environ | {"PYTHONPATH": str(ROOT) if side.endswith(OURS) else ""} | threads
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    with np.load(out) as made:
        return dict(made)


def _saved(folder: Path, **arrays: Any) -> Path:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return path


def _references() -> Path:
    """The interpreter of the environment that holds the references, which is made where there is none."""
    python, ready = REFERENCES / "bin/python", REFERENCES / ".ready"
    if not ready.exists():
        print(f"  installing references into {REFERENCES.relative_to(ROOT)}, once: a few minutes", flush=True)
        venv.create(REFERENCES, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, f"torch=={torch.__version__.split('+')[0]}", *NEEDED], check=True)
        subprocess.run([*install, "--no-deps", *COMPARED], check=True)
        ready.touch()
    return python


GROUPS: dict[str, Callable[[], list[Figure]]] = {
    "extractor": extractor,
    "scores": scores,
    "frechet": frechet,
    "memory": merged_memory,
    "defects": planted,
    "workers": two_workers,
    "rating": durability,
}


if __name__ == "__main__":
    run_groups(Path(__file__), __doc__, GROUPS, list(GROUPS))
