"""How long a training takes to refuse what a worker meets in a step: from the exception to its sentence on stderr.

    PYTHONPATH=. python tests/benchmarks/refusal_in_step.py [--only "image, rank 1"]

Each kind is one `python -m jobs train` with the default train.max_failures. refusal_site/sitecustomize.py, which the
command and its workers import, notes the moment; nothing of the product is changed. A command that has not ended after
eight minutes is killed. tests/benchmarks/house.py records the longest wait for a sentence.
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from ganrnn.data.row_order import RowOrder
from tests.benchmarks.record import ROOT, Figure, digits
from tests.pipelines import tiny

SITE = Path(__file__).with_name("refusal_site")
LIMIT_SECONDS = 480
ROW_GROUP_ROWS, NUM_ROW_GROUPS, BATCH_SIZE, WINDOW_ROWS, NUM_RANKS = 16, 8, 8, 32, 2
STEP = 6  # which meets what is spoilt: two steps after a checkpoint

RECIPE: dict[str, Any] = {
    "name": "refusal",
    "ingest": {
        "height": 16,
        "width": 16,
        "row_group_rows": ROW_GROUP_ROWS,
        "scenes": {"num_train": ROW_GROUP_ROWS * NUM_ROW_GROUPS, "num_val": 16, "num_test": 16},
    },
    "task": {
        "name": "text_to_image",
        "height": 16,
        "width": 16,
        "embedding_dim": 8,
        "hidden_dim": 16,
        "z_dim": 8,
        "style_dim": 16,
        "feature_dim": 16,
        "base_channels": 4,
        "num_steps": 12,
    },
    "train": {
        "num_workers": NUM_RANKS,
        "global_batch_size": BATCH_SIZE,
        "window_rows": WINDOW_ROWS,
        "checkpoint_every_steps": 4,
    },
}


@dataclass(frozen=True)
class Outcome:
    """What became of one command. Seconds count from the first refusal; None where that never came."""

    ranks: list[int]  # that met it; none where the driver did
    attempts: int
    seconds_to_sentence: float | None
    seconds_to_end: float | None
    exit_code: int | None
    last_line: str


class Run:
    """A folder with a data set and the commands on it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.shard = folder / "dataset/train/00000.parquet"
        self.refusals = folder / "refusals.jsonl"
        store = {"tracking_uri": f"sqlite:///{folder}/mlflow.db", "artifact_uri": f"{folder}/mlartifacts"}
        recipe = {**RECIPE, "run_uri": str(folder), "tracking": store}
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))

    def command(self, verb: str, *overrides: str) -> list[str]:
        settings = [word for override in overrides for word in ("--set", override)]
        return [sys.executable, "-m", "jobs", verb, str(self.folder / "recipe.yaml"), *settings]

    def finish(self, verb: str, *overrides: str) -> None:
        """A command that has to succeed."""
        done = tiny.run(self.command(verb, *overrides))
        assert done.returncode == 0, done.stderr[-2_000:]

    def refused(self) -> Outcome:
        """Train, and see how that ends."""
        environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        environment |= {"PYTHONPATH": f"{SITE}{os.pathsep}{ROOT}", "REFUSALS_FILE": str(self.refusals)}
        process = subprocess.Popen(
            self.command("train"),
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stderr
        lines: list[tuple[float, str]] = []
        reader = threading.Thread(target=_read, args=(io.TextIOWrapper(process.stderr, errors="replace"), lines))
        reader.start()
        try:
            exit_code: int | None = process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            exit_code = None
        ended = time.time()
        tiny.kill(process)
        reader.join()
        return self._outcome(lines, exit_code, ended)

    def _outcome(self, lines: list[tuple[float, str]], exit_code: int | None, ended: float) -> Outcome:
        noted = [json.loads(line) for line in self.refusals.read_text().splitlines()] if self.refusals.exists() else []
        of_workers = [row for row in noted if row["rank"] is not None]
        first = min((row["seconds"] for row in of_workers or noted), default=None)
        sentence = next((at for at, line in lines if line.startswith("ganrnn: ")), None)
        processes = {(row["rank"], row["pid"]) for row in of_workers}
        ranks = [rank for rank, _ in processes]
        return Outcome(
            sorted(set(ranks)),
            max(map(ranks.count, ranks), default=0),
            None if first is None or sentence is None else digits(sentence - first),
            None if first is None or exit_code is None else digits(ended - first),
            exit_code,
            lines[-1][1] if lines else "",
        )


def _read(stderr: io.TextIOWrapper, lines: list[tuple[float, str]]) -> None:
    """Lines as they come; a progress bar's carriage returns end lines too."""
    for line in stderr:
        if text := line.strip():
            lines.append((time.time(), text))


def _rows_at_step(rank: int) -> tuple[tuple[int, ...], list[int]]:
    """The row groups that a rank reads at STEP, and its rows as they are counted in the shard."""
    order = RowOrder([ROW_GROUP_ROWS] * NUM_ROW_GROUPS, BATCH_SIZE, WINDOW_ROWS, seed=0)
    (read,) = order.slices(STEP, rank, NUM_RANKS)
    groups = read.row_groups
    rows = [groups[row // ROW_GROUP_ROWS] * ROW_GROUP_ROWS + row % ROW_GROUP_ROWS for row in read.rows.tolist()]
    return groups, rows


def spoil_image(run: Run, rank: int) -> None:
    """Bytes that are no picture in one row that only this rank reads at STEP."""
    table = pq.read_table(run.shard)
    images = table.column("image").to_pylist()
    images[_rows_at_step(rank)[1][0]]["bytes"] = b"no picture"
    place = table.column_names.index("image")
    table = table.set_column(place, table.schema.field(place), pa.array(images, table.schema.field(place).type))
    pq.write_table(table, run.shard, row_group_size=ROW_GROUP_ROWS)


def spoil_row_group(run: Run) -> None:
    """Zeros over the pictures of a row group that both ranks read first when its window begins; the footer is whole."""
    row_group = pq.ParquetFile(run.shard).metadata.row_group(_rows_at_step(0)[0][0])
    columns = [row_group.column(index) for index in range(row_group.num_columns)]
    (pictures,) = [column for column in columns if column.path_in_schema == "image.bytes"]
    data = bytearray(run.shard.read_bytes())
    start = pictures.dictionary_page_offset or pictures.data_page_offset
    data[start : start + pictures.total_compressed_size] = bytes(pictures.total_compressed_size)
    run.shard.write_bytes(data)


def truncate_shard(run: Run) -> None:
    """Half a file, as a copy that was interrupted leaves it: no footer."""
    os.truncate(run.shard, run.shard.stat().st_size // 2)


def bring_other_checkpoint(run: Run) -> None:
    """The checkpoint of a larger network, put where this training goes on."""
    own = f"run_uri={run.folder}/other"
    run.finish("train", own, f"ingest.dataset_uri={run.folder}/dataset", "task.base_channels=8", "task.num_steps=4")
    name = "checkpoints/step-00000004"
    shutil.copytree(run.folder / "other" / name, run.folder / name)


KINDS: dict[str, Callable[[Run], None]] = {
    "image, rank 0": lambda run: spoil_image(run, 0),
    "image, rank 1": lambda run: spoil_image(run, 1),
    "damaged row group": spoil_row_group,
    "truncated shard": truncate_shard,
    "other checkpoint": bring_other_checkpoint,
}
# By this script at commit 1f2d0ad, where Ray Train took a refusal for a crash; None is a traceback and exit code 1.
BEFORE = {
    "attempts": 4,
    "seconds_to_sentence": {"image, rank 0": 75.31, "image, rank 1": 58.73, "damaged row group": None},
    "seconds_to_end": {"image, rank 0": 81.3, "image, rank 1": 63.97, "damaged row group": 150.6},
}
IN_STEP = ("image, rank 0", "image, rank 1", "damaged row group")


def table(outcomes: dict[str, Outcome]) -> str:
    """One line a kind."""
    lines = [f"{'kind':<20}{'ranks':<8}{'attempts':>8}{'sentence s':>12}{'end s':>9}{'exit':>6}   last line on stderr"]
    for kind, outcome in outcomes.items():
        ranks = ",".join(map(str, outcome.ranks)) or "driver"
        sentence, end = (
            "never" if seconds is None else f"{seconds:.1f}"
            for seconds in (outcome.seconds_to_sentence, outcome.seconds_to_end)
        )
        code = "killed" if outcome.exit_code is None else outcome.exit_code
        start = f"{kind:<20}{ranks:<8}{outcome.attempts:>8}{sentence:>12}{end:>9}{code!s:>6}   "
        lines.append(start + outcome.last_line[:300])
    return "\n".join(lines)


def measure(kinds: Iterable[str] = KINDS) -> dict[str, Outcome]:
    """One training of each kind on a data set of its own."""
    outcomes: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory(prefix="ganrnn-refusal-") as scratch:
        first = Run(Path(scratch) / "first")
        first.finish("ingest")
        for number, kind in enumerate(kinds):
            run = Run(Path(scratch) / str(number))
            shutil.copytree(first.folder / "dataset", run.folder / "dataset")
            KINDS[kind](run)
            outcomes[kind] = run.refused()
            print(kind, asdict(outcomes[kind]), flush=True)
    return outcomes


def figures() -> list[Figure]:
    """The longest wait for a sentence, of all kinds that a rank meets in a step."""
    outcomes = measure()
    waits = [outcomes[kind].seconds_to_sentence or float(LIMIT_SECONDS) for kind in IN_STEP]
    details = {"kinds": {kind: asdict(outcome) for kind, outcome in outcomes.items()}, "before": BEFORE}
    return [Figure("refusal_in_step_seconds", max(waits), details)]


def main() -> None:
    """Measure the kinds that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=list(KINDS), help="a kind; may be repeated")
    print(table(measure(parser.parse_args().only or KINDS)))


if __name__ == "__main__":
    main()
