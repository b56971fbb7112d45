"""A tiny run of a system that writes texts, and the texts of its generations."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from ganrnn import checkpoint
from pipelines import storage
from pipelines.generate.driver import generate
from pipelines.ingest.driver import ingest
from pipelines.train.checkpoints import Checkpoints
from pipelines.train.worker import train_worker
from tests.pipelines.tiny import Run, write_here
from tests.pipelines.train.forked import train_forked
from tests.pipelines.train.jobs import job_of

NUM_TEST = 30


def text_run(trained: Run, folder: Path, data: dict[str, Any], task: dict[str, Any], scores: dict[str, Any]) -> Run:
    """Captions of scenes, ingested and learnt by two workers; otherwise as the run of pictures is."""
    text = yaml.safe_load(trained.path().read_text().replace(str(trained.folder), str(folder)))
    scenes = {"num_train": 300, "num_val": 20, "num_test": NUM_TEST}
    text["ingest"] = {"scenes": scenes, "row_group_rows": 64, **data}
    text["generate"]["sampling"] |= {"decoding": {"max_tokens": 30}}
    run = Run(folder, tuple(override for override in trained.shared if override.startswith("tracking.")))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(text | {"task": task, "evaluate": scores}))
    ingest(run.recipe())
    train_forked(run.recipe())
    return run


def texts(run: Run, folder: Path, *settings: str) -> dict[str, Any]:
    """The samples of a generation into a folder of its own, by id."""
    recipe = run.recipe(f"generate.samples_uri={folder}", *settings)
    shards = generate(recipe).shards
    rows = storage.read_table([f"{folder}/{shard.uri}" for shard in shards]).to_pylist()
    return {row["sample_id"]: row for row in rows}


def with_rules(run: Run, path: Path, **columns: Any) -> str:
    """The run's prompts with further columns; returns the setting that names them."""
    prompts = storage.read_table([run.recipe().generate.prompts_uri]).select(["prompt_id", "prompt"])
    for name, values in columns.items():
        prompts = prompts.append_column(name, pa.array([values[i % len(values)] for i in range(prompts.num_rows)]))
    storage.commit_table(str(path), prompts)
    return f"generate.prompts_uri={path}"


def require_the_same_in_any_company(run: Run, folder: Path, setting: str) -> dict[str, Any]:
    """Texts that micro-batches, shards, workers and the order of rows do not change; `setting` names their prompts."""
    expected = texts(run, folder / "8", setting, "generate.sampling.num_workers=2")
    assert len(expected) == NUM_TEST
    for size in (1, 7, 64):
        settings = (f"generate.sampling.micro_batch_size={size}", f"generate.sampling.shard_rows={size + 4}")
        uris = write_here(run.recipe(f"generate.samples_uri={folder}/{size}", setting, *settings))
        assert {row["sample_id"]: row for row in storage.read_table(uris).to_pylist()} == expected
    prompts = storage.read_table([setting.removeprefix("generate.prompts_uri=")])
    backwards = prompts.take(list(range(prompts.num_rows))[::-1])
    storage.commit_table(f"{folder}/backwards.parquet", backwards)
    assert texts(run, folder / "turned", f"generate.prompts_uri={folder}/backwards.parquet") == expected
    return expected


def require_the_same_after_a_death(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, dies_at: int, *settings: str
) -> None:
    """A training by one worker that dies after the checkpoint of a step and goes on ends with the bytes of another."""

    def finished(name: str) -> dict[str, bytes]:
        places = (f"ingest.dataset_uri={run.folder}/dataset", f"run_uri={folder}/{name}")
        recipe = run.recipe("train.num_workers=1", *places, *settings)
        train_worker(job_of(recipe))
        newest = Checkpoints(recipe.train.checkpoint_uri, 2).newest()
        assert newest and newest.step == recipe.task.num_steps
        return newest.read(checkpoint.TRAINING_FILES)

    expected = finished("straight")
    commit = Checkpoints.commit

    def commit_and_die(self: Checkpoints, step: int, *rest: Any) -> str:
        uri = commit(self, step, *rest)
        if step == dies_at:
            raise KeyboardInterrupt
        return uri

    monkeypatch.setattr(Checkpoints, "commit", commit_and_die)
    with pytest.raises(KeyboardInterrupt):
        finished("killed")
    monkeypatch.setattr(Checkpoints, "commit", commit)
    assert finished("killed") == expected
