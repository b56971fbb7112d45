"""The loop closed: one model writes prompts, another paints them, a judge filters, one manifest holds it together.

    ganrnn closed_loop jobs/recipes/closed_loop.yaml

Each step does only what is missing, so a loop that was cut short is finished by calling it again.
"""

from collections.abc import Mapping
from typing import Any

from jobs import cli
from pipelines import storage
from pipelines.closed_loop import lineage
from pipelines.cluster.session import session
from pipelines.config import Recipe
from pipelines.evaluate.driver import evaluate
from pipelines.formats.manifest import MANIFEST
from pipelines.generate.driver import generate


def act(recipe: Recipe) -> None:
    """From the dreamer's prompts to a report on the pictures, in one Ray session; then say what came of it."""
    dreamer = lineage.dreamer_of(recipe)
    with session():
        generate(dreamer)
        lineage.commit_prompts(dreamer.generate.samples_uri, recipe.generate.prompts_uri)
        generate(recipe)
        evaluate(recipe)
    whole = lineage.commit_manifest(recipe, dreamer)
    totals = whole["totals"]
    print()
    print(f"sentences dreamt      {totals['dreamt']:,}, of which {totals['different']:,} differ")
    print(f"pictures              {totals['painted']:,}")
    print(f"prompts rejected      {totals['rejected']:,}")
    print(f"pictures and scores   {recipe.evaluate.report_uri}/report.html")
    print(f"contact sheet         {recipe.evaluate.report_uri}/contact_sheet.png")
    print(f"manifest              {storage.join(recipe.run_uri, MANIFEST)}")
    print(*_trace(whole), sep="\n")


def _trace(whole: Mapping[str, Any]) -> list[str]:
    """Lines that lead from the first picture back to its makers."""
    shard = next(shard for shard in whole["shards"] if shard["rows"])
    row = storage.read_table([shard["uri"]]).slice(0, 1).to_pylist()[0]
    lines = [
        f"for example           {row['sample_id']} in {shard['uri']}",
        f"  was painted by      {row['model_digest']}",
        f"  for the prompt      {row['prompt']}",
        f"  dreamt by           {row['dreamer_digest']}",
        f"  as the text         {row['prompt_id']} in {whole['inputs']['dreamer']['samples_uri']}",
    ]
    if judge := whole["inputs"]["judge"]:
        lines.append(f"  and chosen by       {judge['judge_digest']}, match_score {row['match_score']:.4f}")
    return lines


def main() -> None:
    """Entry point of `ganrnn closed_loop`."""
    cli.run("closed_loop", act)


if __name__ == "__main__":
    main()
