/** The model, and its line to the server: kept while the page is seen. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { Client } from "../api/client.js";
import { LabModel } from "../models/lab_model.js";
import { ILabModel } from "../tokens.js";

/** A page that was hidden for so long listens no more until it is seen again. */
const STAND_BY_MS = 30_000;

export const modelPlugin: JupyterFrontEndPlugin<LabModel> = {
  id: "dspex-lab:model",
  description: "What is known of pools, runs and traces.",
  autoStart: true,
  provides: ILabModel,
  activate: (app: JupyterFrontEnd) => {
    const model = new LabModel(new Client(app.serviceManager.serverSettings));
    let timer = 0;
    document.addEventListener("visibilitychange", () => {
      window.clearTimeout(timer);
      if (document.hidden) timer = window.setTimeout(() => model.disconnect(), STAND_BY_MS);
      else model.connect();
    });
    model.connect();
    return model;
  },
};
