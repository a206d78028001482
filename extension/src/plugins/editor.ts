/** Colours, red lines and completion in `%%signature` and `%%pipeline` cells, in JupyterLab and Notebook. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { EditorExtensionRegistry, IEditorExtensionRegistry } from "@jupyterlab/codemirror";
import { ICompletionProviderManager } from "@jupyterlab/completer";
import { INotebookTracker } from "@jupyterlab/notebook";
import { ISettingRegistry } from "@jupyterlab/settingregistry";
import { ServerCompletions } from "../editor/completion.js";
import { highlight } from "../editor/highlight.js";
import { lint } from "../editor/lint.js";
import { othersOf } from "../editor/notebooks.js";
import type { LabModel } from "../models/lab_model.js";
import { ILabModel } from "../tokens.js";

const ID = "dspex-lab:editor";

interface EditorSettings {
  highlight: boolean;
  diagnostics: boolean;
  completion: boolean;
}

export const editorPlugin: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: "Colours, red lines and completion in the cells of DSPex Lab.",
  autoStart: true,
  requires: [ILabModel, IEditorExtensionRegistry],
  optional: [INotebookTracker, ICompletionProviderManager, ISettingRegistry],
  activate: (
    _app: JupyterFrontEnd,
    model: LabModel,
    extensions: IEditorExtensionRegistry,
    tracker: INotebookTracker | null,
    completions: ICompletionProviderManager | null,
    registry: ISettingRegistry | null,
  ) => {
    const settings: EditorSettings = { highlight: true, diagnostics: true, completion: true };
    void registry?.load(ID).then((loaded) => {
      const read = () => Object.assign(settings, loaded.composite);
      loaded.changed.connect(read);
      read();
    });
    // What is switched off is not there in editors that open from then on.
    extensions.addExtension({
      name: "dspex-lab:highlight",
      factory: () => (settings.highlight ? EditorExtensionRegistry.createImmutableExtension(highlight) : null),
    });
    extensions.addExtension({
      name: "dspex-lab:lint",
      factory: ({ model: cell, inline }) =>
        settings.diagnostics && inline
          ? EditorExtensionRegistry.createImmutableExtension(lint(model.client, () => othersOf(cell, tracker)))
          : null,
    });
    completions?.registerProvider(new ServerCompletions(model.client, tracker, () => settings.completion));
  },
};
