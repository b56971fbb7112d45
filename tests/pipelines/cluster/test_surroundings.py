"""Surroundings in which Ray would wait for minutes, or fail without a sentence."""

import socket

import pytest

from ganrnn.errors import BadInput, TryAgain
from pipelines.cluster.surroundings import require_ray


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nothing_answers(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(TryAgain, match=f"RAY_ADDRESS is {address}, where no Ray cluster answers .*; start the clu"):
            require_ray()
        server.listen()
        require_ray()


@pytest.mark.parametrize("address", ["auto", "local", "127.0.0.1"])
def test_an_address_that_ray_finds_itself(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    require_ray()


def test_a_port_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:99999")
    with pytest.raises(TryAgain, match="no Ray cluster answers"):
        require_ray()


def test_a_temporary_folder_of_a_long_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/" + "t" * 38)
    require_ray()
    monkeypatch.setenv("TMPDIR", "/" + "t" * 39)
    with pytest.raises(BadInput, match=r"TMPDIR is /t+, a name of 40 bytes; allowed are 39, .* export RAY_TMPDIR with"):
        require_ray()
    monkeypatch.setenv("TMPDIR", "/" + "\u00fc" * 19 + "t")
    with pytest.raises(BadInput, match="a name of 40 bytes"):
        require_ray()
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    require_ray()
