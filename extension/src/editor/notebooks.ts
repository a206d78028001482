/** Which notebook a cell's editor belongs to, and what its other cells say. */

import type { CodeEditor } from "@jupyterlab/codeeditor";
import type { INotebookTracker } from "@jupyterlab/notebook";

/** The sources of the other code cells of the notebook that has this cell; none where there is no notebook. */
export function othersOf(model: CodeEditor.IModel, tracker: INotebookTracker | null): string[] {
  const panel = tracker?.find((one) => {
    const cells = one.content.model?.cells;
    return cells ? [...cells].some((cell) => cell.sharedModel === model.sharedModel) : false;
  });
  const cells = panel?.content.model?.cells;
  if (!cells) return [];
  return [...cells]
    .filter((cell) => cell.type === "code" && cell.sharedModel !== model.sharedModel)
    .map((cell) => cell.sharedModel.getSource());
}
