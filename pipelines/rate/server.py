"""The rating page and what it asks: a question at a time, its items, and the answer, on disk before the next question.

    app = make_app(open_study(recipe, samples_uri, reference_uri), invites, recipe.rate)

The page is three files of page/, which load nothing from elsewhere. Its requests carry the invite in a header; in
the link it stands after `#`, which browsers send to nobody, so that it is in no log. Requests have no body: an answer
is part of its address, and there is nothing to bound. Items have no names but the number of the trial.
"""

import math
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from pipelines.config.rate import Language, RateConfig
from pipelines.rate.access import Buckets, Invites
from pipelines.rate.items import Medium
from pipelines.rate.store import Answer, Refused
from pipelines.rate.study import Study
from pipelines.rate.trials import CHOICES

PAGE = Path(__file__).with_name("page")

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_MEDIA_TYPES: dict[Medium, str] = {"image": "image/png", "text": "text/plain; charset=utf-8"}
# Of tries with a wrong invite, by address: some slips of the hand, and no guessing.
_WRONG_PER_SECOND, _WRONG_BURST = 0.5, 20
# What a page asks for at once when it is loaded.
_BURST_SECONDS = 3


def _question(study: Study, rater: str) -> dict[str, Any]:
    """What the page needs to ask the rater's next question, and nothing that would answer it."""
    trials, number, rate = study.design.trials(rater), study.store.num_answered(rater), study.design.rate
    progress = {"trial": number, "num_trials": len(trials), "done": number >= len(trials)}
    if progress["done"]:
        return progress
    trial = trials[number]
    prompts = [] if rate.task == "turing" else [study.store.item(item).prompt for item in trial.items[:1]]
    return progress | {
        "kind": trial.kind,
        "num_items": len(trial.items),
        "prompt": prompts[0] if prompts else "",
        "check": trial.expected if trial.kind == "check" else None,
        "vanished": bool(rate.exposure_seconds) and study.store.is_shown(rater, number),
    }


def _items(study: Study, rater: str, trial: int) -> tuple[int, ...]:
    """What a trial shows, if it is the rater's turn; else 409."""
    trials = study.design.trials(rater)
    if trial != study.store.num_answered(rater) or trial >= len(trials):
        raise HTTPException(409, "not the trial whose turn it is")
    return trials[trial].items


def _rater(request: Request) -> str:
    guard: _Guard = request.app.state.guard
    return guard.rater(request)


Rater = Annotated[str, Depends(_rater)]


def make_app(study: Study, invites: Invites, rate: RateConfig) -> FastAPI:
    """The application; everything below /api needs an invite."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.guard = _Guard(invites, rate.requests_per_second)

    @app.middleware("http")
    async def secure(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await answer(request)
        response.headers.update(_HEADERS)
        return response

    @app.exception_handler(sqlite3.OperationalError)
    def not_kept(_: Request, error: Exception) -> Response:
        return JSONResponse({"detail": f"not kept, try again ({error})"}, 503)

    @app.get("/api/study")
    def about(rater: Rater) -> dict[str, Any]:
        names = ("task", "language", "exposure_seconds", "num_practice", "num_checks")
        return {name: getattr(rate, name) for name in names} | {"medium": study.medium, "choices": CHOICES[rate.task]}

    @app.get("/api/next")
    def ask(rater: Rater) -> dict[str, Any]:
        return _question(study, rater)

    @app.get("/api/trials/{trial}/{side}")
    def show(rater: Rater, trial: int, side: int) -> Response:
        items = _items(study, rater, trial)
        if not 0 <= side < len(items):
            raise HTTPException(404, "no such item")
        if rate.exposure_seconds and not study.store.show(rater, trial, side):
            raise HTTPException(410, "was shown")
        return Response(study.store.item(items[side]).content, media_type=_MEDIA_TYPES[study.medium])

    @app.put("/api/trials/{trial}")
    def keep(
        rater: Rater,
        trial: int,
        choice: str,
        language: Language,
        seen: bool = True,
        seconds: Annotated[float | None, Query(ge=0, le=86_400, allow_inf_nan=False)] = None,
    ) -> dict[str, Any]:
        trials = study.design.trials(rater)
        if choice not in CHOICES[rate.task] or not 0 <= trial < len(trials):
            raise HTTPException(422, f"allowed are {', '.join(CHOICES[rate.task])} for trials 0 to {len(trials) - 1}")
        question = trials[trial]
        answer = Answer(
            rater, trial, question.kind, question.items, question.expected, choice, seen, seconds, language, time.time()
        )
        try:
            study.store.answer(answer)
        except Refused as refusal:
            raise HTTPException(409, str(refusal)) from refusal
        return {"kept": trial, "truth": question.expected if question.kind == "practice" else None}

    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app


class _Guard:
    """Who asks, and whether too often.

    Raters have a bucket each, which is all that limits them: behind a proxy they share one address. The bucket of an
    address is for tries without a valid invite.
    """

    def __init__(self, invites: Invites, per_second: float) -> None:
        self._invites = invites
        self._raters = Buckets(per_second, _BURST_SECONDS * per_second)
        self._addresses = Buckets(_WRONG_PER_SECOND, _WRONG_BURST)

    def rater(self, request: Request) -> str:
        """The rater of a request; 401 or 429 where there is none, or one who has to wait."""
        rater = self._invites.rater(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if rater:
            wait = self._raters.take(rater)
        else:
            wait = self._addresses.take(request.client.host if request.client else "")
        if wait:
            raise HTTPException(429, "too many requests", {"Retry-After": str(math.ceil(wait))})
        if not rater:
            raise HTTPException(401, "no valid invite", {"WWW-Authenticate": "Bearer"})
        return rater
