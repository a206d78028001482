/** Colours for our cells, as an extension of the editor. */

import { type Extension, RangeSetBuilder } from "@codemirror/state";
import { Decoration, type DecorationSet, type EditorView, ViewPlugin, type ViewUpdate } from "@codemirror/view";
import { type MarkKind, marksOf } from "./marks.js";

const KINDS: MarkKind[] = ["magic", "name", "flag", "arrow", "field"];
const DECORATIONS = new Map(KINDS.map((kind) => [kind, Decoration.mark({ class: `dspex-cm-${kind}` })]));

function decorate(view: EditorView): DecorationSet {
  const builder = new RangeSetBuilder<Decoration>();
  for (const { from, to, kind } of marksOf(view.state.doc.toString())) {
    const decoration = DECORATIONS.get(kind);
    if (decoration) builder.add(from, to, decoration);
  }
  return builder.finish();
}

class Highlighter {
  decorations: DecorationSet;

  constructor(view: EditorView) {
    this.decorations = decorate(view);
  }

  update(update: ViewUpdate): void {
    if (update.docChanged) this.decorations = decorate(update.view);
  }
}

export const highlight: Extension = ViewPlugin.fromClass(Highlighter, {
  decorations: (plugin) => plugin.decorations,
});
