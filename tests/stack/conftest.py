"""One Ceph gateway for all tests here, and a bucket of its own for each."""

import uuid
from collections.abc import Iterator

import fsspec
import pytest

from tests.stack.ceph import CephGateway
from tests.stack.debian import Unavailable


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CephGateway]:
    """The running gateway, started once; skips where it cannot be had."""
    try:
        gateway = CephGateway(tmp_path_factory.mktemp("ceph") / "store").__enter__()
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield gateway
    gateway.__exit__()


@pytest.fixture(scope="module")
def ceph(gateway: CephGateway) -> Iterator[CephGateway]:
    """The gateway as the store that the environment names; per module, so that other folders' tests never see it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        for name, value in gateway.environment().items():
            patch.setenv(name, value)
        forget_connections()
        yield gateway
    forget_connections()


@pytest.fixture
def bucket(ceph: CephGateway) -> str:
    """The s3:// URI of an empty bucket."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    ceph.create_bucket(name)
    return f"s3://{name}"


def forget_connections() -> None:
    """fsspec keeps its clients, with the credentials that they were made with."""
    fsspec.get_filesystem_class("s3").clear_instance_cache()
