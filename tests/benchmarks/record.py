"""What a benchmark leaves behind: figures with their goals and spread, a table, a JSON file with its provenance."""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

# Name of a figure -> (whether it is at least or at most, the number).
GOALS: dict[str, tuple[str, float]] = {
    "ray_train_vs_torchrun": (">=", 0.95),
    "ray_generate_vs_loop": (">=", 0.9),
    "two_workers_vs_one": (">=", 1.7),
    "generate_memory_20k_vs_2k": ("<=", 1.1),
    "demo_seconds": ("<=", 720),
    "planned_rows_max": (">=", 1e9),
    "resume_90_vs_full": ("<=", 0.12),
    "memory_1m_vs_10k": ("<=", 1.1),
    "generate_vs_loop": (">=", 0.9),
    "generate_vs_ray_write": (">=", 0.95),
    "s3_vs_local": (">=", 0.8),
    "fault_schedules": (">=", 50),
    "faults_injected": (">=", 50),
    "rows_lost": ("<=", 0),
    "rows_doubled": ("<=", 0),
    "objects_differing": ("<=", 0),
    "modes_covered_default": (">=", 25),
    "modes_total": (">=", 25),
    "collapses_recovered": (">=", 3),
    "collapses_provoked": (">=", 3),
    "edit_changed": (">=", 0.9),
    "edit_kept": (">=", 0.9),
    "seam_vs_interior": ("<=", 1.05),
    "peer_score_ratio": ("<=", 1),
    "peer_throughput_ratio": (">=", 1.2),
    "colour": (">=", 0.95),
    "background": (">=", 0.95),
    "size": (">=", 0.9),
    "position": (">=", 0.9),
    "shape": (">=", 0.75),
    "r_precision_100": (">=", 0.6),
    "tinyshakespeare_loss": ("<=", 1.88),
    "train_tokens_vs_bare_lstm": (">=", 1.0),
    "decode_vs_row_loop": (">=", 5),
    "rows_differing_across_batches": ("<=", 0),
    "multi30k_bleu": (">=", 35),
    "poems_in_form": (">=", 1.0),
    "judge_scenes": (">=", 0.97),
    "r_precision_100_scenes": (">=", 0.85),
    "demo_r_precision_100": (">=", 0.94),
    "demo_diversity_given_prompt": (">=", 0.8),
    "share_of_peak": (">=", 0.5),
    "collapses_noticed": (">=", 4),
    "false_alarms": ("<=", 0),
    "demo_centroid_spread": (">=", 0.8),
    "demo_background_spread": ("<=", 1.5),
    "demo_precision": (">=", 0.6),
    "demo_recall": (">=", 0.6),
    "demo_fid_over_floor": ("<=", 1.5),
    "demo_other_colour": (">=", 0.8),
    "r_precision_100_nlvr_boxes": (">=", 0.05),
    "gymnasium_check": (">=", 1),
    "smiles_validity": (">=", 0.975),
    "smiles_novelty": (">=", 0.842),
    "inception_max_abs_diff": ("<=", 1e-4),
    "metrics_max_rel_diff": ("<=", 1e-5),
    "extractor_vs_torch_fidelity": (">=", 2.5),
    "frechet_vs_sqrtm": (">=", 5),
    "frechet_vs_torch_fidelity": (">=", 1.0),
    "million_rows_peak_ratio": ("<=", 1.1),
    "answers_lost": ("<=", 0),
    "refusal_in_step_seconds": ("<=", 10),
    "answers_doubled": ("<=", 0),
    "help_seconds": ("<=", 0.5),
    "refusal_seconds": ("<=", 0.5),
    "keys_seconds": ("<=", 0.5),
    "widest_folder": ("<=", 20),
    "folder_circles": ("<=", 0),
    "readme_lines": ("<=", 250),
    "found_in_two_openings": (">=", 20),
    "test_minutes": ("<=", 10),
    "ci_minutes": ("<=", 35),
    "mutants": (">=", 100),
    "mutants_noticed": (">=", 90),
}


@dataclass(frozen=True)
class Figure:
    """One number, and what it was made from."""

    name: str
    value: float
    details: dict[str, Any]

    @property
    def reaches_goal(self) -> bool:
        """Whether the value is on the right side of its goal."""
        relation, goal = GOALS.get(self.name, (">=", -math.inf))
        return self.value >= goal if relation == ">=" else self.value <= goal


def spread(values: Iterable[float]) -> dict[str, float]:
    """Minimum, median and maximum of the repeats, to four digits."""
    held = sorted(values)
    return {"min": digits(held[0]), "median": digits(statistics.median(held)), "max": digits(held[-1])}


def digits(value: float) -> float:
    """A number to four significant digits."""
    return float(f"{value:.4g}")


def ratio_figure(name: str, ratios: Sequence[float], meaning: str, details: Mapping[str, Any]) -> Figure:
    """The median of paired ratios with their spread; `meaning` says in a sentence what was divided by what."""
    own = {"meaning": meaning, "ratios": [digits(ratio) for ratio in ratios], "spread": spread(ratios)}
    return Figure(name, digits(statistics.median(ratios)), own | dict(details))


def table(figures: Sequence[Figure]) -> str:
    """One line a figure: value, spread over the repeats, goal."""
    lines = [f"{'figure':<28}{'value':>9}   {'min .. max':<20}{'goal':<10}"]
    for figure in figures:
        relation, goal = GOALS.get(figure.name, ("", math.nan))
        held = figure.details.get("spread")
        between = f"{held['min']:g} .. {held['max']:g}" if held else ""
        verdict = f"{relation} {goal:<7g} {'reached' if figure.reaches_goal else 'MISSED'}" if relation else ""
        lines.append(f"{figure.name:<28}{figure.value:>9.4g}   {between:<20}{verdict}")
    return "\n".join(lines)


def save(path: Path, figures: Sequence[Figure], about: Mapping[str, Any]) -> None:
    """Write figures into a JSON file; those that it holds and that were not measured now stay as they are.

    `about` is the provenance of this run. It stands at the top of the file and, because older figures may stem from
    another commit or machine, beside each figure too.
    """
    held: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    origin = {name: about[name] for name in ("commit", "date", "command")}
    whole = {
        **about,
        "figures": held.get("figures", {}) | {figure.name: figure.value for figure in figures},
        "details": held.get("details", {}) | {figure.name: origin | figure.details for figure in figures},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def provenance(command: str) -> dict[str, Any]:
    """Commit, hardware, date, command and versions of a run that begins now."""
    return {
        "commit": _commit(),
        "hardware": _hardware(),
        "load_average_before": [digits(load) for load in os.getloadavg()],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("torch", "ray")}},
    }


def _commit() -> str:
    """The commit of this checkout, marked where code or recipes differ from it."""
    head = _git("rev-parse", "HEAD") or "unknown"
    changed = _git("status", "--porcelain", "--", "ganrnn", "pipelines", "jobs", "tests/benchmarks/*.py")
    return f"{head} with changes" if changed else head


def _git(*arguments: str) -> str:
    result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout.strip()


def _hardware() -> dict[str, Any]:
    import torch

    models = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory[0] / 2**20, 1) if memory else None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def run_groups(script: Path, about: str, groups: Mapping[str, Callable[[], list[Figure]]], default: list[str]) -> None:
    """Measure, print and record groups of figures: those that the command line names, or those of `default`.

    `about` is the docstring of the script, whose name is that of the JSON file too.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--only", action="append", choices=sorted(groups), help="a group of figures; may be repeated")
    given = parser.parse_args()
    only = "".join(f" --only {name}" for name in given.only or [])
    origin = provenance(f"PYTHONPATH=. python tests/benchmarks/{script.name}{only}")
    figures: list[Figure] = []
    for name in given.only or default:
        print(name, flush=True)
        made = groups[name]()
        save(ROOT / f"tests/benchmarks/results/{script.stem}.json", made, origin)
        figures += made
    print()
    print(table(figures))


def recipe_path(name: str) -> str:
    """The file of a packaged recipe, for the working folder that is the root."""
    (path,) = (ROOT / "jobs/recipes").rglob(f"{name}.yaml")
    return str(path.relative_to(ROOT))
