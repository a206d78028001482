"""``%lab``: questions and orders in one line; ``%lab help`` lists them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from time import ctime
from typing import Any

from dspex_lab.calls import LmSpec
from dspex_lab.errors import ConfigurationError
from dspex_lab.errors.nearest import did_you_mean
from dspex_lab.lab import Lab, current_lab
from dspex_lab.magics import help as help_texts
from dspex_lab.magics.panel_commands import show_panel
from dspex_lab.pipelines import run_table
from dspex_lab.settings import PoolSpec

__all__ = ["COMMANDS", "Text", "run_command"]


@dataclass(frozen=True, slots=True)
class Text:
    """Text that shows as it is, in a notebook and in a terminal."""

    text: str

    def __repr__(self) -> str:
        return self.text


def run_command(line: str) -> Any:
    """Carry out the command in ``line``; its value is what to show. Raises ``ConfigurationError`` for what is none."""
    try:
        name, *arguments = shlex.split(line) or ["status"]
    except ValueError as error:
        raise ConfigurationError(
            f"The line cannot be read: {error}.", "%lab", hint="Close the quotes, or write the quote as \\'."
        ) from None
    command = COMMANDS.get(name)
    if command is None:
        raise ConfigurationError(
            f"%lab knows no command {name!r}.",
            "%lab",
            ", ".join(COMMANDS),
            name,
            hint=did_you_mean(name, COMMANDS, "%lab help lists the commands.", form="%lab {}"),
        )
    return command(*arguments)


def _takes(count: str, arguments: tuple[str, ...], *allowed: int) -> None:
    if len(arguments) not in allowed:
        raise _unfit(count, arguments)


def _unfit(count: str, arguments: tuple[str, ...]) -> ConfigurationError:
    return ConfigurationError(f"That takes {count}.", "%lab", count, " ".join(arguments), hint="See %lab help.")


def _status(*arguments: str) -> Any:
    _takes("no argument", arguments, 0)
    return _shown(current_lab())


def _shown(lab: Lab) -> Any:
    """The lab's host; a question starts none."""
    return lab.status() if lab.has_host() else Text(_NO_HOST)


def _start(*arguments: str) -> Any:
    _takes("at most one pool", arguments, 0, 1)
    return current_lab().start(*arguments)


def _stop(*arguments: str) -> Any:
    _takes("no argument", arguments, 0)
    lab = current_lab()
    if not lab.has_host():
        return Text(_NO_HOST)
    lab.stop()
    return Text("The pool host is ending, and its workers with it. The next call starts another.")


def _lm(*arguments: str) -> Any:
    lab = current_lab()
    if not arguments:
        return Text(_describe(lab.lm))
    model, *settings = arguments
    values = dict(_setting(text) for text in settings)
    return Text(_describe(lab.use_lm(model, **values)))


def _setting(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if name.lower().replace("-", "_") in _SECRETS:
        raise ConfigurationError(
            "A key does not belong into a notebook.",
            "%lab lm",
            "a key in the environment",
            hint="Set the provider's variable, as OPENAI_API_KEY, before the notebook starts, "
            "or write current_lab().use_lm(model, api_key=getpass()).",
        )
    if not separator:
        raise ConfigurationError(
            f"{text!r} is no setting.", "%lab lm", "name=value", text, hint="For example temperature=0.2."
        )
    return name, value


#: So many runs and traces are shown; lab.runs() and lab.traces() have them all.
_SHOWN = 50
_NO_HOST = "No pool host runs; the first call starts one, and so does %lab start."
_NO_TRACE = "Nothing was traced yet; every run of a program or pipeline is."
_SECRETS = frozenset({"api_key", "key", "apikey", "token", "secret", "password"})


def _describe(lm: LmSpec) -> str:
    figures = {"temperature": lm.temperature, "max_tokens": lm.max_tokens, "api_base": lm.api_base}
    given = ", ".join(f"{name} {value}" for name, value in figures.items() if value is not None)
    where = "on this machine" if lm.is_local else "remote"
    return f"{lm.model} ({where}{', ' + given if given else ''})"


def _pools(*arguments: str) -> Any:
    lab = current_lab()
    match arguments:
        case ():
            return _shown(lab)
        case ("add",):
            raise _unfit("a name, and options of PoolSpec", arguments)
        case ("add", name, *options):
            lab.add_pool(_spec(name, *options))
            return lab.status()
        case ("restart", name):
            count = lab.restart_pool(name)
            workers = "1 worker" if count == 1 else f"{count} workers"
            return Text(f"{workers} of {name} will be replaced, after the calls under way.")
        case ("remove", name):
            lab.remove_pool(name)
            return lab.status()
        case (name, size):
            return lab.resize(name, _size(name, size))
        case _:
            raise _unfit("nothing, a pool and its size, or add, restart or remove and a pool", arguments)


def _size(pool: str, text: str) -> int:
    if not text.isdecimal():
        raise ConfigurationError(
            f"{text!r} is no size of a pool.",
            f"pools.{pool}.size",
            "a number",
            text,
            hint=f"Write a number, as in %lab pools {pool} 4.",
        )
    return int(text)


def _spec(name: str, *settings: str) -> PoolSpec:
    """A pool from the line's words; values are read as JSON where they are (numbers, lists), else as text."""
    values: dict[str, Any] = {}
    for text in settings:
        key, separator, value = text.partition("=")
        if not separator or key not in PoolSpec.model_fields:
            options = ", ".join(PoolSpec.model_fields)
            raise ConfigurationError(
                f"{text!r} is no option of a pool.",
                f"pools.{name}",
                options,
                text,
                hint=did_you_mean(key, PoolSpec.model_fields, f"The options are {options}.", form="{}=..."),
            )
        try:
            values[key] = json.loads(value)
        except ValueError:
            values[key] = value
    return PoolSpec.create(name=name, **values)


def _jobs(*arguments: str) -> Any:
    lab = current_lab()
    if arguments[:1] == ("cancel",):
        _takes("one job, by its id", arguments[1:], 1)
        lab.job(arguments[1]).cancel()
        return Text("The job is told to stop.")
    _takes("nothing, or cancel and a job's id", arguments, 0)
    if not lab.has_host():
        return Text(_NO_HOST)
    lines = [f"{one.id}  {one.state:<9}  {one.pool}  {ctime(one.submitted_at)}" for one in lab.jobs()]
    return Text("\n".join(lines) or "There is no job; current_lab().start_job(function, ...) begins one.")


def _runs(*arguments: str) -> Any:
    _takes("no argument", arguments, 0)
    records = current_lab().history.records(limit=_SHOWN)
    return run_table(records) if records else Text("No run was written down yet.")


def _traces(*arguments: str) -> Any:
    _takes("no argument", arguments, 0)
    table = current_lab().traces(_SHOWN)
    return table if len(table) else Text(_NO_TRACE)


def _trace(*arguments: str) -> Any:
    _takes("at most one id, of a trace or a run", arguments, 0, 1)
    return current_lab().trace(*arguments)


def _logs(*arguments: str) -> Any:
    _takes("at most one worker", arguments, 0, 1)
    logs = current_lab().logs()
    if not logs:
        return Text(_NO_HOST)
    chosen = {path: text for path, text in logs.items() if not arguments or arguments[0] in path}
    if not chosen:
        raise ConfigurationError(
            f"There is no log of {arguments[0]!r}.",
            "worker",
            ", ".join(logs),
            arguments[0],
            hint="%lab logs shows all.",
        )
    return Text("\n\n".join(f"── {path}\n{text.rstrip() or '(empty)'}" for path, text in chosen.items()))


def _connect(*arguments: str) -> Any:
    _takes("one worker", arguments, 1)
    path = current_lab().request("worker.connection", worker=arguments[0])
    return Text(f"In a terminal: jupyter console --existing {path}")


def _help(*_: str) -> Any:
    return Text(help_texts.LAB)


COMMANDS: dict[str, Callable[..., Any]] = {
    "status": _status,
    "start": _start,
    "stop": _stop,
    "lm": _lm,
    "pools": _pools,
    "jobs": _jobs,
    "runs": _runs,
    "traces": _traces,
    "trace": _trace,
    "panel": show_panel,
    "logs": _logs,
    "connect": _connect,
    "help": _help,
}
