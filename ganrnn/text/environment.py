"""Text generation as a Gymnasium environment: `pip install "ganrnn[reinforcement]"`.

    files = {path.name: path.read_bytes() for path in Path("runs/.../checkpoints/step-00001600").iterdir()}
    task = checkpoint.load_sampler(files)
    checkpoint.restore(task, files)  # also loads the discriminator
    environment = TextEnvironment(task.vocabulary, task.reward, max_tokens=96)

or `gymnasium.make("ganrnn.text.environment:ganrnn/Text-v0", vocabulary=..., reward=...)`. An episode is one text, an
action its next token. Rewards may come from any function of the tokens so far.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ganrnn.errors import BadInput
from ganrnn.text.vocabulary import END, PAD, TextVocabulary

try:
    import gymnasium
    from gymnasium import spaces
except ModuleNotFoundError as error:
    raise BadInput(
        f'environment: {error.name} is not installed, pip install "ganrnn[reinforcement]" adds it'
    ) from error

Reward = Callable[[Sequence[int]], float]


class TextEnvironment(gymnasium.Env):
    """Generates texts token by token, one text per episode.

    Action i appends token END + i: PAD, UNKNOWN and BEGIN cannot be generated. An observation is the tokens so far,
    int64 [max_tokens], padded with PAD. The reward of a step is `reward` of the tokens so far, END included. An episode
    terminates with END and is truncated after `max_tokens` tokens. The environment is deterministic. Raises BadInput
    for `max_tokens` below 1 and an unknown render_mode; `ansi` renders the text.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012  # an attribute of Gymnasium's base class

    def __init__(
        self, vocabulary: TextVocabulary, reward: Reward, max_tokens: int = 64, render_mode: str | None = None
    ) -> None:
        if max_tokens < 1:
            raise BadInput(f"environment: max_tokens is {max_tokens}; allowed are values from 1 up")
        if render_mode not in (None, "ansi"):
            raise BadInput(f"environment: render_mode is {render_mode!r}; allowed are None and 'ansi'")
        self.vocabulary, self.reward, self.max_tokens, self.render_mode = vocabulary, reward, max_tokens, render_mode
        self.action_space = spaces.Discrete(len(vocabulary) - END)
        self.observation_space = spaces.MultiDiscrete(np.full(max_tokens, len(vocabulary)))
        self.tokens: list[int] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a new text; there are no options."""
        super().reset(seed=seed)
        self.tokens = []
        return self._observation(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Append a token; returns observation, reward, terminated, truncated and an empty info."""
        self.tokens.append(END + int(action))
        terminated = self.tokens[-1] == END
        truncated = len(self.tokens) == self.max_tokens and not terminated
        return self._observation(), float(self.reward(tuple(self.tokens))), terminated, truncated, {}

    def render(self) -> str | None:
        """The text so far."""
        return self.vocabulary.decode(self.tokens) if self.render_mode == "ansi" else None

    def _observation(self) -> np.ndarray:
        observation = np.full(self.max_tokens, PAD, np.int64)
        observation[: len(self.tokens)] = self.tokens
        return observation


gymnasium.register("ganrnn/Text-v0", entry_point="ganrnn.text.environment:TextEnvironment")
