/** A new notebook from a template, by the palette or the launcher, in the folder that is open. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { ICommandPalette, InputDialog } from "@jupyterlab/apputils";
import { IDefaultFileBrowser } from "@jupyterlab/filebrowser";
import { ILauncher } from "@jupyterlab/launcher";
import { Commands } from "../commands.js";
import type { LabModel } from "../models/lab_model.js";
import { labIcon } from "../panels/icon.js";
import { ILabModel } from "../tokens.js";

interface Template {
  name: string;
  title: string;
}

export const newNotebookPlugin: JupyterFrontEndPlugin<void> = {
  id: "dspex-lab:new-notebook",
  description: "New notebooks from templates.",
  autoStart: true,
  requires: [ILabModel],
  optional: [ICommandPalette, ILauncher, IDefaultFileBrowser],
  activate: (
    app: JupyterFrontEnd,
    model: LabModel,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    files: IDefaultFileBrowser | null,
  ) => {
    const { commands, serviceManager } = app;

    const chosen = async (asked: unknown): Promise<Template | undefined> => {
      const { templates } = await model.client.get<{ templates: Template[] }>("templates");
      if (asked) return templates.find((one) => one.name === asked);
      const items = templates.map((one) => one.title);
      const { value } = await InputDialog.getItem({ title: "Begin with what?", items, okLabel: "Make" });
      return templates.find((one) => one.title === value);
    };

    commands.addCommand(Commands.newNotebook, {
      label: (args) => (args.isLauncher ? "DSPex Lab" : "New Notebook from a Template…"),
      caption: "A notebook that asks a model, runs a pipeline, or runs one over many rows",
      icon: labIcon,
      execute: async (args) => {
        const template = await chosen(args.template);
        if (!template) return;
        const { content } = await model.client.get<{ content: object }>(`templates/${template.name}`);
        const folder = typeof args.cwd === "string" ? args.cwd : (files?.model.path ?? "");
        const { contents } = serviceManager;
        const { path } = await contents.newUntitled({ path: folder, type: "notebook" });
        await contents.save(path, { type: "notebook", format: "json", content });
        await commands.execute("docmanager:open", { path, factory: "Notebook", kernel: { name: "python3" } });
      },
    });
    palette?.addItem({ command: Commands.newNotebook, category: "DSPex Lab" });
    launcher?.add({ command: Commands.newNotebook, category: "Notebook", rank: 10, args: { isLauncher: true } });
  },
};
