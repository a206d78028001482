"""Settings and pools: from code, from the environment, and errors that name the key."""

from __future__ import annotations

import math
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic
import pytest

from dspex_lab.errors import ConfigurationError
from dspex_lab.settings import PoolSpec, Settings


def test_code_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """First the caller's word, then DSPEX_LAB_*, then the default."""
    monkeypatch.setenv("DSPEX_LAB_LM", "openai/a")
    assert Settings.create().lm == "openai/a"
    assert Settings.create(lm="openai/b").lm == "openai/b"
    monkeypatch.delenv("DSPEX_LAB_LM")
    assert Settings.create().lm == "local/smollm2-135m"


def test_pools_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """DSPEX_LAB_POOLS is JSON."""
    monkeypatch.setenv("DSPEX_LAB_POOLS", '[{"name": "mine", "size": 3}]')
    assert Settings.create().pools == (PoolSpec(name="mine", size=3),)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"idle_exit_s": 0}, "idle_exit_s"),
        ({"no_such_setting": 1}, "no_such_setting"),
        ({"lm_temperature": 3}, "lm_temperature"),
        ({"pools": [{"name": "Bad Name"}]}, "pools.Bad Name.name"),
        ({"pools": [{"name": "a", "size": 0}]}, "pools.a.size"),
        ({"preload": ["dspy", "-c"]}, "preload.1"),
        ({"lm": "gpt-4o"}, "lm"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, Any], key: str) -> None:
    """The error carries the key, what was expected and what was there."""
    for make in (Settings, Settings.create):
        with pytest.raises(ConfigurationError) as caught:
            make(**values)
        assert caught.value.config_key == key
        assert caught.value.expected
        assert caught.value.actual


@pytest.mark.parametrize("name", ["DSPEX_LAB_POOLS", "DSPEX_LAB_IDLE_EXIT_S"])
def test_nonsense_in_the_environment_is_a_configuration_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text that cannot be read is told like any other wrong setting."""
    monkeypatch.setenv(name, "nonsense")
    with pytest.raises(ConfigurationError):
        Settings.create()


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"size": 0}, "pools.mine.size"),
        ({"concurrency": 5000}, "pools.mine.concurrency"),
        ({"gpu": "maybe"}, "pools.mine.gpu"),
        ({"cancel_grace_s": -1}, "pools.mine.cancel_grace_s"),
        ({"colour": "red"}, "pools.mine.colour"),
        ({"size": 2, "min_ready": 3}, "pools.mine"),
        ({"op_timeout_s": math.inf}, "pools.mine.op_timeout_s"),
        ({"cancel_grace_s": math.inf}, "pools.mine.cancel_grace_s"),
        ({"cwd": "/nonexistent"}, "pools.mine.cwd"),
        ({"cwd": "a\0b"}, "pools.mine.cwd"),
        ({"python": "/nonexistent"}, "pools.mine.python"),
        ({"python": "/etc/passwd"}, "pools.mine.python"),
        ({"env": {"A": "a\0b"}}, "pools.mine.env"),
        ({"env": {"A=B": "c"}}, "pools.mine.env"),
    ],
)
def test_a_wrong_pool_is_named(values: dict[str, Any], key: str) -> None:
    """The error carries the pool's name and the key."""
    for make in (PoolSpec, PoolSpec.create):
        with pytest.raises(ConfigurationError) as caught:
            make(name="mine", **values)
        assert caught.value.config_key == key


@pytest.mark.parametrize("name", ["x y", "X", "1a", "", "a" * 32, "ab\n"])
def test_what_is_no_pools_name_is_told_in_words(name: str) -> None:
    """And not as a regular expression."""
    with pytest.raises(ConfigurationError, match="small letters first"):
        PoolSpec(name=name)


def test_an_api_key_is_shown_nowhere() -> None:
    """Neither repr() nor what the host is told holds the key."""
    settings = Settings.create(lm_api_key="sk-secret")
    assert "sk-secret" not in repr(settings)
    assert "sk-secret" not in settings.model_dump_json()


def test_a_pools_variables_are_shown_nowhere() -> None:
    """Keys of providers may be among them; the workers get them."""
    spec = PoolSpec(name="mine", env={"OPENAI_API_KEY": "sk-secret"})
    assert "sk-secret" not in repr(Settings(pools=(spec,)))
    assert spec.model_dump(mode="json")["env"] == {"OPENAI_API_KEY": "sk-secret"}


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (PoolSpec, {"name": "mine", "size": 1, "min_ready": 2, "env": {"KEY": "sk-secret"}}),
        (PoolSpec, {"name": "mine", "env": {"A=": "sk-secret"}}),
        (Settings, {"lm_api_key": ["sk-secret"]}),
        (Settings, {"pools": [{"name": "a", "size": 0, "env": {"KEY": "sk-secret"}}]}),
    ],
)
def test_an_error_quotes_no_secret(make: Callable[..., object], values: dict[str, Any]) -> None:
    """It is shown, and it travels: neither it nor what it came of holds what was given in the place of a key."""
    with pytest.raises(ConfigurationError) as caught:
        make(**values)
    told = "".join(traceback.format_exception(caught.value))
    assert "sk-secret" not in told.replace(repr(values), "")
    assert "sk-secret" not in str(caught.value.to_dict())


def test_settings_are_frozen() -> None:
    """Nobody changes settings that others hold."""
    with pytest.raises(pydantic.ValidationError):
        Settings.create().lm = "other/model"


def test_the_runtime_folder_is_private(tmp_path: Path) -> None:
    """It is made with its parents, 0700, and made private when it was open."""
    path = tmp_path / "a" / "b"
    settings = Settings.create(runtime_dir=path)
    assert settings.private_runtime_dir().stat().st_mode & 0o777 == 0o700
    path.chmod(0o755)
    assert settings.private_runtime_dir().stat().st_mode & 0o777 == 0o700


def test_anothers_runtime_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of another user is no place for a key."""
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(ConfigurationError) as caught:
        Settings.create(runtime_dir=tmp_path).private_runtime_dir()
    assert caught.value.config_key == "runtime_dir"


def test_an_unknown_pool_names_those_there_are() -> None:
    """The error helps to find the right name."""
    settings = Settings.create()
    assert settings.pool("general").name == "general"
    with pytest.raises(ConfigurationError, match="genral"):
        settings.pool("genral")


def test_what_the_host_is_told_makes_the_same_settings() -> None:
    """Settings survive the way to the host as JSON."""
    settings = Settings.create(pools=(PoolSpec(name="mine", env={"A": "b"}),), lm="openai/x")
    assert Settings.create(**settings.model_dump(mode="json", exclude={"lm_api_key"})) == settings
