"""Image GANs: modes covered by each objective, trainings brought back by the guard, scores of recipes, peers.

    PYTHONPATH=. python tests/benchmarks/image_gans.py [--only NAME ...]        (make bench-gans)

Groups that ask for data or for peers run where recipe_scores.py and gan_peers.py are given them. Prints a table and
merges it into tests/benchmarks/results/image_gans.json.
"""

import argparse
import os
from collections.abc import Callable

import collapses
import gan_peers
import modes
import recipe_scores
from record import ROOT, Figure, provenance, save, table

RESULTS = ROOT / "tests/benchmarks/results/image_gans.json"
GROUPS: dict[str, Callable[[], list[Figure]]] = {
    "modes": modes.measure,
    "collapses": collapses.measure,
    **recipe_scores.GROUPS,
    "peers": gan_peers.measure,
}
# What a group cannot do without, by environment variable.
ASKS = dict.fromkeys(GROUPS) | {"cifar10": "CIFAR10", "peers": "STUDIOGAN"}


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=sorted(GROUPS), help="a group of figures; may be repeated")
    given = parser.parse_args()
    only = "".join(f" --only {name}" for name in given.only or [])
    about = provenance(f"PYTHONPATH=. python tests/benchmarks/image_gans.py{only}")
    figures: list[Figure] = []
    for name in given.only or [name for name, asked in ASKS.items() if asked is None or asked in os.environ]:
        print(name, flush=True)
        made = GROUPS[name]()
        save(RESULTS, made, about)
        figures += made
    print()
    print(table(figures))


if __name__ == "__main__":
    main()
