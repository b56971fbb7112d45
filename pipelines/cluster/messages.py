"""What remote work tells the driver: messages while it runs, and a refusal as a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ganrnn.errors import BadInput, TryAgain


@dataclass(frozen=True)
class Progress:
    """How much is done of the total that the bar knows, and numbers to show next to it."""

    done: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Line:
    """A line for the terminal."""

    text: str


@dataclass(frozen=True)
class Refusal:
    """A BadInput as a value: Ray would hand an exception on as one of another type."""

    text: str
    is_transient: bool

    @classmethod
    def of(cls, error: BadInput) -> "Refusal":
        """The value of an exception."""
        return cls(str(error), isinstance(error, TryAgain))

    def error(self) -> BadInput:
        """The exception, to be raised."""
        return TryAgain(self.text) if self.is_transient else BadInput(self.text)


Message = Progress | Line


class Reports(Protocol):
    """Where messages go: a queue to the driver, or the driver itself."""

    def put(self, message: Message) -> None:
        """Hand a message over."""
        ...
