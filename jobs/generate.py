"""Sample a model for every prompt.

ganrnn generate demo
ganrnn generate demo --verify --set generate.verify_share=0.1
"""

from collections.abc import Mapping

from jobs.checks.driver import require_feasible
from pipelines.config.recipe import Recipe
from pipelines.generate.driver import generate, generate_increment
from pipelines.generate.verify import verify


def act(recipe: Recipe) -> None:
    """Print what was counted, over all folders where `generate.incremental` is set."""
    require_feasible(recipe, "generate")
    if not recipe.generate.incremental:
        _print_counts(recipe, generate(recipe).counts)
        return
    folders = [manifest.counts for manifest in generate_increment(recipe)]
    names = folders[0] if folders else ()
    _print_counts(recipe, {"files": len(folders)} | {name: sum(counts[name] for counts in folders) for name in names})


def check(recipe: Recipe) -> None:
    """What `--verify` does."""
    _print_counts(recipe, verify(recipe))


def _print_counts(recipe: Recipe, counts: Mapping[str, int]) -> None:
    print(f"{recipe.generate.samples_uri}: " + ", ".join(f"{name} {value}" for name, value in counts.items()))
