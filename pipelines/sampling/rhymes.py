"""Rhymes that stand in a file of their own, read when a verb is about to decode texts."""

from dataclasses import replace

from ganrnn.decoding.poem_constraint import RhymeSets
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.recipe import Recipe


def with_rhymes(recipe: Recipe) -> Recipe:
    """A copy of a recipe whose decoding rules hold the content of `generate.sampling.rhymes_uri`, where it is given.

    Raises BadInput where the file cannot be read or does not hold sets of rhyming characters, a set a line.
    """
    sampling = recipe.generate.sampling
    if not sampling.rhymes_uri:
        return recipe
    try:
        lines = storage.read_bytes(sampling.rhymes_uri).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadInput(f"sampling.rhymes_uri {sampling.rhymes_uri} is not UTF-8 ({error})") from error
    RhymeSets.read("\n".join(lines))
    sampling = replace(sampling, decoding=replace(sampling.decoding, rhymes=tuple(lines)), rhymes_uri=None)
    return replace(recipe, generate=replace(recipe.generate, sampling=sampling))
