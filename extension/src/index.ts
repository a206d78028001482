/** The plugins of DSPex Lab for JupyterLab and Notebook. */

import { editorPlugin } from "./plugins/editor.js";
import { modelPlugin } from "./plugins/model.js";
import { newNotebookPlugin } from "./plugins/new_notebook.js";
import { poolCommandsPlugin } from "./plugins/pool_commands.js";
import { runCommandsPlugin } from "./plugins/run_commands.js";
import { sidePanelPlugin } from "./plugins/side_panel.js";
import { statusPlugin } from "./plugins/status.js";

export default [
  modelPlugin,
  editorPlugin,
  statusPlugin,
  sidePanelPlugin,
  poolCommandsPlugin,
  runCommandsPlugin,
  newNotebookPlugin,
];
