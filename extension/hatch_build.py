"""Hatchling's hook: the JupyterLab extension goes into the wheel, and ready-built into the sdist.

An editable install has none of it: ``make extension`` builds and links it there, once for many changes.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["ExtensionBuildHook"]


class ExtensionBuildHook(BuildHookInterface):
    """Builds where the sources are not those of what is there: out of an sdist neither Node nor a network is needed."""

    def dependencies(self) -> list[str]:
        build = _build_module(self.root)
        return [] if build.is_current() else list(build.REQUIREMENTS)

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        build = _build_module(self.root)
        build.build()
        if self.target_name == "wheel":
            build_data["shared_data"][str(build.OUTPUT)] = "share/jupyter/labextensions/dspex-lab"
        else:
            build_data["artifacts"].append("/extension/labextension/")


def _build_module(root: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("dspex_lab_extension_build", Path(root) / "extension" / "build.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError("extension/build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
