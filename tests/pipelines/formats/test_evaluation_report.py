"""report.json: earlier reports give the same content again, parts that an evaluation does not have are left out."""

from pathlib import Path
from typing import Any

import pytest

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.formats.evaluation_report import EvaluationReport, read

FIXTURES = Path(__file__).parents[2] / "fixtures/1f2d0ad"
LEAST: dict[str, Any] = {
    "metrics": {"bleu_test": 0.5},
    "model_digest": "m",
    "dataset_digest": "d",
    "protocol_digest": "p",
    "samples_manifest_digest": None,
}
SWEEP = {
    "curves": {"lstm": {"model_digest": "m", "points": [{"temperature": 0.7, "bleu_test": 0.4, "self_bleu_9": 0.2}]}},
    "real": {"bleu_test": 0.6, "self_bleu_9": 0.1},
    "signatures": {"bleu_test": "nrefs:1"},
}
GROUP = {"num_pictures": 3, "metrics": {"fid3_indomain": 1.5}, "intervals": {"shape_accuracy": [0.1, 0.9]}}
GROUPS = {"by": "shape", "samples": {"circle": GROUP}, "real": {"circle": GROUP | {"num_pictures": 2}}}


@pytest.mark.parametrize("name", ["pictures", "texts"])
def test_an_earlier_report_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    storage.commit_json(f"{tmp_path}/report.json", read(f"{FIXTURES}/{name}/report.json").to_json())
    assert (tmp_path / "report.json").read_bytes() == (FIXTURES / name / "report.json").read_bytes()


def test_groups_and_sweeps_are_objects_in_between() -> None:
    content = EvaluationReport.from_json(LEAST).to_json() | {"groups": GROUPS, "sweep": SWEEP}
    report = EvaluationReport.from_json(content)
    assert report.groups and report.groups.samples["circle"].intervals["shape_accuracy"] == (0.1, 0.9)
    assert report.sweep and report.sweep.curves["lstm"].points[0].temperature == 0.7
    assert report.sweep.curves["lstm"].points[0].scores == {"bleu_test": 0.4, "self_bleu_9": 0.2}
    assert report.to_json() == content


def test_what_an_evaluation_does_not_have_is_left_out() -> None:
    content = EvaluationReport.from_json(LEAST).to_json()
    assert content["samples_manifest_digest"] is None
    assert not {"marks", "extractors", "groups", "signatures", "sweep"} & content.keys()


@pytest.mark.parametrize("content", [{"metrics": {}}, ["metrics"]])
def test_an_incomplete_report_is_refused(content: Any, tmp_path: Path) -> None:
    storage.commit_json(f"{tmp_path}/report.json", content)
    with pytest.raises(
        BadInput, match=r"report\.json has no '(model_digest|metrics)'; a report of evaluate holds metr"
    ):
        read(f"{tmp_path}/report.json")
