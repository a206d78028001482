"""Spans in OpenTelemetry's protocol (OTLP over HTTP, protobuf), and the way to a receiver.

``opentelemetry-proto`` is an extra (``dspex-lab[otlp]``): only its messages are used; ids, times and attributes are the
house's own as they are. Blocks: called from a thread.
"""

from __future__ import annotations

import functools
import json
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from dspex_lab.errors import ConfigurationError
from dspex_lab.telemetry import attributes as names
from dspex_lab.telemetry.spans import Span

__all__ = ["OtlpTarget", "encode_spans"]

_PATH = "/v1/traces"
_SCOPE = "dspex_lab"
#: Retried by who ships continuously; everything else is said no to for good.
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class OtlpTarget:
    """A receiver: its address (``http://localhost:4318``; the path ``/v1/traces`` is added to a bare one), and the
    headers that it wants, which are shown nowhere."""

    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        """Raises ``ConfigurationError`` for what is no address."""
        parts = urllib.parse.urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ConfigurationError(
                f"{self.endpoint!r} is no address of an OTLP receiver.",
                "otlp_endpoint",
                "http://HOST:PORT",
                self.endpoint,
                hint="For example http://localhost:4318.",
            )

    @classmethod
    def create(cls, endpoint: str, headers: str = "") -> Self:
        """A receiver with its headers as OpenTelemetry's variables write them: ``name=value,name=value``, the values
        percent-encoded. Raises ``ConfigurationError``, which does not show them."""
        found: dict[str, str] = {}
        for number, part in enumerate(filter(None, map(str.strip, headers.split(","))), 1):
            name, separator, value = part.partition("=")
            if not separator or not name.strip():
                raise ConfigurationError(
                    f"The header {number} for the OTLP receiver is none.", "otlp_headers", "name=value,name=value"
                )
            found[name.strip()] = urllib.parse.unquote(value.strip())
        return cls(endpoint, found)

    @property
    def url(self) -> str:
        """Where spans are posted to."""
        parts = urllib.parse.urlsplit(self.endpoint)
        path = parts.path if parts.path.strip("/") else _PATH
        return urllib.parse.urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))

    def send(self, spans: Iterable[Span]) -> int:
        """Post the spans; how many the receiver took. Raises ``ConfigurationError`` when it takes none, ``retryable``
        when it may do so later."""
        # What most processes never need, and takes long to import.
        import urllib.error
        import urllib.request

        body, count = encode_spans(spans)
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            self.url, body, {"Content-Type": "application/x-protobuf", **self.headers}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as answer:  # noqa: S310 - checked
                return count - _rejected(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(f"HTTP {error.code}", retryable=error.code in _TRANSIENT) from None
        except OSError as error:
            raise self._refused(str(getattr(error, "reason", error)), retryable=True) from None

    def _refused(self, reason: str, *, retryable: bool) -> ConfigurationError:
        parts = urllib.parse.urlsplit(self.url)
        shown = urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        return ConfigurationError(
            f"The OTLP receiver at {shown} did not take the spans: {reason}.",
            "otlp_endpoint",
            "a receiver of OTLP over HTTP",
            reason,
            hint="Is it running there, and are its headers right?",
            retryable=retryable,
        )


def encode_spans(spans: Iterable[Span]) -> tuple[bytes, int]:
    """The body of one export, and how many spans are in it; one without OpenTelemetry's ids is left out. Secrets are
    taken out once more."""
    proto = _proto()
    request = proto.ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    _put(resource.resource.attributes, {"service.name": "dspex-lab", "service.version": _version()})
    scope = resource.scope_spans.add()
    scope.scope.name, scope.scope.version = _SCOPE, _version()
    for span in spans:
        if _has_ids(span):
            _fill(scope.spans.add(), span.cleaned())
    return request.SerializeToString(), len(scope.spans)


def _fill(target: Any, span: Span) -> None:
    target.trace_id = bytes.fromhex(span.trace_id)
    target.span_id = bytes.fromhex(span.span_id)
    if span.parent_id and _is_hex(span.parent_id, 16):
        target.parent_span_id = bytes.fromhex(span.parent_id)
    target.name = span.name
    is_remote = span.attributes.get(names.KIND) == "lm"
    target.kind = target.SPAN_KIND_CLIENT if is_remote else target.SPAN_KIND_INTERNAL
    target.start_time_unix_nano = _nanoseconds(span.start)
    target.end_time_unix_nano = _nanoseconds(span.end)
    attributes = dict(span.attributes)
    if span.status == "cancelled":  # no error, and not all right
        attributes[names.STATUS] = "cancelled"
    else:
        target.status.code = target.status.STATUS_CODE_ERROR if span.status == "error" else target.status.STATUS_CODE_OK
        target.status.message = span.message
    _put(target.attributes, attributes)


def _nanoseconds(time: float) -> int:
    """To the microsecond: what is finer in such a number is chance."""
    return round(time * 1e6) * 1000


def _put(target: Any, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        if value is not None:
            one = target.add()
            one.key = name
            _set(one.value, value)


def _set(target: Any, value: Any) -> None:
    """Texts, numbers and lists of them as they are; what is nested as JSON, which every receiver can show."""
    if isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int):
        target.int_value = value
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, list | tuple) and all(isinstance(one, str | int | float) for one in value):
        target.array_value.SetInParent()
        for one in value:
            _set(target.array_value.values.add(), one)
    else:
        target.string_value = json.dumps(value, ensure_ascii=False, default=str)


def _has_ids(span: Span) -> bool:
    return _is_hex(span.trace_id, 32) and _is_hex(span.span_id, 16)


def _is_hex(text: str, length: int) -> bool:
    return len(text) == length and all(one in "0123456789abcdef" for one in text) and set(text) != {"0"}


def _rejected(answer: bytes) -> int:
    """How many spans the receiver says that it did not take; one that says nothing in OTLP took them all."""
    from google.protobuf.message import DecodeError

    response = _proto().ExportTraceServiceResponse()
    try:
        response.ParseFromString(answer)
    except DecodeError:
        return 0
    return int(response.partial_success.rejected_spans)


@functools.cache
def _version() -> str:
    from importlib.metadata import version

    return version("dspex-lab")


def _proto() -> Any:
    try:
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
    except ImportError:
        raise ConfigurationError(
            "OpenTelemetry's protocol is not installed.",
            "otlp_endpoint",
            "the package opentelemetry-proto",
            hint='pip install "dspex-lab[otlp]"',
        ) from None
    return trace_service_pb2
