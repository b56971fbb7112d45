"""Check a recipe as `nightly` does before it begins, write nothing, and print what nightly would do.

ganrnn validate demo
"""

from jobs.checks.driver import require_feasible, require_resources
from pipelines import storage
from pipelines.cluster.session import session
from pipelines.config.recipe import Recipe
from pipelines.formats.evaluation_report import REPORT
from pipelines.formats.manifest import MANIFEST


def act(recipe: Recipe) -> None:
    """Print a line for each verb: from where to where, and whether it is done already."""
    require_feasible(recipe, "nightly")
    with session() as runner:
        require_resources(runner, recipe)
    ingest, promote = recipe.ingest, recipe.promote
    source = ingest.source_uri or f"{ingest.scenes.num_train:,} built-in scenes for training"
    steps = (
        ("ingest", f"{source} to {ingest.dataset_uri}", storage.join(ingest.dataset_uri, MANIFEST)),
        ("train", f"{recipe.task.name}, {recipe.task.num_steps:,} steps, to {recipe.train.checkpoint_uri}", ""),
        (
            "generate",
            f"{recipe.generate.prompts_uri} to {recipe.generate.samples_uri}",
            storage.join(recipe.generate.samples_uri, MANIFEST),
        ),
        ("evaluate", f"to {recipe.evaluate.report_uri}", storage.join(recipe.evaluate.report_uri, REPORT)),
        ("promote", f"as {promote.registered_model} in {recipe.tracking.experiment}", ""),
    )
    for verb, what, result in steps:
        print(f"{verb:<10}{what}{', which is there' if result and storage.exists(result) else ''}")
    thresholds = [f"{name} >= {bound:g}" for name, bound in promote.at_least.items()]
    thresholds += [f"{name} <= {bound:g}" for name, bound in promote.at_most.items()]
    print(f"{'':<10}if {' and '.join(thresholds)}" if thresholds else f"{'':<10}without thresholds")
