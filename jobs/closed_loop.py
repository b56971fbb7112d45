"""One model writes prompts, another paints them, a judge filters the images, one manifest traces each to all models.

    ganrnn closed_loop closed_loop

Each step does only what is missing, so a loop that was cut short is finished by calling it again.
"""

from pipelines import storage
from pipelines.closed_loop import lineage
from pipelines.cluster.session import session
from pipelines.config.recipe import Recipe
from pipelines.evaluate.driver import evaluate
from pipelines.formats.manifest import MANIFEST
from pipelines.generate.driver import generate


def act(recipe: Recipe) -> None:
    """From the first model's prompts to a report on the images, in one Ray session; then print what was counted."""
    writer = lineage.dreamer_of(recipe)
    with session():
        generate(writer)
        lineage.commit_prompts(writer.generate.samples_uri, recipe.generate.prompts_uri)
        generate(recipe)
        evaluate(recipe)
    manifest = lineage.commit_manifest(recipe, writer)
    totals = manifest.totals
    print()
    print(f"texts generated       {totals['dreamt']:,}, of which {totals['different']:,} differ")
    print(f"images generated      {totals['painted']:,}")
    print(f"prompts rejected      {totals['rejected']:,}")
    print(f"images and scores     {recipe.evaluate.report_uri}/report.html")
    print(f"contact sheet         {recipe.evaluate.report_uri}/contact_sheet.png")
    print(f"manifest              {storage.join(recipe.run_uri, MANIFEST)}")
    print(*lineage.trace(manifest), sep="\n")
