"""Image GANs: modes covered by each objective, trainings brought back by the guard, scores of recipes, peers.

    PYTHONPATH=. python tests/benchmarks/image_gans.py [--only NAME ...]        (make bench-gans)

Groups that ask for data or for peers run where recipe_scores.py and gan_peers.py are given them. Prints a table and
merges it into tests/benchmarks/results/image_gans.json.
"""

import os
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import recipe_scores
from tests.benchmarks.gans import collapses, gan_peers, modes
from tests.benchmarks.record import Figure, run_groups

GROUPS: dict[str, Callable[[], list[Figure]]] = {
    "modes": modes.measure,
    "collapses": collapses.measure,
    **recipe_scores.GROUPS,
    "peers": gan_peers.measure,
}
# What a group cannot do without, by environment variable.
ASKS = dict.fromkeys(GROUPS) | {"cifar10": "CIFAR10", "peers": "STUDIOGAN"}


if __name__ == "__main__":
    run_groups(
        Path(__file__), __doc__, GROUPS, [name for name, asked in ASKS.items() if asked is None or asked in os.environ]
    )
