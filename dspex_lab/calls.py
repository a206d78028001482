"""What travels: a :class:`Call` goes out, :class:`Chunk` s and one :class:`Result` (or one error) come back.

All of these are frozen values of plain data; ``Code`` is the one exception, and it goes from the user to the
workers only. How they look as bytes is the business of ``dspex_lab.wire``; this module knows nothing of it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import msgspec

from dspex_lab.errors import ConfigurationError
from dspex_lab.errors.foreign import repr_of

__all__ = [
    "ANY_POOL",
    "Call",
    "Chunk",
    "Code",
    "LmReply",
    "LmRequest",
    "LmSpec",
    "Needs",
    "Priority",
    "Result",
    "TraceContext",
    "Usage",
    "is_model_name",
    "new_id",
]

#: Which calls go first where they wait for a worker.
Priority = Literal["interactive", "batch"]

_PRIORITIES = get_args(Priority)

#: In place of a pool's name: the host picks one that has what the call needs.
ANY_POOL = "any"


def new_id() -> str:
    """16 random bytes as 32 hexadecimal digits: the form of an OpenTelemetry trace id."""
    return secrets.token_hex(16)


def _wrong(what: str, key: str, expected: str, actual: object) -> ConfigurationError:
    shown = repr_of(actual)
    return ConfigurationError(f"{what} cannot have {key}={shown}: it is {expected}.", key, expected, shown)


class TraceContext(msgspec.Struct, frozen=True, gc=False):  # made at every step of a run
    """Where a call hangs in its trace (W3C trace context): 32 and 16 hexadecimal digits."""

    trace_id: str
    span_id: str


class Code:
    """A user's function, class or object, sent by value (cloudpickle) from the user to a worker, never back.

    No dataclass on purpose: encoders take dataclasses for data.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Code({self.value!r})"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a language model's own response said it used; ``cost`` in US dollars, None where no price is known."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    lm_calls: int = 0

    def __add__(self, other: Usage) -> Usage:
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            sum(costs) if costs else None,
            self.lm_calls + other.lm_calls,
        )


#: Names may hold more slashes, and nothing holds blanks.
_MODEL_NAME = re.compile(r"[\w.-]+/\S*[^\s/]")


def is_model_name(text: str) -> bool:
    """Whether ``text`` reads ``provider/name``."""
    return _MODEL_NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class LmSpec:
    """Which language model, and how to reach it. ``model`` is ``provider/name``, or ``local/NAME``.

    ``api_key`` is kept out of the repr, and nothing that holds a spec may put it into a span or a log.
    """

    model: str
    api_base: str | None = None
    api_key: str | None = field(default=None, repr=False)
    temperature: float | None = None
    max_tokens: int | None = None
    timeout_s: float = 120.0

    @property
    def is_local(self) -> bool:
        return self.model.startswith("local/")


@dataclass(frozen=True, slots=True)
class LmRequest:
    """One question to a language model: chat ``messages`` in OpenAI's form (``{"role", "content"}``).

    ``response_schema`` is a JSON schema that the engine must enforce, by constrained decoding where it can.
    ``options`` holds further sampling parameters by their OpenAI names (``top_p``, ``stop``, ``seed``, ...).
    """

    lm: LmSpec
    messages: tuple[Mapping[str, Any], ...]
    response_schema: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LmReply:
    """What a language model answered; durations in seconds, measured by the engine itself."""

    text: str
    model: str
    finish_reason: str
    usage: Usage = Usage()
    first_token_s: float | None = None
    tokens_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Needs:
    """What a call needs of the worker that runs it: a GPU, so many MB of memory, a pool with all of these labels."""

    gpu: bool = False
    memory_mb: int = 0
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ``ConfigurationError`` for what no pool can have."""
        if type(self.gpu) is not bool:
            raise _wrong("A call's needs", "gpu", "True or False", self.gpu)
        if type(self.memory_mb) is not int or self.memory_mb < 0:
            raise _wrong("A call's needs", "memory_mb", "a whole number of MB", self.memory_mb)
        labels: Any = self.labels
        if not isinstance(labels, tuple) or not all(isinstance(label, str) for label in labels):
            raise _wrong("A call's needs", "labels", 'a tuple of texts, as ("cuda",)', labels)

    def __str__(self) -> str:
        parts = ["a GPU"] if self.gpu else []
        parts += [f"{self.memory_mb} MB"] if self.memory_mb else []
        parts += [f"the label {label!r}" for label in self.labels]
        return ", ".join(parts) or "nothing"


@dataclass(frozen=True, slots=True)
class Call:
    """One operation to run somewhere. ``op`` names it (``dspy.predict``, ``lm.complete``, ``python.call``).

    ``timeout_s`` counts from the moment the call is made, the queue included; None means the pool's own limit.
    ``idempotent`` calls run again elsewhere when their worker dies. ``credit`` bounds the chunks that may be
    under way to the reader at any time; without ``stream`` none are sent. While calls wait for a worker,
    ``interactive`` ones go before ``batch``.
    """

    op: str
    args: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=new_id)
    pool: str = "general"
    timeout_s: float | None = None
    trace: TraceContext | None = None
    session: str | None = None
    stream: bool = False
    credit: int = 64
    idempotent: bool = False
    priority: Priority = "interactive"
    #: It only waits for something elsewhere, as for a remote model's answer: a worker has many of these at a time
    #: beside its other calls (``PoolSpec.light_concurrency``).
    light: bool = False
    #: What the worker must have; with the pool :data:`ANY_POOL` the host picks the pool by it.
    needs: Needs | None = None
    #: It goes on when its caller leaves; its value is kept by the host, and is asked for by the call's id.
    detached: bool = False
    #: The call whose operation makes this one, by its id; None for a notebook's.
    parent: str | None = None

    def __post_init__(self) -> None:
        """Raises ``ConfigurationError`` for what cannot be sent: one call that the host does not understand would
        end all that are under way."""
        given: Any = self
        limit = given.timeout_s
        # Every call comes this way: only one that is wrong pays for being told so.
        if not (
            isinstance(given.op, str)
            and isinstance(given.id, str)
            and isinstance(given.pool, str)
            and (given.session is None or isinstance(given.session, str))
            and (limit is None or (isinstance(limit, float | int) and type(limit) is not bool and limit == limit))
            and type(given.stream) is type(given.idempotent) is type(given.light) is type(given.detached) is bool
            and type(given.credit) is int
            and given.credit >= 1
            and given.priority in _PRIORITIES
        ):
            raise _fault_of(given)


def _fault_of(call: Any) -> ConfigurationError:
    """What is wrong with a call of which something is."""
    for name in ("op", "id", "pool"):
        if not isinstance(getattr(call, name), str):
            return _wrong("A call", name, "a text", getattr(call, name))
    for name in ("stream", "idempotent", "light", "detached"):
        if type(getattr(call, name)) is not bool:
            return _wrong("A call", name, "True or False", getattr(call, name))
    if not isinstance(call.session, str | None):
        return _wrong("A call", "session", "a session's id", call.session)
    if type(call.credit) is not int or call.credit < 1:
        return _wrong("A call", "credit", "a number of chunks from 1 on", call.credit)
    if call.priority not in _PRIORITIES:
        return _wrong("A call", "priority", " or ".join(map(repr, _PRIORITIES)), call.priority)
    return _wrong("A call", "timeout_s", "a number of seconds", call.timeout_s)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a streamed answer: ``text`` to append to ``field`` ("" when the op has but one stream).

    ``seq`` counts from 0 within the call; ``sent_at`` is the producer's time (epoch seconds), so that a panel's
    delay can be measured.
    """

    call_id: str
    seq: int
    text: str
    field: str = ""
    sent_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """How a call ended well: its ``value`` (plain data), what it used, where it ran and how long it took (seconds)."""

    call_id: str
    value: Any
    usage: Usage = Usage()
    worker: str = ""
    queue_s: float = 0.0
    run_s: float = 0.0
    cached: bool = False
