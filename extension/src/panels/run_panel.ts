/** One run in a tab of its own, as its notebook shows it, with nothing of the notebook needed. */

import { Widget } from "@lumino/widgets";
import { element, setText } from "../../../dspex_lab/widgets/static/elements.js";
import { RunView, type State } from "../../../dspex_lab/widgets/static/run_view.js";
import { isUnderWay, type Run, type Topic } from "../api/shapes.js";
import type { LabModel } from "../models/lab_model.js";
import { labIcon } from "./icon.js";

const AGAIN_MS = 1_000;

export class RunPanel extends Widget {
  private readonly word = element("div", "side-word");
  private readonly view: RunView;
  private readonly controller = new AbortController();
  private timer = 0;

  constructor(
    private readonly model: LabModel,
    readonly runId: string,
    name: string,
  ) {
    super();
    this.id = `dspex-lab-run-${runId}`;
    this.addClass("dspex-tab");
    this.title.label = name || "run";
    this.title.icon = labIcon;
    this.title.closable = true;
    this.node.tabIndex = -1;
    this.node.append(this.word);
    // The server's state offers no step to run again: that is for the notebook, which has the values.
    const actions = { cancel: () => this.cancel(), answer: () => undefined, rerun: () => undefined };
    this.view = new RunView(this.node, actions, this.controller.signal);
    this.view.root.hidden = true;
    model.changed.connect(this.onChanged, this);
    void this.load();
  }

  override dispose(): void {
    window.clearTimeout(this.timer);
    this.controller.abort();
    this.model.changed.disconnect(this.onChanged, this);
    super.dispose();
  }

  private onChanged(_: LabModel, what: Topic | "line"): void {
    if (what === "runs") void this.load();
  }

  private async load(): Promise<void> {
    window.clearTimeout(this.timer);
    try {
      const told = await this.model.client.get<Pick<Run, "status"> & { state: State }>(
        `runs/${this.runId}`,
        this.controller.signal,
      );
      // While it goes on the list of runs stays the same, and its steps change.
      if (isUnderWay(told)) this.timer = window.setTimeout(() => void this.load(), AGAIN_MS);
      // Questions are answered in the notebook, which has the run.
      this.view.set({ ...told.state, questions: [] });
      this.view.root.hidden = false;
      this.say("");
    } catch (error) {
      if (!this.controller.signal.aborted) this.say(error instanceof Error ? error.message : String(error));
    }
  }

  private cancel(): void {
    this.model.cancelRun(this.runId).catch((error: Error) => this.say(error.message));
  }

  private say(text: string): void {
    setText(this.word, text);
    this.word.hidden = !text;
  }
}
