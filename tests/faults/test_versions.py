"""A notebook of another version than the host's."""

from __future__ import annotations

import psutil
import pytest

from dspex_lab.backends import kernels
from dspex_lab.errors import ProtocolError
from dspex_lab.lab import Lab
from dspex_lab.testing.site import LIMIT_S, Site


def test_a_host_of_another_version_refuses_and_can_be_stopped(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal says what to do, doing it ends the host, and the next call finds one of its own version."""
    with Lab(site.settings()) as old:
        host = psutil.Process(old.start().pid)
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "PROTOCOL_VERSION", 999)
        with Lab(site.settings()) as newer:
            with pytest.raises(ProtocolError, match="protocol version") as refusal:
                newer.status()
            assert "%lab stop" in str(refusal.value.hint)
            newer.stop()
            host.wait(LIMIT_S)
    with Lab(site.settings()) as lab:
        assert lab.status().pid != host.pid
        lab.stop()
