"""Data, records and checkpoints that were damaged: refused before a step, or made again, and said."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ganrnn import checkpoint
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.recipe import Recipe
from pipelines.train.driver import train
from tests.pipelines import tiny
from tests.pipelines.mlflow_store import store_settings
from tests.pipelines.tiny import NUM_STEPS, Run
from tests.pipelines.train.forked import train_forked


@pytest.fixture
def begun(trained: Run, tmp_path: Path) -> Recipe:
    """A copy of the data set and of the training, whose newest checkpoint is that of step 40 of 60."""
    shutil.copytree(trained.recipe().ingest.dataset_uri, tmp_path / "dataset")
    shutil.copytree(trained.recipe().train.checkpoint_uri, tmp_path / "checkpoints")
    shutil.rmtree(tmp_path / f"checkpoints/step-{NUM_STEPS:08d}")
    return Run(tmp_path, (*trained.shared, *store_settings(tmp_path))).recipe(f"ingest.dataset_uri={tmp_path}/dataset")


def _reverse_texts(path: Path) -> None:
    table = pq.read_table(path)
    index = table.schema.get_field_index("text")
    texts = pa.array(table.column("text").to_pylist()[::-1])
    pq.write_table(table.set_column(index, table.schema.field(index), texts), path)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("case", ["texts", "flipped", "fewer", "swapped", "missing", "validation"])
def test_damaged_data_is_refused_before_a_step_with_the_way_out(case: str, begun: Recipe) -> None:
    dataset, checkpoints = Path(begun.ingest.dataset_uri), begun.train.checkpoint_uri
    first, second = sorted((dataset / "train").iterdir())[:2]
    names = {"train/00000.parquet"}
    match case:
        case "texts":
            _reverse_texts(first)
        case "flipped":
            _flip(first)
        case "fewer":
            pq.write_table(pq.read_table(first).slice(1), first)
        case "swapped":
            first.rename(dataset / "aside")
            second.rename(first)
            (dataset / "aside").rename(second)
            names.add("train/00001.parquet")
        case "missing":
            first.unlink()
        case "validation":
            _flip(dataset / "val/00000.parquet")
            names = {"val/00000.parquet"}
    before = tiny.contents(checkpoints)
    with pytest.raises(BadInput, match=r"dataset is damaged: .*; run ingest again, which repairs it$") as raised:
        train(begun)
    assert {name for name in tiny.contents(dataset) if name in str(raised.value)} | names == names
    assert all(name in str(raised.value) for name in names)
    assert tiny.contents(checkpoints) == before


def test_a_manifest_with_the_digest_of_another_shard_is_refused(begun: Recipe) -> None:
    uri = f"{begun.ingest.dataset_uri}/manifest.json"
    manifest = storage.read_json(uri)
    shard = Path(begun.ingest.dataset_uri, manifest["shards"][0]["uri"])
    _reverse_texts(shard)
    manifest["shards"][0]["sha256"] = storage.file_digest(str(shard))
    storage.commit_json(uri, manifest)
    with pytest.raises(BadInput, match=r"manifest\.json do not give its dataset_digest, the file was changed"):
        train(begun)


@pytest.mark.parametrize("content", [None, "", "{", '{"seed": 0}'])
def test_a_lost_or_damaged_record_is_written_again_for_the_training_of_the_checkpoints(
    content: str | None, trained: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    checkpoints = Path(shutil.copytree(trained.recipe().train.checkpoint_uri, tmp_path / "checkpoints"))
    before = tiny.contents(checkpoints)
    run = Run(tmp_path, (*trained.shared, *store_settings(tmp_path)))
    if content is None:
        (checkpoints / "run.json").unlink()
    else:
        (checkpoints / "run.json").write_text(content)
    with pytest.raises(BadInput, match=r"step-00000060 is step 60 of training [0-9a-f]{12}, expected is step 60 of "):
        train(run.recipe("seed=1"))
    assert train(run.recipe()).endswith("step-00000060")
    assert tiny.contents(checkpoints) == before
    problem = "is missing" if content is None else "is damaged"
    assert f"{checkpoints}/run.json {problem}; made again" in capfd.readouterr().err


@pytest.mark.parametrize("change", ["identity", "step"])
def test_a_checkpoint_of_another_training_or_step_is_refused(change: str, begun: Recipe) -> None:
    path = Path(begun.train.checkpoint_uri, "step-00000040", checkpoint.DESCRIPTION)
    description = json.loads(path.read_bytes())
    if change == "identity":
        description["position"]["identity"] = "0" * 64
    else:
        description["step"] = 45
    path.write_text(json.dumps(description))
    with pytest.raises(BadInput, match=r"step-00000040 is step \d+ of training [0-9a-f]{12}, expected is step 40 of"):
        train(begun)


def test_a_damaged_checkpoint_is_named_and_its_steps_are_made_again(
    trained: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    checkpoints = Path(shutil.copytree(trained.recipe().train.checkpoint_uri, tmp_path / "checkpoints"))
    before = tiny.contents(checkpoints)
    _flip(checkpoints / "step-00000060/networks.safetensors")
    train_forked(Run(tmp_path, (*trained.shared, *store_settings(tmp_path))).recipe())
    assert tiny.contents(checkpoints) == before
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "passed over" in line]
    assert line.startswith(f"{checkpoints}/step-00000060: networks.safetensors has sha256 ")
