"""The way of every system: samples that are its network's own, scored, registered, loaded back, again from prompts.

What is peculiar to one system is tested in a file of its own; that a training resumes exactly, with its recipe.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlflow
import pyarrow as pa
import pytest

from pipelines import storage
from pipelines.config.recipe import Recipe
from pipelines.evaluate.driver import evaluate
from pipelines.sampling.outputs import output_of
from pipelines.tracking import model_input
from tests.pipelines.systems.systems import SYSTEMS, Promoted, generated, with_columns
from tests.pipelines.tiny import Run, write_here

# Pictures whose pixels may be rounded in another way where the micro-batch has another size.
MOST_ROUNDED = 2


@pytest.fixture(scope="module", params=SYSTEMS)
def system(request: pytest.FixtureRequest, promoted_of: Callable[[str], Promoted]) -> Promoted:
    """Each in turn."""
    return promoted_of(request.param)


def require_equal(task: Any, stored: pa.Table, again: pa.Table, same_shapes: bool = False) -> None:
    """Samples that are equal, but for roundings where micro-batches of another size make them."""
    column = output_of(task).column
    if task.output_modality == "scores" and not same_shapes:
        again_scores = again.column(column).to_pylist()
        assert stored.column(column).to_pylist() == pytest.approx(again_scores, abs=1.1e-4)
        stored, again = stored.drop_columns([column]), again.drop_columns([column])
    num_rounded = output_of(task).num_rounded(stored, again)
    assert num_rounded is not None
    assert num_rounded <= (0 if same_shapes or output_of(task).is_exact else MOST_ROUNDED)


def sampled(task: Any, recipe: Recipe, rows: pa.Table) -> Any:
    """What the network gives for rows of samples, all at once."""
    ids, seeds = rows.column("sample_id").to_pylist(), rows.column("seed").to_pylist()
    names = ["prompt_id", *task.prompt_columns, *(n for n in task.optional_columns if n in rows.column_names)]
    columns = {name: rows.column(name).to_pylist() for name in names}
    columns |= output_of(task).settings(rows, ids, recipe.generate.sampling)
    return task.sample(columns, list(zip(seeds, ids, strict=True)))


def test_every_prompt_has_the_sample_that_its_network_gives(system: Promoted) -> None:
    totals = system.manifest.totals
    assert (totals["samples"], totals["rejects"]) == (system.system.num_prompts, 0)
    rows, task = generated(system.recipe), system.task()
    prompts = storage.read_table([system.recipe.generate.prompts_uri])
    for name in ("prompt_id", *task.prompt_columns):
        assert rows.column(name).to_pylist() == prompts.column(name).to_pylist()
    output = output_of(task)
    values = output.values(sampled(task, system.recipe, rows))
    again = pa.table(output.columns(values, rows.column("sample_id").to_pylist(), 1))
    stored = rows.select(again.column_names)
    require_equal(task, stored, again.cast(stored.schema))
    assert len(set(map(str, rows.column(output.column).to_pylist()))) > 1
    assert set(rows.column("model_digest").to_pylist()) == {task.model_digest}


def test_batches_shards_and_neighbours_change_no_sample(
    system: Promoted, run_of: Callable[[str], Run], tmp_path: Path
) -> None:
    """Nor the order of rows, whatever rules of its own each of them has."""
    run, task = run_of(system.name), system.task()
    setting = with_columns(run, tmp_path / "prompts.parquet", **system.system.rules)

    def written(name: str, *settings: str) -> pa.Table:
        uris = write_here(run.recipe(f"generate.samples_uri={tmp_path}/{name}", *settings))
        return storage.read_table(uris).sort_by("sample_id").replace_schema_metadata()

    expected = written("8", setting)
    assert expected.num_rows == system.system.num_prompts
    for name in system.system.rules:
        assert name in expected.column_names, "a sample says what it was made from"
    # A micro-batch of pictures has a multiple of 8 rows, so that many give what few give.
    for size in (1, 7, 64) if output_of(task).is_exact else (16, 64):
        sizes = (f"generate.sampling.micro_batch_size={size}", f"generate.sampling.shard_rows={size + 4}")
        require_equal(task, expected, written(str(size), setting, *sizes))
    require_equal(task, expected, written("shards", setting, "generate.sampling.shard_rows=7"), same_shapes=True)
    prompts = storage.read_table([f"{tmp_path}/prompts.parquet"])
    storage.commit_table(f"{tmp_path}/turned.parquet", prompts.take(list(range(prompts.num_rows))[::-1]))
    turned = written("turned", f"generate.prompts_uri={tmp_path}/turned.parquet")
    require_equal(task, expected, turned, same_shapes=True)


def test_samples_are_scored_and_the_same_again_from_prompts(system: Promoted, tmp_path: Path) -> None:
    report, uri = system.report, system.recipe.evaluate.report_uri
    assert system.system.metrics <= set(report["metrics"])
    assert 0 < report["metrics"].get("loss_test", 1) < 4
    assert report["metrics"] == storage.read_json(f"{uri}/report.json")["metrics"]
    assert storage.read_bytes(f"{uri}/report.html").startswith(b"<!doctype html>")
    again = evaluate(system.run.recipe("evaluate.from_prompts=true", f"evaluate.report_uri={tmp_path}")).to_json()
    assert again["metrics"] == report["metrics"]
    assert again["protocol_digest"] == report["protocol_digest"]


def test_the_first_version_is_the_champion_and_gives_the_same_samples(system: Promoted) -> None:
    assert system.alias == "champion"
    mlflow.set_tracking_uri(system.recipe.tracking.tracking_uri)
    registered = mlflow.pyfunc.load_model(f"models:/tiny_{system.name}@champion")
    rows, task = generated(system.recipe), system.task()
    output = output_of(task)
    for number in (0, 7):
        row = rows.slice(number, 1)
        plain = row.to_pylist()[0]
        more: dict[str, Any] = {"seed": plain["seed"], "sample_id": plain["sample_id"]}
        if decoding := output.decoding(system.recipe.generate.sampling):
            more["decoding"] = json.dumps(asdict(decoding))
        # A version asks for a prompt where its network can do without.
        columns = {name: plain[name] for name in task.prompt_columns} or {"prompt": plain["prompt"] or ""}
        asked = model_input.frame(columns, **more)
        (found,) = registered.predict(asked)[output.column]
        assert [found] == output.plain(sampled(task, system.recipe, row))
        if output.is_exact:
            assert found == plain[output.column]
