"""What planning accepts the workers can do: files of several writers, shards without samples, files without rows."""

from pathlib import Path

import pyarrow as pa
import pytest

from ganrnn.errors import BadInput
from jobs.status import _line
from pipelines import storage
from pipelines.generate.driver import generate, generate_increment
from pipelines.generate.plan import prompt_files
from pipelines.generate.status import status
from pipelines.generate.verify import verify
from pipelines.sampling.sample_source import sample_source
from tests.pipelines.generate.samples import images, prompts_of, samples, write
from tests.pipelines.tiny import Run


def run_of(trained: Run, folder: Path, *settings: str) -> Run:
    """A run that samples the prompts of a folder; further settings as overrides."""
    places = (f"generate.prompts_uri={folder}/prompts", f"generate.samples_uri={folder}/samples")
    (folder / "prompts").mkdir(exist_ok=True)
    return Run(trained.folder, (*trained.shared, *places, *settings))


def test_files_of_several_writers_give_the_samples_of_one(trained: Run, tmp_path: Path) -> None:
    run, large = run_of(trained, tmp_path), 2**63
    columns = prompts_of(30, seed=[large + row for row in range(30)])
    parts = [{name: values[start : start + 15] for name, values in columns.items()} for start in (0, 15)]
    write(tmp_path / "prompts/a.parquet", parts[0] | {"note": ["x"] * 15}, {"seed": pa.uint64()})
    views = dict.fromkeys(("prompt_id", "prompt"), pa.string_view()) | {"seed": pa.uint64()}
    write(tmp_path / "prompts/b.parquet", parts[1], views)
    generate(run.recipe())
    rows = samples(tmp_path / "samples")
    assert [(row["prompt_id"], row["seed"]) for row in rows] == [(f"p{k:03d}", large + k) for k in range(30)]
    assert [row["note"] for row in rows] == ["x"] * 15 + [None] * 15
    whole = write(tmp_path / "whole.parquet", columns, {"seed": pa.uint64()})
    generate(run.recipe(f"generate.prompts_uri={whole}", f"generate.samples_uri={tmp_path}/again"))
    assert images(tmp_path / "again") == images(tmp_path / "samples")
    with pytest.raises(BadInput, match=r"generate\.seed is -1; prompts have seeds from 2\^63 up"):
        generate(run.recipe("generate.seed=-1", f"generate.samples_uri={tmp_path}/other"))
    assert not (tmp_path / "other").exists()
    with pytest.raises(BadInput, match=r"generate\.seed is -1; prompts have seeds from 2\^63 up"):
        sample_source(run.recipe("generate.seed=-1", "evaluate.from_prompts=true"))


@pytest.mark.parametrize("nothing", [{"num_samples": [0] * 20}, {"prompt": [" "] * 20}])
def test_a_shard_may_have_no_sample(nothing: dict[str, list[int | str]], trained: Run, tmp_path: Path) -> None:
    run = run_of(trained, tmp_path, "generate.max_reject_share=0.5")
    columns = prompts_of(45, num_samples=[1] * 45)
    for name, values in nothing.items():
        columns[name] = [*values, *columns[name][20:]]
    write(tmp_path / "prompts/a.parquet", columns)
    manifest = generate(run.recipe())
    assert [shard.num_rows for shard in manifest.shards] == [0, 20, 5]
    assert [row["prompt_id"] for row in samples(tmp_path / "samples")] == [f"p{k:03d}" for k in range(20, 45)]
    first = storage.read_table([f"{tmp_path}/samples/{manifest.shards[0].uri}"])
    assert first.schema == storage.read_table([f"{tmp_path}/samples/{manifest.shards[1].uri}"]).schema
    assert verify(run.recipe("generate.verify_share=1"))["rows_made_again"] == 25


def test_a_file_without_rows_is_a_finished_folder(trained: Run, tmp_path: Path) -> None:
    run = run_of(trained, tmp_path, "generate.incremental=true")
    write(tmp_path / "prompts/a.parquet", {"prompt_id": [], "prompt": []})
    assert [manifest.totals["samples"] for manifest in generate_increment(run.recipe())] == [0]
    write(tmp_path / "prompts/b.parquet", prompts_of(3))
    assert [manifest.totals["samples"] for manifest in generate_increment(run.recipe())] == [3]
    assert generate_increment(run.recipe()) == []
    assert verify(run.recipe())["shards"] == 1
    assert _line(status(f"{tmp_path}/samples")[0][0]).startswith(f"{tmp_path}/samples/a: 0 of 0 prompts (100.0%), fin")


@pytest.mark.parametrize("inner", ["a/b.parquet", "a/x/y/b.parquet"])
def test_samples_of_one_file_never_lie_inside_those_of_another(inner: str, trained: Run, tmp_path: Path) -> None:
    run = run_of(trained, tmp_path, "generate.incremental=true")
    for name in ("a.parquet", "ab/c.parquet", inner):
        storage.commit_table(f"{tmp_path}/prompts/{name}", pa.table(prompts_of(3)))
    with pytest.raises(BadInput, match=rf"prompts/{inner} would have its samples inside those of .*/a\.parquet"):
        prompt_files(run.recipe())
    (tmp_path / "prompts/a.parquet").unlink()
    assert len(prompt_files(run.recipe())) == 2
