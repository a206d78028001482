/** The side panel, on the left where JupyterLab has its own. */

import { ILabShell, ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from "@jupyterlab/application";
import { ICommandPalette } from "@jupyterlab/apputils";
import { Commands } from "../commands.js";
import type { LabModel } from "../models/lab_model.js";
import { makeSidePanel } from "../panels/side_panel.js";
import { ILabModel } from "../tokens.js";

export const sidePanelPlugin: JupyterFrontEndPlugin<void> = {
  id: "dspex-lab:side-panel",
  description: "Pools, runs and traces of all notebooks beside the files.",
  autoStart: true,
  requires: [ILabModel, ILabShell],
  optional: [ICommandPalette, ILayoutRestorer],
  activate: (
    { commands, shell }: JupyterFrontEnd,
    model: LabModel,
    _labShell: ILabShell,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null,
  ) => {
    const panel = makeSidePanel(model, commands);
    shell.add(panel, "left", { rank: 650, type: "DSPex Lab" });
    restorer?.add(panel, panel.id);
    commands.addCommand(Commands.show, {
      label: "Show Pools, Runs and Traces",
      execute: () => shell.activateById(panel.id),
    });
    palette?.addItem({ command: Commands.show, category: "DSPex Lab" });
  },
};
