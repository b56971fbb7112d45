"""Writing a text as a reinforcement-learning environment of Gymnasium: `pip install "ganrnn[reinforcement]"`.

    files = {path.name: path.read_bytes() for path in Path("runs/.../checkpoints/step-00001600").iterdir()}
    task = checkpoint.load_sampler(files)
    checkpoint.restore(task, files)  # its discriminator too
    environment = TextEnvironment(task.vocabulary, task.reward, max_tokens=96)

or `gymnasium.make("ganrnn.text.environment:ganrnn/Text-v0", vocabulary=..., reward=...)`. An episode is one text, an
action its next token. Any function of the tokens so far may give the rewards.
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
    """One text after the other, from its beginning, token by token.

    Action i writes token END + i: PAD, UNKNOWN and BEGIN are never written. An observation is the tokens so far, int64
    [max_tokens] with PAD behind them. Each step brings the `reward` of the tokens so far, END being one. An episode
    terminates with END and is truncated at `max_tokens` without it. Nothing in it is random. Raises BadInput for a
    number of tokens below 1 and an unknown render_mode; `ansi` renders the text.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012  # as Gymnasium has it

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
        """Begin a text; there are no options."""
        super().reset(seed=seed)
        self.tokens = []
        return self._observation(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Write one more token: observation, reward, terminated, truncated, nothing."""
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
