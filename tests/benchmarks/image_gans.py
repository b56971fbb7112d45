"""Image GANs: modes covered by each objective, trainings brought back by the guard, scores of recipes, peers.

    PYTHONPATH=. python tests/benchmarks/image_gans.py [--only NAME ...]        (make bench-gans)

`peers` runs where gan_peers.py finds them. Prints a table and merges it into tests/benchmarks/results/image_gans.json.
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
    "recipes": recipe_scores.measure,
    "peers": gan_peers.measure,
}


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=sorted(GROUPS), help="a group of figures; may be repeated")
    given = parser.parse_args()
    only = "".join(f" --only {name}" for name in given.only or [])
    about = provenance(f"PYTHONPATH=. python tests/benchmarks/image_gans.py{only}")
    figures: list[Figure] = []
    for name in given.only or [name for name in GROUPS if name != "peers" or "STUDIOGAN" in os.environ]:
        print(name, flush=True)
        made = GROUPS[name]()
        save(RESULTS, made, about)
        figures += made
    print()
    print(table(figures))


if __name__ == "__main__":
    main()
