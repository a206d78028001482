/** The word in the status bar. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { IStatusBar } from "@jupyterlab/statusbar";
import { Commands } from "../commands.js";
import type { LabModel } from "../models/lab_model.js";
import { StatusItem } from "../panels/status_item.js";
import { ILabModel } from "../tokens.js";

export const statusPlugin: JupyterFrontEndPlugin<void> = {
  id: "dspex-lab:status",
  description: "Workers and calls in the status bar.",
  autoStart: true,
  requires: [ILabModel, IStatusBar],
  activate: ({ commands }: JupyterFrontEnd, model: LabModel, bar: IStatusBar) => {
    const open = () => commands.hasCommand(Commands.show) && void commands.execute(Commands.show);
    bar.registerStatusItem("dspex-lab:status", { item: new StatusItem(model, open), align: "left", rank: 4 });
  },
};
