"""One frozen Settings: from code, from ``DSPEX_LAB_*`` in the environment, then the defaults.

Pools are settings too (:class:`PoolSpec`), so that a notebook, the host and a test speak of the same thing.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import platformdirs
import pydantic
from jupyter_core.paths import jupyter_data_dir, jupyter_runtime_dir
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from dspex_lab.calls import ANY_POOL, is_model_name
from dspex_lab.errors import ConfigurationError

__all__ = ["DEFAULT_LM", "PoolSpec", "Settings", "api_key_for", "default_pools"]

DEFAULT_LM = "local/smollm2-135m"

#: It is part of the names of workers, folders and sockets.
_POOL_NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")

#: As ``import`` takes it.
ModuleName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]

#: Settings that are secrets, or hold some.
_SECRETS = frozenset({"env", "lm_api_key", "otlp_headers"})

#: What the system takes as the path of a Unix socket, in bytes.
_MAX_SOCKET_PATH = 107
#: The longest path of a socket in the runtime folder, but for the pool's name: ``/HOST_ID/POOL-NUMBER/k-5``.
_SOCKET_BYTES = len("/01234567/-99999/k-5")


def _default_runtime_dir() -> Path:
    return Path(jupyter_runtime_dir()) / "dspex-lab"


def _default_cache_dir() -> Path:
    return platformdirs.user_cache_path("dspex-lab", appauthor=False)


def _default_data_dir() -> Path:
    return Path(jupyter_data_dir()) / "dspex-lab"


class PoolSpec(BaseModel):
    """What a pool of workers is: how many, how large, where and for how long. Sizes in MB, times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    size: int = Field(default=8, ge=1, le=256)
    #: Workers kept ready even when nothing is asked of them.
    min_ready: int = Field(default=0, ge=0)
    #: Calls that one worker may have at the same time; above 1 only asynchronous operations overlap.
    concurrency: int = Field(default=1, ge=1, le=1024)
    #: Questions to remote models that one worker may have at the same time beside those: they only wait.
    light_concurrency: int = Field(default=128, ge=1, le=4096)
    max_memory_mb: int = Field(default=512, ge=64)
    gpu: Literal["off", "auto", "required"] = "off"
    #: Another interpreter for the workers; None: forked from the zygote.
    python: str | None = None
    #: Variables to add to the workers' clean environment; keys may be among them, so they are shown nowhere.
    env: dict[str, str] = Field(default_factory=dict, repr=False)
    cwd: str | None = None
    #: "on": no network, no file written but in the workers' own folders, none read that is not Python's or the
    #: system's, and no calls from there to other pools. For code that a model wrote.
    sandbox: Literal["off", "on"] = "off"
    op_timeout_s: float = Field(default=600.0, gt=0)
    queue_limit: int = Field(default=1000, ge=1)
    #: What the arguments of the pool's calls may take in the host together; those in shared memory do not count.
    queue_limit_mb: int = Field(default=256, ge=1)
    #: What the pool is good for, in words of your own: calls may ask for them (``needs``).
    labels: tuple[str, ...] = ()
    #: How long a cancelled call may take to stop before its worker is killed.
    cancel_grace_s: float = Field(default=0.6, gt=0)
    #: A worker is replaced after so many calls, or at such an age; it finishes what it has before.
    recycle_after_calls: int | None = Field(default=None, ge=1)
    recycle_after_s: float | None = Field(default=None, gt=0)
    #: Likewise once it has more memory than this, in MB: before ``max_memory_mb`` ends it together with its calls.
    recycle_above_mb: int | None = Field(default=None, ge=64)
    #: Workers idle for longer are retired, down to ``min_ready``.
    idle_retire_s: float = Field(default=300.0, gt=0)

    @pydantic.model_validator(mode="after")
    def _ready_within_size(self) -> Self:
        if self.name == ANY_POOL:
            raise ValueError(f"the name {ANY_POOL!r} stands for whichever pool fits")
        if self.min_ready > self.size:
            raise ValueError(f"min_ready ({self.min_ready}) is more than size ({self.size})")
        return self

    @pydantic.field_validator("name")
    @classmethod
    def _name_is_one(cls, name: str) -> str:
        if not _POOL_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no pool's name: small letters first, then also digits, _ and -, 31 in all")
        return name

    @pydantic.field_validator("python")
    @classmethod
    def _python_runs(cls, python: str | None) -> str | None:
        if python is not None and ("\0" in python or shutil.which(python) is None):
            raise ValueError(f"{python!r} is no program that can be run")
        return python

    @pydantic.field_validator("cwd")
    @classmethod
    def _cwd_is_there(cls, cwd: str | None) -> str | None:
        if cwd is not None and ("\0" in cwd or not Path(cwd).is_dir()):
            raise ValueError(f"{cwd!r} is no folder")
        return cwd

    @pydantic.field_validator("env")
    @classmethod
    def _env_can_be_set(cls, env: dict[str, str]) -> dict[str, str]:
        for name, value in env.items():
            if not name or "=" in name or "\0" in name + value:
                raise ValueError(f"the variable {name!r} cannot be set: a name has no '=', and neither part a NUL")
        return env

    if not TYPE_CHECKING:  # a checker sees the fields

        def __init__(self, **values: Any) -> None:
            """Raises :class:`ConfigurationError`, which names the pool and the key."""
            try:
                super().__init__(**values)
            except pydantic.ValidationError as error:
                prefix = f"pools.{values.get('name', '?')}"
                raise _configuration_error(error, prefix) from None  # the other quotes what was given, keys included

    @classmethod
    def create(cls, **values: Any) -> PoolSpec:
        """The same of values whose types nobody has checked."""
        return cls(**values)


def default_pools() -> tuple[PoolSpec, ...]:
    """The pools that every host has."""
    return (
        PoolSpec(name="general", size=8, min_ready=1, max_memory_mb=512),
        # Optimizers compute for a long time and hold a whole training set: few of them, and large.
        PoolSpec(name="optimizer", size=2, max_memory_mb=4096, env={"OMP_NUM_THREADS": "4"}, op_timeout_s=24 * 3600.0),
        PoolSpec(name="neural", size=1, concurrency=8, max_memory_mb=8192, gpu="auto", idle_retire_s=1800.0),
        PoolSpec(name="sandbox", size=2, max_memory_mb=512, sandbox="on", op_timeout_s=30.0),
    )


class Settings(BaseSettings):
    """Everything that can be set. Frozen: change it with ``model_copy(update=...)``, in ``lab`` only."""

    model_config = SettingsConfigDict(
        env_prefix="DSPEX_LAB_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    #: The default language model: ``provider/name`` as DSPy and LiteLLM write it, or ``local/NAME``.
    lm: str = DEFAULT_LM
    lm_api_base: str | None = None
    lm_api_key: SecretStr | None = None
    lm_temperature: float | None = Field(default=None, ge=0, le=2)
    lm_max_tokens: int | None = Field(default=None, ge=1)
    lm_timeout_s: float = Field(default=120.0, gt=0)
    #: Where local models lie, beside the bundled one: ``local/NAME`` is ``NAME.gguf`` or the folder ``NAME`` in it.
    model_dir: Path | None = None
    #: What runs them: "auto" takes llama.cpp for a GGUF file and transformers for a folder.
    local_engine: Literal["auto", "llamacpp", "transformers"] = "auto"

    #: Private folder of the host: connection file, sockets, logs, telemetry. Made with mode 0700.
    runtime_dir: Path = Field(default_factory=_default_runtime_dir)
    pools: tuple[PoolSpec, ...] = Field(default_factory=default_pools)
    #: Modules that workers have imported when they start, each once for all of them. They may start no thread.
    preload: tuple[ModuleName, ...] = ("dspy",)
    #: The host leaves when it had no client and no job for so long.
    idle_exit_s: float = Field(default=300.0, gt=0)
    #: How long to wait for a host to come up, and for a worker to be ready.
    host_start_timeout_s: float = Field(default=30.0, gt=0)
    worker_start_timeout_s: float = Field(default=60.0, gt=0)
    heartbeat_s: float = Field(default=1.0, gt=0)
    #: A worker that was not heard of for so long is taken for dead.
    worker_silence_s: float = Field(default=30.0, gt=0)

    #: Where results of steps with ``cache=`` are kept on disk; made with mode 0700.
    cache_dir: Path = Field(default_factory=_default_cache_dir)
    cache_max_size_mb: int = Field(default=256, ge=1)
    #: How many results are kept in the notebook's memory.
    cache_max_entries: int = Field(default=10_000, ge=1)
    #: A model or pool that failed so often in a row is left alone for so long; then one call is let through to probe.
    circuit_failures: int = Field(default=10, ge=1)
    circuit_rest_s: float = Field(default=15.0, gt=0)

    #: Telemetry kept by the host, newest first.
    trace_max_age_days: float = Field(default=14.0, gt=0)
    trace_max_size_mb: int = Field(default=256, ge=1)
    record_prompts: bool = True
    #: Where the host sends every span to as well, by OpenTelemetry's protocol: ``http://localhost:4318``.
    otlp_endpoint: str | None = None
    #: What the receiver wants in its headers: ``name=value,name=value``.
    otlp_headers: SecretStr | None = None

    #: Private folder of what outlives the machine's power: the journal of runs. Made with mode 0700.
    data_dir: Path = Field(default_factory=_default_data_dir)
    #: Finished runs that are kept; unfinished ones are kept four times as long, and as many.
    journal_max_age_days: float = Field(default=30.0, gt=0)
    journal_max_runs: int = Field(default=1000, ge=1)

    if not TYPE_CHECKING:  # a checker sees the fields

        def __init__(self, **values: Any) -> None:
            """``values`` over the environment. Raises :class:`ConfigurationError`, which names the key."""
            try:
                super().__init__(**values)
            except pydantic.ValidationError as error:
                raise _configuration_error(error) from None  # the other quotes what was given, keys included
            except SettingsError as error:  # a variable of the environment that is not the JSON that it should be
                raise ConfigurationError(
                    f"The environment cannot be read: {error}.",
                    expected="JSON",
                    actual=str(error.__cause__),
                    hint="Look at the DSPEX_LAB_* variables.",
                ) from error

    @pydantic.field_validator("lm")
    @classmethod
    def _lm_is_a_name(cls, lm: str) -> str:
        if not is_model_name(lm):
            raise ValueError(f"{lm!r} is no model's name, as {DEFAULT_LM} and openai/gpt-4o-mini are")
        return lm

    @classmethod
    def create(cls, **values: Any) -> Settings:
        """The same of values whose types nobody has checked."""
        return cls(**values)

    def with_lm(self, model: str, **values: Any) -> Settings:
        """The same with another default model. Of the ``values`` (``api_base``, ``api_key``, ``temperature``,
        ``max_tokens``, ``timeout_s``) that are not given, the key and the address go with the model before; the figures
        stay. Raises :class:`ConfigurationError`."""
        if not is_model_name(model):
            raise ConfigurationError(
                f"{model!r} is no model's name.",
                "lm",
                "provider/name",
                model,
                hint="For example local/smollm2-135m, openai/gpt-4o-mini or ollama_chat/llama3.2.",
            )
        allowed = {"api_base", "api_key", "temperature", "max_tokens", "timeout_s"}
        unknown = sorted(values.keys() - allowed)
        if unknown:
            raise ConfigurationError(
                f"A language model has no setting {unknown[0]!r}.",
                f"lm_{unknown[0]}",
                ", ".join(sorted(allowed)),
                hint=f"There are {', '.join(sorted(allowed))}.",
            )
        update: dict[str, Any] = {"lm": model, "lm_api_base": None, "lm_api_key": None}
        update |= {f"lm_{name}": value for name, value in values.items()}
        return Settings.create(**(self.model_dump() | update))

    @property
    def trace_file(self) -> Path:
        """Where the host keeps runs, events and spans: an SQLite file of mode 0600."""
        return self.runtime_dir / "traces.sqlite"

    @property
    def jobs_dir(self) -> Path:
        """Where the host keeps what jobs came to, for a day after: files of mode 0600."""
        return self.runtime_dir / "jobs"

    @property
    def journal_file(self) -> Path:
        """Where notebooks keep the steps that their runs have finished: an SQLite file of mode 0600."""
        return self.data_dir / "journal.sqlite"

    def private_runtime_dir(self) -> Path:
        """The runtime folder, made if need be, 0700 and the user's own. Raises ``ConfigurationError``."""
        path = self.runtime_dir
        self._check_socket_paths(path)
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            owner = path.stat().st_uid
        except OSError as error:
            raise ConfigurationError(
                f"The runtime folder {path} cannot be made: {error.strerror}.",
                "runtime_dir",
                "a folder of your own",
                str(path),
                hint="Set DSPEX_LAB_RUNTIME_DIR to a folder of yours.",
            ) from error
        if owner != os.getuid():
            raise ConfigurationError(
                f"The runtime folder {path} belongs to another user.",
                "runtime_dir",
                "a folder of your own",
                str(path),
                hint="Set DSPEX_LAB_RUNTIME_DIR to a folder of yours.",
            )
        path.chmod(0o700)
        return path

    def _check_socket_paths(self, path: Path) -> None:
        longest = max((len(spec.name) for spec in self.pools), default=0)
        limit = _MAX_SOCKET_PATH - _SOCKET_BYTES - longest
        length = len(os.fsencode(path.absolute()))
        if length > limit:
            raise ConfigurationError(
                f"The path of the runtime folder is too long for Unix sockets: {length} bytes of at most {limit}.",
                "runtime_dir",
                f"a path of at most {limit} bytes",
                str(path),
                hint="Set DSPEX_LAB_RUNTIME_DIR to a folder with a short path.",
            )

    def pool(self, name: str) -> PoolSpec:
        """The pool called ``name``."""
        for spec in self.pools:
            if spec.name == name:
                return spec
        names = ", ".join(spec.name for spec in self.pools)
        raise ConfigurationError(
            f"There is no pool {name!r}.", "pool", f"one of {names}", name, hint=f"The pools are: {names}."
        )


def api_key_for(model: str, given: SecretStr | None = None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The key for ``model``: the one that was set, else the provider's own variable in the notebook."""
    if given is not None:
        return given.get_secret_value()
    provider = model.split("/", 1)[0].upper().replace("-", "_")
    return environment.get(f"{provider}_API_KEY") or None


def _configuration_error(error: pydantic.ValidationError, prefix: str = "") -> ConfigurationError:
    first = error.errors()[0]
    key = ".".join(part for part in (prefix, *map(str, first["loc"])) if part)
    fault = first["msg"].removeprefix("Value error, ")  # pydantic's own words before ours
    return ConfigurationError(
        f"The setting {key} cannot be used: {fault}.",
        key,
        expected=fault,
        actual=_shown(key, first.get("input")),
        hint=f"{len(error.errors()) - 1} further settings are wrong too." if len(error.errors()) > 1 else None,
    )


def _shown(key: str, value: Any) -> str:
    """What was given in the place of a setting, where that is no secret and holds none."""
    is_secret = bool(_SECRETS.intersection(key.split(".")))
    return repr(value) if isinstance(value, str | int | float | None) and not is_secret else f"a {type(value).__name__}"
