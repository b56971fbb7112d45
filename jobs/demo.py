"""The first command to run: all verbs in order, a table of scores, and a prompt to try.

ganrnn demo
"""

import sys
import time

from jobs import nightly
from pipelines import storage
from pipelines.config.recipe import Recipe
from pipelines.formats import evaluation_report
from pipelines.report import scores


def act(recipe: Recipe) -> None:
    """Run the verbs, then print the scores and where the files are."""
    started = time.monotonic()
    print(
        "ganrnn demo: text goes in, an RNN reads it, a GAN paints it. About ten minutes on two cores.", file=sys.stderr
    )
    nightly.act(recipe)
    uri = recipe.evaluate.report_uri
    seconds = time.monotonic() - started
    storage.commit_json(storage.join(recipe.run_uri, "demo.json"), {"seconds": round(seconds, 1)})
    print()
    print(scores.score_table(evaluation_report.read(f"{uri}/report.json")))
    print()
    print(f"images and scores     {uri}/report.html")
    print(f"contact sheet         {uri}/contact_sheet.png")
    print('try a prompt          .venv/bin/ganrnn paint "a large blue triangle at the left on a black background"')
    print(f"finished in {seconds / 60:.1f} minutes")
