"""Any endpoint in OpenAI's form, over one kept-alive HTTP client per worker."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

from dspex_lab.calls import LmReply, LmRequest, LmSpec
from dspex_lab.errors import DeadlineExceeded, ModelError
from dspex_lab.worker.engines.base import OnText
from dspex_lab.worker.engines.http_client import HttpClient
from dspex_lab.worker.engines.http_errors import complaint, key_hint, status_error
from dspex_lab.worker.engines.wire_form import ReplyReader, find_refusal, request_body

__all__ = ["OPENAI_API_BASE", "OpenAiEngine"]

OPENAI_API_BASE = "https://api.openai.com/v1"
_END_OF_STREAM_S = 0.25


class OpenAiEngine:
    """Answers ``provider/NAME`` at ``api_base`` (OpenAI's own by default); ``lm.timeout_s`` bounds each request.

    What an endpoint refuses (JSON schemas, usage in streams, ``max_tokens``) is remembered for it and not sent again.
    """

    def __init__(self) -> None:
        self._client = HttpClient()
        self._refused: dict[tuple[str, str], frozenset[str]] = {}

    async def complete(self, request: LmRequest, on_text: OnText | None = None) -> LmReply:
        lm = request.lm
        if lm.api_base is None and not lm.api_key:
            raise ModelError(f"{lm.model} needs a key.", lm.model, 401, hint=key_hint(lm))
        try:
            async with asyncio.timeout(lm.timeout_s) as limit:
                return await self._answer(request, on_text)
        except aiohttp.InvalidURL as error:
            raise ModelError(f"The API base {lm.api_base!r} is no address.", lm.model) from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise _broken(lm, f"cannot be reached at {_base(lm)}") from error
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError) as error:
            raise _broken(lm, "ended in the middle of its answer") from error
        except aiohttp.ClientError as error:
            raise _broken(lm, f"broke the connection ({type(error).__name__})") from error
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise DeadlineExceeded(f"{lm.model} did not answer within {lm.timeout_s:g} s.") from error

    async def _answer(self, request: LmRequest, on_text: OnText | None) -> LmReply:
        key = (_base(request.lm), request.lm.model)
        while True:
            refused = self._refused.get(key, frozenset())
            body = request_body(request, _name(request.lm), stream=on_text is not None, refused=refused)
            reply = await self._attempt(request, body, on_text)
            if isinstance(reply, LmReply):
                return reply
            # Each round leaves out one thing more, so the rounds end.
            self._refused[key] = refused | {reply}

    async def _attempt(self, request: LmRequest, body: Mapping[str, Any], on_text: OnText | None) -> LmReply | str:
        """The reply, or what the endpoint refuses and can be left out."""
        reader = ReplyReader(request)
        url = f"{_base(request.lm)}/chat/completions"
        content = json.dumps(body, ensure_ascii=False).encode()
        async with self._client.post(url, content, _headers(request.lm)) as response:
            if response.status >= 400:
                text = (await response.read()).decode(errors="replace")
                refusal = find_refusal(body, complaint(text)) if response.status in (400, 422) else None
                if refusal is not None:
                    return refusal
                raise status_error(request.lm, response.status, text, response.headers)
            if on_text is None or "text/event-stream" not in response.headers.get("content-type", ""):
                reader.read_body(_decode(request.lm, await response.read()))
                reply = reader.reply()
                if on_text is not None:
                    await on_text(reply.text)
                return reply
            await _read_stream(response, reader, on_text)
            return reader.reply()

    async def aclose(self) -> None:
        await self._client.aclose()

    def __repr__(self) -> str:
        return f"<OpenAiEngine [{'closed' if self._client.is_closed else 'open'}, endpoints: {len(self._refused)}]>"


async def _read_stream(response: aiohttp.ClientResponse, reader: ReplyReader, on_text: OnText) -> None:
    lines = _lines(response)
    async for line in lines:
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip().decode(errors="replace")
        if text := reader.read_event(data):
            await on_text(text)
        if data == "[DONE]":
            break
    # Only a response that was read to its end gives its connection back; one that has no end is not waited for.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_END_OF_STREAM_S):
            async for _ in lines:
                pass


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The lines as they come, however long; the last one needs no end."""
    rest = b""
    async for piece in response.content.iter_any():
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line
    if rest:
        yield rest


def _decode(lm: LmSpec, content: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(content)
    except ValueError as error:
        raise _broken(lm, "sent an answer that is no JSON") from error
    if not isinstance(body, dict):
        raise _broken(lm, "sent an answer that is no object")
    return body


def _broken(lm: LmSpec, what: str) -> ModelError:
    return ModelError(f"{lm.model} {what}.", lm.model, retryable=True)


def _base(lm: LmSpec) -> str:
    return (lm.api_base or OPENAI_API_BASE).rstrip("/")


def _name(lm: LmSpec) -> str:
    return lm.model.partition("/")[2] or lm.model


def _headers(lm: LmSpec) -> dict[str, str]:
    kind = {"Content-Type": "application/json"}
    return {"Authorization": f"Bearer {lm.api_key}", **kind} if lm.api_key else kind
