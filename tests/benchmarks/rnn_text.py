"""RNNs of texts: losses, speeds of training and of decoding, scores of recipes, whether batches change what is written.

    PYTHONPATH=. python tests/benchmarks/rnn_text.py [--only NAME ...]          (make bench-texts)

Groups that ask for data or for peers, by environment variables, run where these are set: see ASKS and the modules.
Prints a table and merges it into tests/benchmarks/results/rnn_text.json.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.benchmarks.record import Figure, run_groups
from tests.benchmarks.texts import bare_lstm, batch_invariance, decode_speed, nanogpt_peer, poem_forms, text_recipes

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


if __name__ == "__main__":
    run_groups(
        Path(__file__), __doc__, GROUPS, [name for name, asked in ASKS.items() if all(map(os.environ.get, asked))]
    )
