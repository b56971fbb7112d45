"""Recipes with one fault each, which only a late verb would meet: all are refused before anything is written."""

from pathlib import Path

import pytest

from ganrnn.errors import BadInput
from jobs import nightly, validate
from jobs.checks.driver import ORDER, require_feasible, require_ingested
from pipelines import storage
from pipelines.cluster.serial_runner import SerialRunner
from pipelines.cluster.session import using
from pipelines.config.recipe import Recipe
from pipelines.ingest.driver import ingest
from tests.pipelines.mlflow_store import new_store
from tests.pipelines.tiny import Run, contents

TEXTS = ("task={name: language_model}", "ingest.kind=texts", "ingest.scenes.kind=captions")
LATE_FAULTS = [
    (("promote.at_least={r_precision_100: 0.5}",), "promote.at_least is on 'r_precision_100', .* r_precision_10"),
    (("promote.at_least={r_precision: 0.5}",), "did you mean r_precision_10"),
    (("promote.at_least={fid_indomain: 1}",), "promote.at_least is on 'fid_indomain', .* fid40_indomain"),
    (("promote.at_most={fid5k_indomain: 1}",), "promote.at_most is on 'fid5k_indomain'"),
    (("promote.at_most={fid040_indomain: 1}",), "promote.at_most is on 'fid040_indomain'"),
    (("promote.at_least={color_accuracy: 0.9}",), "did you mean colour_accuracy"),
    (("promote.at_most={fid40_inception: 9}",), "promote.at_most is on 'fid40_inception'"),
    (("promote.at_least={r_precision_10_by_judge: 0.5}",), "'r_precision_10_by_judge', which this evaluation does not"),
    (("promote.at_least={edit_changed: 0.5}",), "'edit_changed', which this evaluation does not give"),
    (("promote.champion_metric=r_precission_10",), "promote.champion_metric is on 'r_precission_10'.* r_precision_10"),
    (("promote.champion_metric=loss_test",), "promote.champion_metric is on 'loss_test'"),
    (("promote.at_least={human_fit_generated: 0.5}",), "promote.ratings_uri has to name a study of it"),
    (("promote.registered_model=a/b",), "promote.registered_model is 'a/b'"),
    (("name=a:b",), "promote.registered_model is 'a:b'"),
    (("evaluate.num_candidates=41",), "evaluate.num_candidates is 41; the test split has \\d+ distinct captions"),
    (("ingest.scenes.num_test=1",), "ingest.scenes.num_test is 1; evaluate needs 2"),
    (("ingest.scenes.num_val=1",), "ingest.scenes.num_val is 1; evaluate needs 2"),
    (("evaluate.group_by=color",), "evaluate.group_by is 'color'; the dataset has text, background, colour"),
    (("evaluate.judge_uri=/no/judge",), "/no/judge holds no model"),
    (("generate.choice={judge_uri: /no/judge, num_candidates: 2}",), "/no/judge holds no model"),
    (("train.judge_uri=/no/judge",), "train.judge_uri is /no/judge and task.judge_weight 0"),
    (("task.judge_weight=0.5", "train.judge_uri=/no/judge"), "/no/judge holds no model"),
    (("evaluate.extractor.weights_uri=/no/weights.pth",), "/no/weights.pth does not exist"),
    (("evaluate.sweep.temperatures=[0.5]",), "evaluate.sweep is for tasks that give texts"),
    (("generate.incremental=true",), "generate.incremental is true"),
    (("generate.since.day=2026-01-01",), "generate.since and generate.where choose among the partitions"),
    (("generate.prompts_uri=/no/prompts",), "/no/prompts"),
    (("generate.model_uri=/no/model",), "generate.model_uri: /no/model holds no model"),
    (("generate.sampling.rhymes_uri=/no/rhymes.txt",), "/no/rhymes.txt"),
    (("task.height=32",), "task.height is 32 and ingest.height 16"),
    (("ingest.kind=texts",), "ingest.kind is texts; task.name is text_to_image, which learns from images"),
    (
        ("train.global_batch_size=302",),
        "train.global_batch_size is 302; allowed is at most the number of training",
    ),
    (("task={name: match_judge, height: 16, width: 16}",), "ingest.source_image_column is missing"),
    (("task={name: image_to_image, height: 16, width: 16, pairing: unpaired}",), "source_image_column is missing"),
    (("task={name: image_gan, condition: label, height: 16, width: 16}",), "task.condition is label, and no row"),
    ((*TEXTS, "promote.champion_metric=r_precision_100"), "'r_precision_100', .*bits_per_character_test"),
    ((*TEXTS, "promote.at_least={bleu: 0.3}"), "promote.at_least is on 'bleu'"),
    ((*TEXTS, "promote.at_most={self_bleu_1000: 0.3}"), "promote.at_most is on 'self_bleu_1000'"),
    ((*TEXTS, "promote.at_least={in_form: 0.3}"), "promote.at_least is on 'in_form'"),
    ((*TEXTS, "evaluate.group_by=text"), "evaluate.group_by is for tasks that give images"),
    ((*TEXTS, "evaluate.sweep={temperatures: [1.0], beside: {tiny: /no/model}}"), "beside holds tiny, the name of the"),
    ((*TEXTS, "evaluate.sweep={temperatures: [1.0], beside: {other: /no/model}}"), "beside.other: /no/model holds no"),
    (("evaluate.report_uri=FOLDER/recipe.yaml",), "report_uri is .*; .*recipe.yaml is a file"),
    (("tracking.tracking_uri=http://127.0.0.1:9",), "tracking.tracking_uri http://127.0.0.1:9 does not answer"),
]


def settings(folder: Path, overrides: tuple[str, ...]) -> list[str]:
    own = [override.replace("FOLDER", str(folder)) for override in overrides]
    return [f"tracking.tracking_uri=sqlite:///{folder}/mlflow.db", *own]


@pytest.mark.parametrize(("overrides", "sentence"), LATE_FAULTS, ids=lambda value: str(value)[:60])
def test_nightly_refuses_a_late_fault_before_anything_is_written(
    overrides: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    run = Run(tmp_path)
    run.path()
    with using(SerialRunner()), pytest.raises(BadInput, match=sentence) as error:
        nightly.act(run.recipe(*settings(tmp_path, overrides)))
    assert "\n" not in str(error.value)
    assert list(contents(tmp_path)) == ["recipe.yaml"]


@pytest.mark.parametrize("verb", ORDER)
def test_every_verb_refuses_what_promote_would(verb: str, tmp_path: Path) -> None:
    recipe = Run(tmp_path).recipe(*settings(tmp_path, ("promote.champion_metric=r_precision_11",)))
    with pytest.raises(BadInput, match=r"promote\.champion_metric is on 'r_precision_11'"):
        require_feasible(recipe, verb)


def test_more_workers_than_the_cluster_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(SerialRunner, "require", lambda self, section, workers: asked.append((section, workers)))
    with using(SerialRunner()):
        validate.act(Run(tmp_path).recipe(*settings(tmp_path, ("train.num_workers=4",))))
    assert [section for section, _ in asked] == ["train", "generate.sampling", "evaluate"]
    assert asked[0][1].num_workers == 4


def test_validate_prints_what_will_be_done_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    thresholds = "promote.at_least={r_precision_10: 0.5, colour_accuracy: 0.9}"
    with using(SerialRunner()):
        validate.act(Run(tmp_path).recipe(*settings(tmp_path, (thresholds,))))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [*ORDER, "if"]
    assert lines[1].endswith(f"text_to_image, 60 steps, to {tmp_path}/checkpoints")
    assert lines[-1].split(maxsplit=1)[1] == "r_precision_10 >= 0.5 and colour_accuracy >= 0.9"
    assert list(contents(tmp_path)) == ["recipe.yaml"]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Seven images in the test split."""
    folder = tmp_path_factory.mktemp("few")
    run = Run(folder, ("ingest.scenes.num_test=7", f"tracking.tracking_uri={new_store(folder).tracking_uri}"))
    ingest(run.recipe())
    return run


BY_DATA = [
    ("evaluate.num_splits=5", "evaluate.num_splits is 5; there are too few samples, .*; allowed are 1 to [1-4]"),
    ("evaluate.num_candidates=8", "evaluate.num_candidates is 8; the prompts hold 5 distinct captions"),
    ("promote.at_least={fid8_indomain: 1}", "'fid8_indomain', which this evaluation does not give; did you mean fid7"),
    ("promote.at_least={fid_limit7_indomain: 1}", "'fid_limit7_indomain', which this evaluation does not give"),
    ("promote.at_least={r_precision_10: 1}", "'r_precision_10', which this evaluation does not give"),
    ("evaluate.group_by=color", "evaluate.group_by is 'color', of which the test split has 0 values"),
    ("task.height=32", "task.height is 32; the pictures of"),
]


@pytest.mark.parametrize(("override", "sentence"), BY_DATA)
def test_what_the_data_decides_is_known_before_training(few: Run, override: str, sentence: str) -> None:
    recipe = few.recipe("evaluate.num_candidates=null", "evaluate.num_splits=null", override)
    with pytest.raises(BadInput, match=sentence):
        require_ingested(recipe, is_evaluated=True, is_trained=True)


def test_defaults_follow_a_small_data_set(few: Run) -> None:
    recipe: Recipe = few.recipe("evaluate.num_candidates=null", "evaluate.num_splits=null")
    require_ingested(recipe, is_evaluated=True, is_trained=True)
    require_feasible(few.recipe("evaluate.num_candidates=null", "promote.at_least={r_precision_5: 0.1}"), "train")


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    overrides = ("ingest.source=image_folder", f"ingest.source_uri={tmp_path}/images")
    with pytest.raises(BadInput, match=r"ingest\.source_uri is .*/images, which does not exist"):
        require_feasible(Run(tmp_path).recipe(*settings(tmp_path, overrides)), "ingest")
    assert not storage.exists(f"{tmp_path}/dataset")
