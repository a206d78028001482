/** One trace in a tab of its own. */

import { Widget } from "@lumino/widgets";
import { element, setText } from "../../../dspex_lab/widgets/static/elements.js";
import { type Trace, TraceView } from "../../../dspex_lab/widgets/static/trace_view.js";
import type { Topic } from "../api/shapes.js";
import type { LabModel } from "../models/lab_model.js";
import { labIcon } from "./icon.js";

export class TracePanel extends Widget {
  private readonly word = element("div", "side-word");
  private readonly controller = new AbortController();
  private readonly view: TraceView;

  constructor(
    private readonly model: LabModel,
    private readonly traceId: string,
    name: string,
  ) {
    super();
    this.addClass("dspex-tab");
    this.title.label = name;
    this.title.icon = labIcon;
    this.node.append(this.word);
    this.view = new TraceView(this.node, { attributes: (id) => this.attributes(id) }, this.controller.signal);
    this.view.root.hidden = true;
    model.changed.connect(this.onChanged, this);
    void this.load();
  }

  override dispose(): void {
    this.controller.abort();
    this.model.changed.disconnect(this.onChanged, this);
    super.dispose();
  }

  private onChanged(_: LabModel, what: Topic | "line"): void {
    // A trace that ended stays as it is.
    if (what === "traces" && this.view.trace?.status === "running") void this.load();
  }

  private async load(): Promise<void> {
    try {
      this.view.set(await this.model.client.get<Trace>(`traces/${this.traceId}`, this.controller.signal));
      this.view.root.hidden = false;
      this.say("");
    } catch (error) {
      if (!this.controller.signal.aborted) this.say(error instanceof Error ? error.message : String(error));
    }
  }

  private async attributes(spanId: string): Promise<Record<string, unknown>> {
    const path = `traces/${this.traceId}/spans/${spanId}`;
    return (await this.model.client.get<{ attributes: Record<string, unknown> }>(path, this.controller.signal))
      .attributes;
  }

  private say(text: string): void {
    setText(this.word, text);
    this.word.hidden = !text;
  }
}
