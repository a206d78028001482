"""The messages that DSPy 3.4's ChatAdapter and JSONAdapter send for a signature, written without DSPy.

That is what makes the hybrid route possible: only the model call leaves the process. What depends on the signature
alone is written once. ``is_native`` says whether all of its types are known here; ``why_not`` says which is not.
A brief form of the house's own, for small models, is beside them.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic.errors import PydanticUserError

from dspex_lab.errors import SignatureError
from dspex_lab.signatures.prompt.brief import brief_part, brief_request, with_request
from dspex_lab.signatures.prompt.reply import ReplyReader
from dspex_lab.signatures.prompt.types import annotation_name, field_list, placeholder
from dspex_lab.signatures.prompt.values import expand_media, jsonable, shown_value
from dspex_lab.signatures.types.dspy_types import DspyType, is_left_to_dspy
from dspex_lab.signatures.types.field import Field, Signature
from dspex_lab.signatures.types.rebuild import without_metadata

__all__ = ["Message", "Prompt"]

Message = dict[str, Any]
#: DSPy's types that a prompt can hold natively: they are written by their own values, or are not written at all.
_NATIVE_INPUTS = frozenset({"Audio", "File", "History", "Image"})

_STRUCTURE = "All interactions will be structured in the following way, with the appropriate values filled in."
_INCOMPLETE = "This is an example of the task, though some input or output fields are not supplied."
_NOT_SUPPLIED = "Not supplied for this particular example. "
_NOT_IN_HISTORY = "Not supplied for this conversation history message. "


@dataclass(frozen=True, slots=True)
class _Form:
    """One way to ask: what is said of the signature, and how values are written."""

    system: str
    request: str
    part: Callable[[str, str], str]
    answer: Callable[[Any, str | None], str]


class Prompt:
    """Writes a signature's messages and reads the replies."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._types = {item.name: without_metadata(item.annotation) for item in signature.fields}
        self._reader = ReplyReader(signature)
        self._history = next((item.name for item in signature.inputs if _dspy_name(item) == "History"), None)

    @cached_property
    def why_not(self) -> str:
        """The reason why this signature's prompt must be left to DSPy; "" when it need not be."""
        for item in self._signature.fields:
            if is_left_to_dspy(item.annotation) and not (item.is_input and _dspy_name(item) in _NATIVE_INPUTS):
                return f"`{item.name}` has the DSPy type {_shown_type(item)}"
        try:
            _ = self._systems
        except SignatureError as error:
            return error.message
        return ""

    @property
    def is_native(self) -> bool:
        return not self.why_not

    def chat_messages(self, inputs: Mapping[str, Any], demos: Iterable[Any] = (), history: Any = None) -> list[Message]:
        """The messages of DSPy's ChatAdapter: system, demos, history, and the request.

        ``demos`` are mappings (or DSPy's Examples) of field names to values; ``history`` a sequence of mappings, or an
        object with ``messages``, and if None what ``inputs`` has in the signature's ``dspy.History`` field.
        """
        return self._messages(inputs, demos, history, self._chat)

    def json_messages(self, inputs: Mapping[str, Any], demos: Iterable[Any] = (), history: Any = None) -> list[Message]:
        """The messages of DSPy's JSONAdapter; arguments as for :meth:`chat_messages`."""
        return self._messages(inputs, demos, history, self._json)

    def brief_messages(
        self, inputs: Mapping[str, Any], demos: Iterable[Any] = (), history: Any = None
    ) -> list[Message]:
        """The house's own short form for small models, answered as JSON under the signature's schema and read by
        :meth:`parse_json`; arguments as for :meth:`chat_messages`."""
        return with_request(self._messages(inputs, demos, history, self._brief)[1:], self._brief_request)

    def parse_chat(self, text: str) -> dict[str, Any]:
        """The outputs in a reply to :meth:`chat_messages`. Raises ValidationError. Constraints are not checked."""
        return self._reader.chat(text)

    def parse_json(self, text: str) -> dict[str, Any]:
        """The outputs in a reply to :meth:`json_messages`. Raises ValidationError. Constraints are not checked."""
        return self._reader.json(text)

    # --- What depends on the signature alone -------------------------------------------------------------------------

    @cached_property
    def _chat(self) -> _Form:
        return _Form(self._systems[0], self._chat_request, _chat_part, self._chat_answer)

    @cached_property
    def _json(self) -> _Form:
        return _Form(self._systems[1], self._json_request, _chat_part, self._json_answer)

    @cached_property
    def _brief(self) -> _Form:
        """The request is put into every turn afterwards; there is no system message."""
        return _Form("", "", brief_part, self._brief_answer)

    @cached_property
    def _brief_request(self) -> str:
        return brief_request(self._signature)

    @cached_property
    def _systems(self) -> tuple[str, str]:
        """The system messages of the chat form and of the JSON form."""
        signature = self._signature
        try:
            inputs, outputs = ({f.name: placeholder(f) for f in side} for side in (signature.inputs, signature.outputs))
        except PydanticUserError as error:
            reason = str(error).splitlines()[0]
            raise SignatureError(f"A type has no JSON form: {reason}", signature.text) from None
        described = (
            f"Your input fields are:\n{field_list(signature.inputs, signature.form)}\n"
            f"Your output fields are:\n{field_list(signature.outputs, signature.form)}"
        )
        shown = _sections(inputs.items())
        chat = [_STRUCTURE, shown, _sections(outputs.items()), "[[ ## completed ## ]]\n"]
        as_json = [
            _STRUCTURE,
            "Inputs will have the following structure:",
            shown,
            "Outputs will be a JSON object with the following fields.",
            json.dumps(outputs, indent=2, ensure_ascii=False),
        ]
        lines = textwrap.dedent(signature.instructions).splitlines()
        objective = ("\n" + " " * 8).join(["", *lines])
        task = f"In adhering to this structure, your objective is: {objective}"
        chat_form, json_form = ("\n\n".join(parts).strip() for parts in (chat, as_json))
        return f"{described}\n{chat_form}\n{task}", f"{described}\n{json_form}\n{task}"

    @property
    def _chat_request(self) -> str:
        names = ", then ".join(f"`[[ ## {f.name} ## ]]`{self._wanted(f)}" for f in self._signature.outputs)
        return (
            f"Respond with the corresponding output fields, starting with the field {names}, "
            "and then ending with the marker for `[[ ## completed ## ]]`."
        )

    @property
    def _json_request(self) -> str:
        names = ", then ".join(f"`{f.name}`{self._wanted(f)}" for f in self._signature.outputs)
        return f"Respond with a JSON object in the following order of fields: {names}."

    def _wanted(self, item: Field) -> str:
        kind = self._types[item.name]
        return "" if kind is str else f" (must be formatted as a valid Python {annotation_name(kind)})"

    # --- What depends on the values ----------------------------------------------------------------------------------

    def _messages(self, inputs: Mapping[str, Any], demos: Iterable[Any], history: Any, form: _Form) -> list[Message]:
        messages: list[Message] = [{"role": "system", "content": form.system}, *self._demos(demos, form)]
        given = inputs.get(self._history) if self._history and history is None else history
        for past in _past(given):
            is_request = any(item.name in past for item in self._without_history)
            question = self._user(past, self._without_history, form, request=form.request if is_request else "")
            if question:
                messages.append({"role": "user", "content": question})
            messages.append({"role": "assistant", "content": form.answer(past, None)})
        content = self._user(inputs, self._without_history, form, request=form.request)
        if content:
            messages.append({"role": "user", "content": content})
        return [expand_media(message) for message in messages]

    @cached_property
    def _without_history(self) -> tuple[Field, ...]:
        return tuple(item for item in self._signature.inputs if item.name != self._history)

    def _demos(self, demos: Iterable[Any], form: _Form) -> list[Message]:
        """Incomplete demos first, as DSPy has them; those without an input or an output are left out."""
        signature = self._signature
        complete: list[Message] = []
        partial: list[Message] = []
        for demo in demos:
            if all(f.name in demo and demo[f.name] is not None for f in signature.fields):
                complete.append({"role": "user", "content": self._user(demo, signature.inputs, form)})
                complete.append({"role": "assistant", "content": form.answer(demo, _NOT_IN_HISTORY)})
            elif any(f.name in demo for f in signature.inputs) and any(f.name in demo for f in signature.outputs):
                content = self._user(demo, signature.inputs, form, prefix=_INCOMPLETE)
                partial.append({"role": "user", "content": content})
                partial.append({"role": "assistant", "content": form.answer(demo, _NOT_SUPPLIED)})
        return partial + complete

    def _user(self, values: Any, fields: Sequence[Field], form: _Form, *, prefix: str = "", request: str = "") -> str:
        parts = [prefix]
        parts += [
            form.part(item.name, shown_value(self._types[item.name], values[item.name]))
            for item in fields
            if item.name in values
        ]
        if request:
            parts.append(request)
        parts.append("")
        return "\n\n".join(parts).strip()

    def _chat_answer(self, values: Any, missing: str | None) -> str:
        pairs = (
            (f.name, shown_value(self._types[f.name], values.get(f.name, missing))) for f in self._signature.outputs
        )
        return f"{_sections(pairs)}\n\n[[ ## completed ## ]]\n"

    def _json_answer(self, values: Any, missing: str | None) -> str:
        return json.dumps(self._record(values, missing), indent=2, ensure_ascii=False)

    def _brief_answer(self, values: Any, missing: str | None) -> str:
        """On one line: a fifth fewer tokens. What a small model has seen it writes likewise."""
        return json.dumps(self._record(values, missing), ensure_ascii=False)

    def _record(self, values: Any, missing: str | None) -> Any:
        return jsonable({item.name: values.get(item.name, missing) for item in self._signature.outputs})


def _sections(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n\n".join(_chat_part(name, text) for name, text in pairs).strip()


def _chat_part(name: str, text: str) -> str:
    return f"[[ ## {name} ## ]]\n{text}"


def _past(history: Any) -> Sequence[Mapping[str, Any]]:
    """The earlier messages of a conversation, in whichever form they came."""
    if history is None:
        return ()
    messages = history.get("messages", ()) if isinstance(history, Mapping) else getattr(history, "messages", history)
    return tuple(messages)


def _shown_type(item: Field) -> str:
    """A field's type for people; DSPy's annotation_name shows some of its own types as ``str``."""
    return _dspy_name(item) or annotation_name(without_metadata(item.annotation))


def _dspy_name(item: Field) -> str:
    kind = item.annotation
    return kind.dspy_name if isinstance(kind, type) and issubclass(kind, DspyType) else ""
