/** The plugins of DSPex Lab for JupyterLab and Notebook. */

import { modelPlugin } from "./plugins/model.js";
import { sidePanelPlugin } from "./plugins/side_panel.js";

export default [modelPlugin, sidePanelPlugin];
