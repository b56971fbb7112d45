"""Have people judge samples: a page in the browser, one question at a time, every answer kept before the next.

    serve(recipe, samples_uri, reference_uri)           # until it is stopped; the same call again goes on
    links = invite(recipe, samples_uri, reference_uri, num_raters=20)

The study is a folder of its own (pipelines/rate/study.py); what the answers say is in pipelines/rate/report.py.
"""

import os
import socket

import uvicorn

from ganrnn.errors import BadInput
from pipelines.config.rate import RateConfig
from pipelines.config.recipe import Recipe
from pipelines.rate.access import Invites, secret_from
from pipelines.rate.server import make_app
from pipelines.rate.store import Store
from pipelines.rate.study import open_study


def serve(recipe: Recipe, samples_uri: str, reference_uri: str) -> None:
    """Serve the page until the process is told to end, and say where.

    Raises BadInput for a secret that is missing, sources that do not fit, a study of another kind in the folder, an
    address that cannot be had; nothing is written then.
    """
    rate = recipe.rate
    secret = secret_from(os.environ)
    with _bound(rate) as server:
        study = open_study(recipe, samples_uri, reference_uri)
        app = make_app(study, _invites(secret, study.store, rate), rate)
        host, port = server.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        print(f"rating page at {address}, answers in {rate.study_uri}; --invite N makes links, Ctrl-C ends", flush=True)
        # No proxy is believed about addresses, and no address of a rater is written down.
        config = uvicorn.Config(app, proxy_headers=False, server_header=False, access_log=False, log_level="warning")
        uvicorn.Server(config).run(sockets=[server])
    study.store.close()


def invite(recipe: Recipe, samples_uri: str, reference_uri: str, num_raters: int) -> list[str]:
    """Links for so many raters, each for one; the study is made where there is none yet."""
    if num_raters < 1:
        raise BadInput(f"--invite {num_raters}: give the number of raters, 1 or more")
    rate = recipe.rate
    if not rate.public_url and (rate.host in ("0.0.0.0", "::") or not rate.port):
        raise BadInput(f"rate.public_url is missing; nobody can open a link to {rate.host}, port {rate.port}")
    secret = secret_from(os.environ)
    study = open_study(recipe, samples_uri, reference_uri)
    invites = _invites(secret, study.store, rate)
    study.store.close()
    host = f"[{rate.host}]" if ":" in rate.host else rate.host
    start = rate.public_url.rstrip("/") or f"http://{host}:{rate.port}"
    return [f"{start}/#{invites.new()}" for _ in range(num_raters)]


def _invites(secret: str, store: Store, rate: RateConfig) -> Invites:
    return Invites(secret, store.about["study_id"], rate.invite_days)


def _bound(rate: RateConfig) -> socket.socket:
    """A socket that listens at the address of the page."""
    family = socket.AF_INET6 if ":" in rate.host else socket.AF_INET
    try:
        return socket.create_server((rate.host, rate.port), family=family)
    except OSError as error:
        raise BadInput(f"rate.host {rate.host} and rate.port {rate.port} cannot be used ({error})") from error
