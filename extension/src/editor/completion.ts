/** Words for our cells from the server, where the kernel cannot offer its own: it is busy, or there is none. */

import type { CompletionHandler, ICompletionContext, ICompletionProvider } from "@jupyterlab/completer";
import type { INotebookTracker } from "@jupyterlab/notebook";
import type { Client } from "../api/client.js";
import { kindOf, pythonLength } from "./cell_kind.js";
import { othersOf } from "./notebooks.js";

/** Where the word begins that the offered ones would take the place of. */
export function wordStart(before: string, words: readonly string[]): number {
  const typed = /[\w.-]*$/.exec(before)?.[0] ?? "";
  for (let start = before.length - typed.length; start < before.length; start++) {
    const word = before.slice(start).toLowerCase();
    if (words.some((one) => one.toLowerCase().startsWith(word))) return start;
  }
  return before.length;
}

export class ServerCompletions implements ICompletionProvider {
  readonly identifier = "dspex-lab:completion";
  readonly rank = 600;
  renderer = null;

  constructor(
    private readonly client: Client,
    private readonly tracker: INotebookTracker | null,
    private readonly isOn: () => boolean,
  ) {}

  async isApplicable({ editor, session }: ICompletionContext): Promise<boolean> {
    if (!this.isOn() || !editor || !kindOf(editor.model.sharedModel.getSource())) return false;
    const kernel = session?.kernel;
    return kernel?.connectionStatus !== "connected" || kernel.status !== "idle";
  }

  async fetch(
    request: CompletionHandler.IRequest,
    { editor }: ICompletionContext,
  ): Promise<CompletionHandler.ICompletionItemsReply> {
    const before = request.text.slice(0, request.offset);
    const others = editor ? othersOf(editor.model, this.tracker) : [];
    const body = { cell: request.text, cursor: pythonLength(before), others };
    const { words } = await this.client.post<{ words: string[] }>("complete", body);
    return {
      start: wordStart(before, words),
      end: request.offset,
      items: words.map((label) => ({ label, insertText: label, type: "keyword" })),
    };
  }
}
