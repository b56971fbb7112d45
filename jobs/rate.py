"""People judge samples in the browser: serve the page, invite raters, report their answers.

export GANRNN_RATE_SECRET="$(openssl rand -hex 32)"
ganrnn rate runs/demo/samples runs/demo/dataset
ganrnn rate runs/demo/samples runs/demo/dataset --invite 20
ganrnn rate runs/demo/samples runs/demo/dataset --report
"""

from argparse import Namespace

from pipelines import storage
from pipelines.config.loader import bare_recipe, load_recipe
from pipelines.formats.ratings import REPORT
from pipelines.rate import driver


def act(options: Namespace) -> None:
    """Serve the page, or print links or the table of answers."""
    overrides = options.overrides
    recipe = load_recipe(options.recipe, overrides) if options.recipe else bare_recipe("rate", overrides)
    sources = (
        storage.absolute(options.samples_uri, "SAMPLES_URI"),
        storage.absolute(options.reference_uri, "REFERENCE_URI"),
    )
    if options.invite is not None:
        print(*driver.invite(recipe, *sources, options.invite), sep="\n")
    elif options.report:
        from pipelines.rate import report  # MLflow takes seconds to load, which the page does not need

        print(report.table(report.report(recipe, *sources)))
        print(f"{recipe.rate.study_uri}/{REPORT}")
    else:
        driver.serve(recipe, *sources)
