"""The front end, as far as a panel sees it: what was shown in the cell, and what its comm sent."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

import comm
import pytest
from comm.base_comm import BaseComm

TIMEOUT_S = 10.0


class Front:
    """What was shown, what was sent, and a way to say something as the page does."""

    def __init__(self) -> None:
        self.shown: queue.Queue[tuple[dict[str, Any], bool]] = queue.Queue()
        self.sent: queue.Queue[dict[str, Any]] = queue.Queue()
        self.comms: list[BaseComm] = []

    def show(self, bundle: dict[str, Any], *, display_id: str, is_update: bool = False) -> None:
        assert display_id
        self.shown.put((bundle, is_update))

    def create_comm(self, **options: Any) -> BaseComm:
        front = self

        class RecordingComm(BaseComm):  # type: ignore[misc]  # comm has no types
            def publish_msg(self, msg_type: str, data: Any = None, *_: Any, **more: Any) -> None:
                front.sent.put({"msg_type": msg_type, **(data or {}), "buffers": more.get("buffers")})

        made = RecordingComm(**options)
        self.comms.append(made)
        return made

    def next_shown(self) -> tuple[dict[str, Any], bool]:
        return self.shown.get(timeout=TIMEOUT_S)

    def next_state(self) -> dict[str, Any]:
        """The next state that was sent after the first; waits for it."""
        while True:
            message = self.sent.get(timeout=TIMEOUT_S)
            if message["msg_type"] == "comm_msg" and "state" in message.get("state", {}):
                return dict(message["state"]["state"])

    def next_reply(self) -> dict[str, Any]:
        """The next answer to an order, with its buffers; waits for it."""
        while True:
            message = self.sent.get(timeout=TIMEOUT_S)
            if message.get("content", {}).get("kind") == "reply":
                return {**message["content"], "buffers": message["buffers"]}

    def say(self, **content: Any) -> None:
        """A custom message from the page, to the widget that was made last."""
        data = {"method": "custom", "content": content}
        self.comms[-1].handle_msg({"content": {"data": data}, "buffers": []})


@pytest.fixture
def front(monkeypatch: pytest.MonkeyPatch) -> Front:
    """A front end with widgets."""
    from dspex_lab.widgets import live_panel, trace_shown

    front = Front()
    monkeypatch.setattr(comm, "create_comm", front.create_comm)
    for module in (live_panel, trace_shown):
        monkeypatch.setattr(module, "has_kernel", lambda: True)
    monkeypatch.setattr(live_panel, "show", front.show)
    return front


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """No front end: what was shown."""
    from dspex_lab.widgets import live_panel

    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(live_panel, "has_kernel", lambda: False)
    monkeypatch.setattr(live_panel, "show", lambda bundle, **_: shown.append(bundle))
    return lambda: shown
