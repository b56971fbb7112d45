"""The command line of every verb: `ganrnn VERB ...`, or `python -m jobs VERB ...`.

Help and refusals of arguments appear at once: the module of a verb, which loads torch and MLflow, is imported only
after its arguments have been accepted.
"""

import argparse
import difflib
import importlib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from ganrnn.errors import BadInput, TryAgain
from jobs.verbs import VERBS, Verb
from pipelines.config.overrides import parse_override
from pipelines.config.packaged import recipe_path

EXIT_CODES = """exit codes:
  0  done
  1  anything unforeseen, or a store that does not answer: the same command may succeed later
  2  invalid input, named in one sentence: fix it before retrying
  3  not promoted: the model is registered as a challenger"""


class Parser(argparse.ArgumentParser):
    """A parser that refuses arguments in one sentence, without the usage."""

    def error(self, message: str) -> NoReturn:
        message = message.replace("the following arguments are required: ", "missing argument ")
        self.exit(2, f"{self.prog}: {message}{'' if message.endswith('?') else ';'} see `{self.prog} --help`\n")


def parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser of the whole command line, and those of the verbs by name."""
    whole = Parser(
        prog="ganrnn",
        description="Trains GANs, RNNs and the two combined, and generates from prompts at scale.",
        epilog=f"`ganrnn VERB --help` says what a verb reads and writes.\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    whole.add_argument("--version", action="store_true", help="print the installed version and exit")
    subparsers = whole.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    parsers = {}
    for name, verb in VERBS.items():
        parsers[name] = subparsers.add_parser(
            name,
            help=verb.summary,
            description=_description(verb),
            epilog="\n  ".join(["for example:", *verb.examples]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        parsers[name].set_defaults(act="act")
        verb.add_arguments(parsers[name])
    return whole, parsers


def _description(verb: Verb) -> str:
    uses = [f"{name:<8}{what}" for name, what in (("reads", verb.reads), ("writes", verb.writes)) if what]
    return "\n".join([f"{verb.summary.capitalize()}.", *([""] if uses else []), *uses])


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments by name; exits with code 0 after help and version, and with 2 after a refusal."""
    whole, parsers = parser()
    if arguments and not arguments[0].startswith("-") and arguments[0] not in VERBS:
        whole.error(f"{arguments[0]!r} is no verb{_nearest(arguments[0], VERBS)}")
    if "--version" in arguments[1:]:
        whole.error("--version is given without a verb")
    options, unknown = whole.parse_known_args(arguments)
    if options.version:
        from importlib.metadata import version

        print(f"ganrnn {version('ganrnn')}")
        whole.exit()
    chosen = parsers.get(options.verb, whole)
    if unknown:
        known = re.findall(r"--[a-z-]+", chosen.format_usage())
        chosen.error(f"unknown argument {unknown[0]!r}{_nearest(unknown[0].partition('=')[0], known)}")
    if options.verb is None:
        whole.error(f"missing argument VERB, one of {', '.join(VERBS)}")
    return options


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def finish(act: Callable[[], int | None]) -> NoReturn:
    """Exit with what `act` returns; invalid input becomes one sentence and code 2, a store that may recover code 1."""
    try:
        code = act() or 0
    except BadInput as error:
        # A name in a message may have line breaks, and sequences that a terminal obeys.
        sentence = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda match: repr(match[0])[1:-1], str(error))
        print(f"ganrnn: {sentence}", file=sys.stderr)
        code = 1 if isinstance(error, TryAgain) else 2
    except KeyboardInterrupt:
        print("ganrnn: interrupted; run the same command again to go on where it was", file=sys.stderr)
        code = 1
    sys.exit(code)


def run(options: argparse.Namespace) -> int | None:
    """What the verb does with its recipe, or with its own arguments; returns an exit code, or None for 0."""
    for override in getattr(options, "overrides", []):
        parse_override(override)
    if getattr(options, "recipe", None):
        options.recipe = recipe_path(options.recipe)
    if not VERBS[options.verb].reads_recipe:
        return _act(options, options)
    from pipelines.config.loader import load_recipe  # loads torch, which the refusals above need not wait for

    return _act(options, load_recipe(options.recipe, options.overrides))


def _act(options: argparse.Namespace, argument: Any) -> int | None:
    code: int | None = getattr(importlib.import_module(f"jobs.{VERBS[options.verb].module}"), options.act)(argument)
    return code


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    finish(lambda: run(options))
