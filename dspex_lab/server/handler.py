"""The base of every route: who asks is known and allowed to, asks not too often, and is answered in JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from http import HTTPStatus
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar, cast

import msgspec
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from dspex_lab.errors import ConfigurationError, LabError, PipelineError, ProtocolError, ValidationError
from dspex_lab.server.api import Api

__all__ = ["ApiHandler", "answers"]

P = ParamSpec("P")
H = TypeVar("H", bound="ApiHandler")

_MAX_BODY_BYTES = 2 * 1024 * 1024
_MAX_DIGITS = 9
#: What the asker can mend, and what is not there now.
_STATUSES: dict[type[LabError], HTTPStatus] = {
    ConfigurationError: HTTPStatus.BAD_REQUEST,
    ValidationError: HTTPStatus.BAD_REQUEST,
    ProtocolError: HTTPStatus.CONFLICT,
    PipelineError: HTTPStatus.CONFLICT,
}


class ApiHandler(APIHandler):
    """Knows what the routes share. A method that answers is made by :func:`answers`, and never without it."""

    #: What an ``Authorizer`` of the server is asked for.
    auth_resource: ClassVar[str] = "dspex_lab"
    #: What a panel asks by itself must not keep a server awake that nobody uses.
    _track_activity = False

    def initialize(self, api: Api) -> None:
        self.api = api

    async def prepare(self) -> None:  # type: ignore[override]  # tornado calls it without the keyword that Jupyter's base adds
        """Authentication and XSRF are Jupyter's own; then the user's requests are counted."""
        await super().prepare()
        if self.current_user is None:
            return  # refused by the method's decorator
        wait_s = self.api.limiter.wait_s(self.current_user.username)
        if wait_s:
            await self.refuse("Too many requests.", wait_s)
            return
        if len(self.request.body) > _MAX_BODY_BYTES:
            raise web.HTTPError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is too large.")

    async def refuse(self, message: str, wait_s: float) -> None:
        """Answer that it is too much now, and when to try again."""
        self.set_status(HTTPStatus.TOO_MANY_REQUESTS)
        self.set_header("Retry-After", str(math.ceil(wait_s)))
        await self.finish(json.dumps({"message": message, "retry_after_s": wait_s}))

    def body(self) -> dict[str, Any]:
        """The request's JSON object, {} without one; 400 for what is none."""
        found = self.get_json_body()
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise web.HTTPError(HTTPStatus.BAD_REQUEST, "The body is to be a JSON object.")
        return found

    def taken(self, name: str, kind: type[T], otherwise: T | None = None) -> T:
        """A value of the body by name; 400 when it is missing or of another type."""
        value = self.body().get(name, otherwise)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise web.HTTPError(HTTPStatus.BAD_REQUEST, f"{name!r} is to be of the type {kind.__name__}.")
        return value

    def limit(self, at_most: int) -> int:
        """How many rows are wanted: the query's ``limit``, between 1 and ``at_most``."""
        text = self.get_query_argument("limit", "100")
        if not text.isdecimal() or len(text) > _MAX_DIGITS:
            raise web.HTTPError(HTTPStatus.BAD_REQUEST, "'limit' is to be a number.")
        return max(1, min(int(text), at_most))


T = TypeVar("T")


def answers(
    method: Callable[Concatenate[H, P], Awaitable[Any]],
) -> Callable[Concatenate[H, P], Coroutine[Any, Any, None]]:
    """A route's method that answers what ``method`` gives, as JSON, to those who are known and allowed to ask; an error
    of the house is told as data, with the status that fits."""

    @wraps(method)
    async def ask(handler: H, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            value = await method(handler, *args, **kwargs)
        except LabError as error:
            handler.set_status(_STATUSES.get(type(error), HTTPStatus.SERVICE_UNAVAILABLE))
            await handler.finish(json.dumps({"message": str(error), "error": error.to_dict()}))
            return
        if value is not None:  # a stream has told all by itself
            # Not json.dumps: it writes NaN, which no page can read; this writes null.
            await handler.finish(msgspec.json.encode(value))

    # Jupyter's types know no coroutine functions here, though it awaits them.
    return cast("Callable[Concatenate[H, P], Coroutine[Any, Any, None]]", web.authenticated(authorized(ask)))
