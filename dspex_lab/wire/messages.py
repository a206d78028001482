"""Every message of the house, typed once: what a peer (a notebook or a worker) and the host say to one another.

A message is one multipart ZMQ message: a msgpack header (one of the structs below, tagged) and then the frames of
its payload, which the host passes on unread; large frames are empty and lie in shared memory instead, where the
message's ``segments`` say. Unknown tags and unknown fields are a :class:`ProtocolError`.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

__all__ = [
    "PROTOCOL_VERSION",
    "RUN_ANSWER",
    "RUN_CANCEL",
    "RUN_RERUN",
    "Cancel",
    "ChunkOut",
    "Credit",
    "Demands",
    "Done",
    "Failed",
    "FromHost",
    "FromPeer",
    "Goodbye",
    "Heartbeat",
    "Hello",
    "Message",
    "Notice",
    "Refused",
    "Reply",
    "Request",
    "Run",
    "Segment",
    "Started",
    "Submit",
    "Telemetry",
    "Welcome",
]

#: Raised with every change to the shape of a message. Golden bytes: ``tests/unit/wire/``.
PROTOCOL_VERSION = 6

#: The notice that asks a notebook to cancel one of its runs; its one attribute is ``run_id``.
RUN_CANCEL = "run.cancel"
#: Notices that a notebook answers, with the order ``runs.told`` and the notice's own ``order`` in it. The first answers
#: what the run ``run_id`` asks: ``question`` is its id, ``values`` what was typed into its fields.
RUN_ANSWER = "run.answer"
#: The second begins the run ``run_id``, which is over, again from ``step`` on (None: all of it).
RUN_RERUN = "run.rerun"


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", omit_defaults=True):
    """The base of all messages."""


class Segment(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where a frame of the payload lies instead (``dspex_lab.wire.segments``): its number, and a file's name."""

    frame: Annotated[int, msgspec.Meta(ge=0)]
    name: str
    size_bytes: Annotated[int, msgspec.Meta(gt=0)]
    #: The reader leaves it: the call may run again elsewhere.
    is_kept: bool = False


class Demands(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the worker of a call must have: a GPU, so many MB of memory, a pool with these labels."""

    gpu: bool = False
    memory_mb: Annotated[int, msgspec.Meta(ge=0)] = 0
    labels: tuple[str, ...] = ()


# --- from a peer to the host ------------------------------------------------------------------------------------


class Hello(Message, frozen=True, tag="hello"):
    """The first message of every peer. ``key`` is the host's secret, from its connection file."""

    version: int
    key: str
    role: str  # "client", "observer" (a client that does not keep the host alive) or "worker"
    name: str  # a client's label for people, or the worker's id as the host gave it
    pid: int


class Submit(Message, frozen=True, tag="submit"):
    """A call to run; the payload holds its arguments. ``timeout_s`` is what is left of the caller's time; among
    waiting calls a lower ``priority`` is served first. A ``light`` one only waits for something elsewhere. ``parent``
    is the call of the same worker that makes it, and whose urgency and owner it has."""

    id: str
    op: str
    pool: str
    timeout_s: float | None = None
    trace_id: str | None = None
    span_id: str | None = None
    session: str | None = None
    stream: bool = False
    credit: int = 64
    idempotent: bool = False
    segments: tuple[Segment, ...] = ()
    priority: int = 0
    needs: Demands | None = None
    detached: bool = False
    light: bool = False
    parent: str | None = None


class Cancel(Message, frozen=True, tag="cancel"):
    """Stop the call ``id``: from its caller to the host, and from the host to the worker that has it."""

    id: str


class Credit(Message, frozen=True, tag="credit"):
    """The reader of call ``id`` has taken ``count`` chunks; as many more may be sent."""

    id: str
    count: int


class Request(Message, frozen=True, tag="request"):
    """A question or an order to the host itself, answered by one :class:`Reply`."""

    id: str
    method: str
    params: dict[str, Any] = {}


class Goodbye(Message, frozen=True, tag="goodbye"):
    """The peer leaves: a client's calls are dropped, a worker takes no more."""


class Telemetry(Message, frozen=True, tag="telemetry"):
    """What a client or a worker did: finished spans (``Span.to_dict``) and events as plain data. Nobody answers."""

    spans: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []


# --- from a worker to the host ----------------------------------------------------------------------------------


class Started(Message, frozen=True, tag="started"):
    """How the call ``id``, which the worker runs, can be stopped from now on. ``interruptible``: "task" when that
    needs but a message, as it does for every call of which nothing is said; "signal" when it needs an interrupt
    through the kernel."""

    id: str
    interruptible: str


class Heartbeat(Message, frozen=True, tag="heartbeat"):
    """The worker lives: resident memory, CPU seconds used so far, calls in hand; ``is_worn``: it asks to be replaced,
    once it has finished those."""

    rss_bytes: int
    cpu_s: float
    in_flight: int
    is_worn: bool = False


class ChunkOut(Message, frozen=True, tag="chunk"):
    """A piece of a streamed answer (see :class:`dspex_lab.calls.Chunk`)."""

    id: str
    seq: int
    text: str
    field: str = ""
    sent_at: float = 0.0


class Done(Message, frozen=True, tag="done"):
    """The call ended well; the payload holds its value. Times in seconds; ``queue_s`` and ``worker`` are the host's
    to fill in."""

    id: str
    run_s: float = 0.0
    queue_s: float = 0.0
    worker: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    lm_calls: int = 0
    segments: tuple[Segment, ...] = ()


class Failed(Message, frozen=True, tag="failed"):
    """The call ended badly; ``error`` is :meth:`dspex_lab.errors.LabError.to_dict`."""

    id: str
    error: dict[str, Any]
    worker: str = ""


# --- from the host to a peer ------------------------------------------------------------------------------------


class Welcome(Message, frozen=True, tag="welcome"):
    """The host took the peer in, which may make segments whose names begin with ``segment_prefix``."""

    version: int
    host_id: str
    pid: int
    segment_prefix: str = ""


class Refused(Message, frozen=True, tag="refused"):
    """The host does not take the peer in, or does not understand it."""

    error: dict[str, Any]


class Run(Message, frozen=True, tag="run"):
    """To a worker: run this call; the payload holds its arguments."""

    id: str
    op: str
    timeout_s: float | None = None
    trace_id: str | None = None
    span_id: str | None = None
    stream: bool = False
    credit: int = 64
    segments: tuple[Segment, ...] = ()
    session: str | None = None


class Reply(Message, frozen=True, tag="reply"):
    """The answer to a :class:`Request`: ``value``, or ``error`` as a dict."""

    id: str
    value: Any = None
    error: dict[str, Any] | None = None


class Notice(Message, frozen=True, tag="notice"):
    """Something that the host tells a client unasked: data, of which it does what it knows (``RUN_CANCEL``,
    ``RUN_ANSWER``, ``RUN_RERUN``) and passes over the rest."""

    name: str
    attributes: dict[str, Any] = {}


FromPeer = (
    Hello | Submit | Cancel | Credit | Request | Goodbye | Telemetry | Started | Heartbeat | ChunkOut | Done | Failed
)
FromHost = Welcome | Refused | Run | Cancel | Credit | ChunkOut | Done | Failed | Reply | Notice
