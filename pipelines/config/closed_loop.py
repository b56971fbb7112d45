"""Another model that writes the prompts: the section `dream` of a recipe."""

from dataclasses import dataclass

from ganrnn.errors import BadInput


@dataclass(frozen=True)
class DreamConfig:
    """A model whose texts are the prompts of another one."""

    #: Recipe, by path or by the name of a packaged one, whose task gives texts: the prompts of this recipe.
    recipe: str = ""
    overrides: tuple[str, ...] = ()  #: Keys that are set in that recipe, each a.b=value.

    def __post_init__(self) -> None:
        if self.overrides and not self.recipe:
            raise BadInput("dream.recipe is missing; give the recipe that dream.overrides are for")
        for override in self.overrides:
            key, equals, _ = override.partition("=")
            if not key or not equals:
                raise BadInput(f"dream.overrides holds {override!r}; allowed is a.b=value, such as generate.seed=1")
