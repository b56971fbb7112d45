"""MLflow servers that are down, fail or want another password: one sentence at once, and the exit code that fits."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ganrnn.errors import BadInput, TryAgain
from pipelines.tracking.runs import client_of


class _Answer(BaseHTTPRequestHandler):
    status = 200

    def do_POST(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Silent."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), _Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "kind", "sentence"),
    [
        (401, BadInput, "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"),
        (403, BadInput, "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"),
        (500, TryAgain, "fails with status 500; try again later"),
        (503, TryAgain, "fails with status 503; try again later"),
    ],
)
def test_a_server_that_refuses(
    server: HTTPServer, status: int, kind: type[BadInput], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Answer, "status", status)
    with pytest.raises(BadInput) as error:
        client_of(f"http://me:secret@127.0.0.1:{server.server_port}")
    assert type(error.value) is kind and str(error.value).endswith(sentence)
    assert "secret" not in str(error.value) and "\n" not in str(error.value)


def test_a_server_that_is_down() -> None:
    with HTTPServer(("127.0.0.1", 0), _Answer) as closed:
        port = closed.server_port
    with pytest.raises(TryAgain, match=rf"http://127.0.0.1:{port} does not answer .*refused.*; start the server"):
        client_of(f"http://127.0.0.1:{port}")
