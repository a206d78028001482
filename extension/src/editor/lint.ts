/** Red lines under what is wrong in our cells, as the server's native linter says, with or without a kernel. */

import { type Diagnostic, linter, lintKeymap } from "@codemirror/lint";
import type { Extension, Text } from "@codemirror/state";
import { keymap } from "@codemirror/view";
import type { Client } from "../api/client.js";
import { fromPython, kindOf } from "./cell_kind.js";

interface Fault {
  line: number;
  start: number;
  end: number;
  severity: "error" | "warning";
  message: string;
  hint: string;
}

const DELAY_MS = 350;

/** Where a fault stands in the editor's document. */
export function placed(fault: Fault, document: Text): Diagnostic {
  const line = document.line(Math.min(Math.max(1, fault.line), document.lines));
  const from = line.from + fromPython(line.text, fault.start);
  const to = Math.max(from, line.from + fromPython(line.text, fault.end));
  const message = fault.hint ? `${fault.message}\n${fault.hint}` : fault.message;
  return { from, to, severity: fault.severity, source: "DSPex Lab", message };
}

/** `others` gives the sources of the notebook's other cells when they are asked for. */
export function lint(client: Client, others: () => string[]): Extension {
  const source = async (document: Text): Promise<Diagnostic[]> => {
    const cell = document.toString();
    if (!kindOf(cell)) return [];
    try {
      const told = await client.post<{ diagnostics: Fault[] }>("lint", { cell, others: others() });
      return told.diagnostics.map((fault) => placed(fault, document));
    } catch {
      return []; // a server that cannot say what is wrong is no fault of the cell's
    }
  };
  return [
    linter((view) => source(view.state.doc), {
      delay: DELAY_MS,
      // Other cells may have changed while the reader was there.
      needsRefresh: (update) => update.focusChanged && update.view.hasFocus,
    }),
    keymap.of(lintKeymap),
  ];
}
