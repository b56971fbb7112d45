"""A language model of tinyshakespeare beside nanoGPT: equal seconds on one core, the loss of the whole validation text.

Asks, by environment variables, for the text and a checkout of karpathy/nanoGPT: TINYSHAKESPEARE (the .txt file) and
NANOGPT. The seconds are those that nanoGPT takes for its documented run on a CPU.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

from tests.benchmarks.record import ROOT, Figure, digits, spread

SEEDS = (0, 1, 2)
ASKED = ("TINYSHAKESPEARE", "NANOGPT")


def measure() -> list[Figure]:
    """Of each seed first nanoGPT, then ours."""
    missing = [name for name in ASKED if not os.environ.get(name)]
    if missing:
        raise SystemExit(f"set {', '.join(missing)}: {' '.join((__doc__ or '').split())}")
    runs: dict[str, list[dict[str, Any]]] = {"nanogpt": [], "ours": []}
    with tempfile.TemporaryDirectory(prefix="ganrnn-nanogpt-") as folder:
        for seed in SEEDS:
            for side, held in runs.items():
                seconds = runs["nanogpt"][-1]["seconds"] if side == "ours" else 0.0
                held.append(_run(side, seed, seconds, Path(folder)))
                print(f"  seed {seed}, {side}: {held[-1]}", flush=True)
    # Each way to read the validation text in blocks is a mean over seeds; nanoGPT's figure is its best.
    by_reading = {name: [run["losses"][name] for run in runs["nanogpt"]] for name in runs["nanogpt"][0]["losses"]}
    best = min(by_reading, key=lambda name: mean(by_reading[name]))
    unit = "nats a character of the whole validation text (the last tenth), mean over seeds"
    ours = [run["loss"] for run in runs["ours"]]
    return [
        Figure("tinyshakespeare_loss", digits(mean(ours)), _details(unit, ours, runs["ours"])),
        Figure(
            "tinyshakespeare_loss_nanogpt",
            digits(mean(by_reading[best])),
            _details(unit, by_reading[best], runs["nanogpt"]) | {"scored_in_a_block_of_64": int(best)},
        ),
    ]


def _details(unit: str, losses: list[float], runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"meaning": unit, "spread": spread(losses), "runs": runs, "threads": 1}


def _run(side: str, seed: int, seconds: float, folder: Path) -> dict[str, Any]:
    out = folder / f"{side}-{seed}.json"
    command = [sys.executable, str(ROOT / "tests/benchmarks/texts/nanogpt_sides.py"), side, "--seed", str(seed)]
    command += ["--text", os.environ["TINYSHAKESPEARE"], "--checkout", os.environ["NANOGPT"]]
    command += ["--seconds", str(seconds), "--out", str(out)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    made: dict[str, Any] = json.loads(out.read_text())
    return _rounded(made)


def _rounded(held: dict[str, Any]) -> dict[str, Any]:
    short = {name: digits(value) if isinstance(value, float) else value for name, value in held.items()}
    return {name: _rounded(value) if isinstance(value, dict) else value for name, value in short.items()}
