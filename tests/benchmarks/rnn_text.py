"""RNNs of texts: losses, speeds of training and of decoding, scores of recipes, whether batches change what is written.

    PYTHONPATH=. python tests/benchmarks/rnn_text.py [--only NAME ...]          (make bench-texts)

Groups that ask for data or for peers, by environment variables, run where these are set: see ASKS and the modules.
Prints a table and merges it into tests/benchmarks/results/rnn_text.json.
"""

import argparse
import os
from collections.abc import Callable, Iterable

import bare_lstm
import batch_invariance
import decode_speed
import nanogpt_peer
import poem_forms
import text_recipes
from record import ROOT, Figure, provenance, save, table

RESULTS = ROOT / "tests/benchmarks/results/rnn_text.json"
GROUPS: dict[str, Callable[[], list[Figure]]] = {
    "nanogpt": nanogpt_peer.measure,
    "bare_lstm": bare_lstm.measure,
    "decode": decode_speed.measure,
    "invariance": batch_invariance.measure,
    "poems": poem_forms.measure,
    **text_recipes.GROUPS,
}
# What a group cannot do without, by environment variables.
ASKS: dict[str, Iterable[str]] = {
    **dict.fromkeys(GROUPS, ()),
    **dict.fromkeys((*text_recipes.GROUPS, "poems"), ("DATA",)),
    "nanogpt": nanogpt_peer.ASKED,
    "bare_lstm": bare_lstm.ASKED,
}


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=sorted(GROUPS), help="a group of figures; may be repeated")
    given = parser.parse_args()
    only = "".join(f" --only {name}" for name in given.only or [])
    about = provenance(f"PYTHONPATH=. python tests/benchmarks/rnn_text.py{only}")
    figures: list[Figure] = []
    for name in given.only or [name for name, asked in ASKS.items() if all(map(os.environ.get, asked))]:
        print(name, flush=True)
        made = GROUPS[name]()
        save(RESULTS, made, about)
        figures += made
    print()
    print(table(figures))


if __name__ == "__main__":
    main()
