/** The side panel, on the left where JupyterLab has its own. */

import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from "@jupyterlab/application";
import type { LabModel } from "../models/lab_model.js";
import { makeSidePanel } from "../panels/side_panel.js";
import { ILabModel } from "../tokens.js";

export const sidePanelPlugin: JupyterFrontEndPlugin<void> = {
  id: "dspex-lab:side-panel",
  description: "Pools, runs and traces of all notebooks beside the files.",
  autoStart: true,
  requires: [ILabModel],
  optional: [ILayoutRestorer],
  activate: (app: JupyterFrontEnd, model: LabModel, restorer: ILayoutRestorer | null) => {
    const panel = makeSidePanel(model, {
      openRun: () => undefined,
      cancelRun: (run) => model.cancelRun(run),
      openTrace: () => undefined,
    });
    app.shell.add(panel, "left", { rank: 650, type: "DSPex Lab" });
    restorer?.add(panel, panel.id);
  },
};
