"""Answers to our own widgets come in the shell that the front end chose."""

from __future__ import annotations

from typing import Any

from ipykernel.comm.comm import BaseComm

from dspex_lab.widgets.subshells import answer_in_any_shell


class QuietComm(BaseComm):
    """ipykernel's own comm, with nobody listening."""

    def __init__(self) -> None:
        super().__init__(target_name="jupyter.widget")  # type: ignore[no-untyped-call]

    def publish_msg(self, *_: Any, **__: Any) -> None: ...

    def shell_for(self, default: str) -> str | None:
        """What ipykernel asks when a message arrives that the front end sent to the shell ``default``."""
        shell: str | None = self._reply_subshell_for({}, default)  # type: ignore[no-untyped-call]
        return shell


def test_a_message_goes_where_it_was_sent() -> None:
    """ipykernel would route it to the shell that sent last (the cell's); ours goes to the front end's choice."""
    comm = QuietComm()
    comm.__dict__["_reply_subshell_id"] = None  # what ipykernel notes when a cell sends something
    assert comm.shell_for("subshell-1") is None
    assert answer_in_any_shell(comm)
    assert comm.shell_for("subshell-1") == "subshell-1"


def test_other_comms_stay_as_they_are() -> None:
    """Only the one comm is touched, not its class."""
    other = QuietComm()
    answer_in_any_shell(QuietComm())
    assert "_reply_subshell_for" not in vars(other)


def test_a_kernel_without_subshells_is_left_alone() -> None:
    """A comm that knows nothing of subshells, or no comm at all, is no error."""
    assert not answer_in_any_shell(object())
    assert not answer_in_any_shell(None)
