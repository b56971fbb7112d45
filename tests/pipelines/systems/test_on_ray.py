"""Pools of Ray give every system the samples and the scores that one process gives."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.evaluate.driver import evaluate
from tests.pipelines.systems.systems import SYSTEMS, Promoted, generated
from tests.pipelines.tiny import Run

POOL = ("generate.sampling.num_workers=2", "evaluate.num_workers=2")


@pytest.mark.slow("starts Ray, and pools for each system")
@pytest.mark.parametrize("name", SYSTEMS)
def test_pools_give_what_one_process_gives(
    name: str, promoted_of: Callable[[str], Promoted], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    alone = promoted_of(name)
    request.getfixturevalue("on_ray")  # after what it is compared with
    places = (f"generate.samples_uri={tmp_path}/samples", f"evaluate.report_uri={tmp_path}")
    recipe = alone.run.recipe(*POOL, *places)
    assert generated(recipe).equals(generated(alone.recipe))
    assert evaluate(recipe).to_json()["metrics"] == alone.report["metrics"]
    again = evaluate(
        alone.run.recipe(*POOL, "evaluate.from_prompts=true", f"evaluate.report_uri={tmp_path}/again")
    ).to_json()
    assert again["metrics"] == alone.report["metrics"]


@pytest.mark.slow("starts Ray, and pools that judge")
def test_two_workers_judge_as_one(
    trained: Run, run_of: Callable[[str], Run], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    judge = run_of("match_judge").recipe().train.checkpoint_uri
    chosen = (f"generate.choice={{judge_uri: {judge}, num_candidates: 2}}", f"generate.samples_uri={tmp_path}/samples")
    generated(trained.recipe())
    rows = generated(trained.recipe(*chosen))
    alone = evaluate(trained.recipe(f"evaluate.judge_uri={judge}", f"evaluate.report_uri={tmp_path}/alone")).to_json()
    request.getfixturevalue("on_ray")
    pool = (*POOL, f"generate.samples_uri={tmp_path}/pool")
    assert generated(trained.recipe(*chosen, *pool)).equals(rows)
    two = evaluate(
        trained.recipe(*POOL, f"evaluate.judge_uri={judge}", f"evaluate.report_uri={tmp_path}/two")
    ).to_json()
    assert two["metrics"] == alone["metrics"]
