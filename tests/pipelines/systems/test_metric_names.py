"""The metrics that an evaluation is said to give are those that it gives, for every system."""

from collections.abc import Callable

import pytest

from jobs.checks.driver import require_feasible
from jobs.checks.settings import expected_of
from pipelines.evaluate.metric_names import Expected, metric_names
from pipelines.formats.metric_descriptions import default_champion_metric
from tests.pipelines.systems.systems import SYSTEMS, Promoted

CHAMPIONS = {"images": "r_precision_", "texts": "bits_per_character_test", "scores": "right"}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_gives_the_metrics_that_are_declared(name: str, promoted_of: Callable[[str], Promoted]) -> None:
    promoted = promoted_of(name)
    num_samples = int(promoted.report["counts"]["samples"])
    before = expected_of(promoted.recipe)
    exact = Expected((num_samples, num_samples), before.num_candidates, before.attributes, before.has_sources)
    given = set(promoted.report["metrics"])
    for expected in (before, exact):
        declared = metric_names(promoted.recipe, expected, None)
        assert [metric for metric in given if not any(one.matches(metric) for one in declared)] == []
    certain = [one for one in declared if one.is_certain]
    assert [str(one) for one in certain if not any(map(one.matches, given))] == []
    assert default_champion_metric(given).startswith(CHAMPIONS[promoted.task().output_modality])
    require_feasible(promoted.recipe, "promote")
