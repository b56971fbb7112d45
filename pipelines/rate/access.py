"""Who may rate, and how fast: signed invite links with a random rater each, token buckets.

    invites = Invites(secret_from(os.environ), study_id, max_days=30)
    rater = invites.rater(invites.new())

A link holds all that is needed to check it, so that nothing is stored before its rater answers. The rater is 16 random
hexadecimal digits: nothing in a study says who that is.
"""

import hashlib
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from itsdangerous import BadSignature, TimestampSigner

from ganrnn.errors import BadInput

SECRET = "GANRNN_RATE_SECRET"
_LEAST_CHARACTERS = 32
_RATER = re.compile(r"[0-9a-f]{16}")


def secret_from(environment: Mapping[str, str]) -> str:
    """The secret that signs invites; BadInput where it is missing or short enough to be guessed."""
    secret = environment.get(SECRET, "")
    if len(secret) < _LEAST_CHARACTERS:
        raise BadInput(
            f"{SECRET} has {len(secret)} characters; it signs the invite links and needs {_LEAST_CHARACTERS} or more, "
            f'for example: export {SECRET}="$(openssl rand -hex 32)", kept for as long as the study runs'
        )
    return secret


class Invites:
    """Invites of one study: its secret and its id sign them, and they end after `max_days`."""

    def __init__(self, secret: str, study_id: str, max_days: float) -> None:
        salt, self._max_seconds = f"ganrnn rate {study_id}", int(max_days * 86_400)
        self._signer = TimestampSigner(secret, salt=salt, key_derivation="hmac", digest_method=hashlib.sha256)

    def new(self) -> str:
        """A token for a rater who is nobody yet."""
        return self._signer.sign(secrets.token_hex(8)).decode()

    def rater(self, token: str) -> str | None:
        """The rater of a token; None for one that is forged, of another study or too old."""
        try:
            rater = self._signer.unsign(token, max_age=self._max_seconds).decode()
        except (BadSignature, UnicodeDecodeError):
            return None
        return rater if _RATER.fullmatch(rater) else None


class Buckets:
    """A token bucket for each name: `per_second` requests on average, `burst` at once. Of idle names none is kept."""

    def __init__(
        self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic, max_names: int = 10_000
    ) -> None:
        self._per_second, self._burst, self._clock, self._max_names = per_second, burst, clock, max_names
        self._lock = threading.Lock()
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> float:
        """0 where a request may pass, else the seconds after which one may."""
        with self._lock:
            now = self._clock()
            tokens, then = self._held.pop(name, (self._burst, now))
            tokens = min(self._burst, tokens + (now - then) * self._per_second)
            passes = tokens >= 1
            self._held[name] = (tokens - passes, now)
            if len(self._held) > self._max_names:
                self._held.popitem(last=False)
            return 0.0 if passes else (1 - tokens) / self._per_second
