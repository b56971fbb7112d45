"""People judge samples in the browser: serve the page, invite raters, report what they found.

export GANRNN_RATE_SECRET="$(openssl rand -hex 32)"
ganrnn rate runs/demo/samples runs/demo/dataset
ganrnn rate runs/demo/samples runs/demo/dataset --invite 20
ganrnn rate runs/demo/samples runs/demo/dataset --report
"""

import argparse

from jobs import cli
from pipelines import storage
from pipelines.config import bare_recipe, load_recipe
from pipelines.formats.ratings import REPORT
from pipelines.rate import driver


def act(given: argparse.Namespace) -> None:
    """What the flags ask for."""
    recipe = load_recipe(given.recipe, given.overrides) if given.recipe else bare_recipe("rate", given.overrides)
    sources = storage.absolute(given.samples_uri), storage.absolute(given.reference_uri)
    if given.invite is not None:
        print(*driver.invite(recipe, *sources, given.invite), sep="\n")
    elif given.report:
        from pipelines.rate import report  # MLflow takes seconds to load, which the page does not need

        print(report.table(report.report(recipe, *sources)))
        print(f"{recipe.rate.study_uri}/{REPORT}")
    else:
        driver.serve(recipe, *sources)


def main() -> None:
    """Entry point of `ganrnn rate`."""
    parser = argparse.ArgumentParser(prog="ganrnn rate", description=cli.VERBS["rate"])
    parser.add_argument("samples_uri", metavar="SAMPLES_URI", help="what a model made: samples, or a Parquet file")
    parser.add_argument("reference_uri", metavar="REFERENCE_URI", help="a data set, or samples of another model")
    parser.add_argument("recipe", metavar="RECIPE.yaml", nargs="?", help="its sections rate and tracking count here")
    parser.add_argument("--set", metavar="a.b=value", action="append", default=[], dest="overrides")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--invite", metavar="N", type=int, help="print links for N raters")
    other.add_argument("--report", action="store_true", help="what the answers say: JSON, Parquet and an MLflow run")
    given = parser.parse_args()
    cli.finish(lambda: act(given))


if __name__ == "__main__":
    main()
