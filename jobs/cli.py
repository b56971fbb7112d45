"""The command line of every verb: `python -m jobs.VERB RECIPE.yaml [--set a.b=value ...]`, or `ganrnn VERB ...`.

Exit codes: 0 done, 2 input to mend (one sentence on stderr, nothing to retry), 3 not promoted, 1 anything else: the
same command again may succeed.
"""

import argparse
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence

from ganrnn.errors import BadInput, TryAgain
from pipelines.config import Recipe, load_recipe

VERBS = {
    "ingest": "pictures with captions, or texts, to dataset Parquet",
    "train": "a dataset to checkpoints",
    "generate": "prompts Parquet and a model to samples Parquet; --verify checks them",
    "status": "how far a generation is, from its files alone",
    "evaluate": "samples against the reference: report.json and report.html",
    "compare": "two evaluated runs beside each other, or why they may not be",
    "rate": "a page on which people judge samples; --invite makes links, --report says what they found",
    "promote": "a model that holds its thresholds to the registry",
    "nightly": "what a schedule calls: all verbs in order, each does what is missing",
    "demo": "all verbs on embedded defaults, a table of scores at the end",
    "closed_loop": "one model writes prompts, another paints them, a judge filters; one manifest of it all",
    "paint": "one prompt to one PNG",
}


def run(
    verb: str,
    act: Callable[[Recipe], int | None],
    arguments: Sequence[str] | None = None,
    instead: Mapping[str, tuple[Callable[[Recipe], int | None], str]] | None = None,
) -> None:
    """Parse `RECIPE [--set key=value ...]`, run a verb on the recipe and exit with its code.

    `instead` holds flags, name -> (act, meaning), each of which has something else done with the recipe.
    """
    parser = argparse.ArgumentParser(prog=f"ganrnn {verb}", description=VERBS[verb])
    parser.add_argument("recipe", metavar="RECIPE.yaml")
    parser.add_argument("--set", metavar="a.b=value", action="append", default=[], dest="overrides")
    for flag, (other, meaning) in (instead or {}).items():
        parser.add_argument(f"--{flag}", action="store_const", const=other, dest="act", help=meaning)
    parser.set_defaults(act=act)
    given = parser.parse_args(arguments)
    finish(lambda: given.act(load_recipe(given.recipe, given.overrides)))


def finish(act: Callable[[], int | None]) -> None:
    """Exit with what `act` returns; input to mend becomes one sentence and code 2, a store to wait for code 1."""
    try:
        code = act() or 0
    except BadInput as error:
        print(f"ganrnn: {error}", file=sys.stderr)
        code = 1 if isinstance(error, TryAgain) else 2
    sys.exit(code)


def main() -> None:
    """The console script."""
    if len(sys.argv) < 2 or sys.argv[1] not in VERBS:
        lines = [f"  {verb:<11} {meaning}" for verb, meaning in VERBS.items()]
        print("usage: ganrnn VERB RECIPE.yaml [--set a.b=value ...]", *lines, sep="\n", file=sys.stderr)
        sys.exit(0 if sys.argv[1:] in (["-h"], ["--help"]) else 2)
    verb = sys.argv.pop(1)
    importlib.import_module(f"jobs.{verb}").main()
