"""Several ES modules become one."""

from __future__ import annotations

from pathlib import Path

import dspex_lab.widgets
from dspex_lab.widgets.modules import read_module

STATIC = Path(dspex_lab.widgets.__file__).parent / "static"


def test_what_is_imported_comes_first_and_once(tmp_path: Path) -> None:
    """Modules are put in the order of need, and a module that two others import comes once."""
    (tmp_path / "a.js").write_text("export const a = 1;\n")
    (tmp_path / "b.js").write_text('import { a } from "./a.js";\nexport const b = a + 1;\n')
    (tmp_path / "c.js").write_text(
        'import { a } from "./a.js";\nimport {\n  b,\n} from "./b.js";\nexport default a + b;\n'
    )
    text = read_module(tmp_path / "c.js")
    assert [line for line in text.splitlines() if line] == [
        "export const a = 1;",
        "export const b = a + 1;",
        "export default a + b;",
    ]


def test_the_panel_is_one_module() -> None:
    """Nothing that the run panel is sent with is left to be loaded."""
    text = read_module(STATIC / "run_panel.js")
    assert 'from "./' not in text.replace('import("./', "")
    assert text.count("export default") == 1
