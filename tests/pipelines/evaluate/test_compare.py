"""Two reports of texts side by side: what is per token is not compared across vocabularies."""

from pathlib import Path

from jobs.compare import table
from pipelines import storage
from pipelines.evaluate.compare import compare
from pipelines.formats.evaluation_report import EvaluationReport
from pipelines.formats.likelihood import LikelihoodProtocol


def test_what_is_per_token_is_not_compared_across_vocabularies(tmp_path: Path) -> None:
    for name, metrics in (("a", {"loss_test": 2.0, "chrf": 30.0}), ("b", {"loss_test": 1.0, "chrf": 20.0})):
        likelihood = LikelihoodProtocol("nothing", name * 64, 64, 1_000, 5_000, 0.0, 0)
        report = EvaluationReport(metrics, "m" * 64, "d" * 64, "p" * 64, None, likelihood=likelihood)
        storage.commit_json(f"{tmp_path}/{name}/report.json", report.to_json())
    loss, chrf = compare(f"{tmp_path}/a", f"{tmp_path}/b")
    assert loss.why_unlike == "it is per token, and the vocabularies differ; bits_per_character_test is comparable"
    assert (loss.better, loss.interval, chrf.why_unlike) == ("", None, "")
    lines = table([loss, chrf]).splitlines()
    assert lines[1].split() == ["loss_test", "2.00", "1.000", "not", "compared"]
    assert lines[2].split() == ["chrf", "30.00", "20.00", "10.00"]
    (same, _) = compare(f"{tmp_path}/a", f"{tmp_path}/a")
    assert same.why_unlike == ""
