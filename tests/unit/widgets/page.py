"""A page that is none: what panels show and send, and what a reader says to them."""

from __future__ import annotations

import importlib
import queue
from collections.abc import Sequence
from typing import Any

import comm
import pytest
from comm.base_comm import BaseComm

from dspex_lab.telemetry.events import Event
from dspex_lab.widgets import RunPanel

__all__ = ["TIMEOUT_S", "WIDGET", "Page", "begin", "emit"]

WIDGET = "application/vnd.jupyter.widget-view+json"
TIMEOUT_S = 10.0


class Page:
    """The front end: what was shown in the cell, and what the widget's comm sent."""

    def __init__(self) -> None:
        self.shown: list[tuple[dict[str, Any], bool]] = []
        self.sent: queue.Queue[dict[str, Any]] = queue.Queue()
        self.comm: BaseComm | None = None

    def show(self, bundle: dict[str, Any], *, display_id: str, is_update: bool = False) -> None:
        assert display_id
        self.shown.append((bundle, is_update))

    def create_comm(self, **options: Any) -> BaseComm:
        page = self

        class RecordingComm(BaseComm):  # type: ignore[misc]  # comm has no types
            def publish_msg(self, msg_type: str, data: Any = None, *_: Any, **__: Any) -> None:
                page.sent.put({"msg_type": msg_type, **(data or {})})

        self.comm = RecordingComm(**options)
        return self.comm

    def next(self, kind: str) -> dict[str, Any]:
        """The next custom message of that kind, or the next state (kind ``"state"``); waits for it."""
        while True:
            message = self.sent.get(timeout=TIMEOUT_S)
            if kind == "state" and "state" in message.get("state", {}):
                return dict(message["state"]["state"])
            if message.get("content", {}).get("kind") == kind:
                return dict(message["content"])

    def say(self, content: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """A custom message from the page."""
        assert self.comm is not None
        data = {"method": "custom", "content": content}
        self.comm.handle_msg({"content": {"data": data}, "buffers": list(buffers)})

    @classmethod
    def installed(cls, monkeypatch: pytest.MonkeyPatch, *modules: str) -> Page:
        """A page in front of the panels that are made from now on; ``modules`` ask whether there is a kernel."""
        page = cls()
        monkeypatch.setattr(comm, "create_comm", page.create_comm)
        for name in modules:
            module = importlib.import_module(name)
            monkeypatch.setattr(module, "has_kernel", lambda: True)
            if hasattr(module, "show"):
                monkeypatch.setattr(module, "show", page.show)
        return page


def emit(panel: RunPanel, name: str, **attributes: Any) -> None:
    panel.apply(Event(name, 100.0, {"run_id": "r", **attributes}))


def begin(panel: RunPanel) -> None:
    emit(panel, "run.start", pipeline="support", steps=[{"name": "reply", "kind": "predict"}], inputs={})
    emit(panel, "pipeline.step", step="reply", status="running")
