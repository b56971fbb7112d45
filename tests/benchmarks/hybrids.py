"""RNN and GAN together: judges, a judge's choice, dreamt and rewarded texts, the environment for agents.

    PYTHONPATH=. python tests/benchmarks/hybrids.py [--only NAME ...]           (make bench-hybrids)

Those of data that are not part of the project ask for DATA, as judges.py says. Prints a table and merges it into
tests/benchmarks/results/hybrids.json.
"""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

from ganrnn.text.vocabulary import TextVocabulary
from tests.benchmarks.combined import (
    best_of_four,
    dreamt_texts,
    judges,
    loop_filter,
    reinforced_texts,
    swept_texts,
    taught_pictures,
)
from tests.benchmarks.record import Figure, run_groups
from tests.benchmarks.texts.text_recipes import molecules_of


def gymnasium_check() -> list[Figure]:
    """1 where Gymnasium's own checker has nothing to say against the environment."""
    import gymnasium
    from gymnasium.utils.env_checker import check_env

    vocabulary = TextVocabulary.build("character", ["abc"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = gymnasium.make(
            "ganrnn.text.environment:ganrnn/Text-v0",
            vocabulary=vocabulary,
            reward=lambda tokens: 0.0,
            max_tokens=8,
            render_mode="ansi",
        )
        check_env(made.unwrapped)
    return [Figure("gymnasium_check", 1.0, {})]


ASKS_FOR_DATA = ("judge_nlvr", "taught_boxes", "swept_poems", "dreamt_molecules")
GROUPS: dict[str, Callable[[], list[Figure]]] = {
    **judges.GROUPS,
    **taught_pictures.GROUPS,
    **swept_texts.GROUPS,
    "dreamt_molecules": lambda: molecules_of("dreamt_molecules", "dreamt_smiles"),
    "best_of_four": best_of_four.measure,
    "closed_loop": loop_filter.measure,
    "dreamt": dreamt_texts.measure,
    "reinforced": reinforced_texts.measure,
    "gymnasium": gymnasium_check,
}


if __name__ == "__main__":
    names = [name for name in GROUPS if name not in ASKS_FOR_DATA or os.environ.get("DATA")]
    run_groups(Path(__file__), __doc__, GROUPS, names)
