"""Which tokens would write a banned text."""

from collections.abc import Sequence

from ganrnn.text.vocabulary import TextVocabulary


def completing_tokens(vocabulary: TextVocabulary, banned: str, tokens: Sequence[int]) -> list[int]:
    """The tokens that are a banned text, with and without a blank before it, or would complete it after `tokens`.

    Raises BadInput if neither form is a token.
    """
    word = banned.removeprefix(" ")
    forms = [word, f" {word}"] if word else [banned]
    completing = [token for form in forms if (token := vocabulary.find(form)) is not None]
    if not completing:
        vocabulary.id_of(banned)  # says what is allowed
    tail = vocabulary.decode(tokens[-len(word) :]) if word else ""
    for size in range(1, len(word)):
        if tail.endswith(word[:size]):
            rest, surfaces = word[size:], vocabulary.surfaces  # type: ignore[attr-defined]
            completing += [token for token, surface in enumerate(surfaces) if surface.startswith(rest)]
    return completing
