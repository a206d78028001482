/** One section of the side panel: a list out of one topic, or a word in its place. */

import { PanelWithToolbar } from "@jupyterlab/ui-components";
import type { Message } from "@lumino/messaging";
import { Widget } from "@lumino/widgets";
import { element, setText } from "../../../dspex_lab/widgets/static/elements.js";
import type { Topic } from "../api/shapes.js";
import type { LabModel } from "../models/lab_model.js";
import type { RowList } from "./row_list.js";

const TICK_MS = 1_000;

export class Section<T> extends PanelWithToolbar {
  private readonly word = element("div", "side-word");
  private timer = 0;

  constructor(
    title: string,
    private readonly topic: Topic,
    private readonly model: LabModel,
    private readonly list: RowList<T>,
    private readonly items: (model: LabModel) => readonly T[],
    private readonly empty: (model: LabModel) => string,
  ) {
    super();
    this.title.label = title;
    this.addClass("dspex-side-section");
    const content = new Widget();
    content.addClass("dspex-side-content");
    // JupyterLab's shortcuts would take the keys of lists and buttons.
    content.node.dataset.lmSuppressShortcuts = "true";
    content.node.append(this.word, list.node);
    this.addWidget(content);
    model.changed.connect(this.onChanged, this);
    this.draw();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.timer ||= window.setInterval(() => this.list.tick(Date.now() / 1_000), TICK_MS);
  }

  protected override onBeforeHide(message: Message): void {
    super.onBeforeHide(message);
    window.clearInterval(this.timer);
    this.timer = 0;
  }

  override dispose(): void {
    window.clearInterval(this.timer);
    this.model.changed.disconnect(this.onChanged, this);
    super.dispose();
  }

  private onChanged(_: LabModel, what: Topic | "line"): void {
    if (what === this.topic || what === "line") this.draw();
  }

  private draw(): void {
    const { model, topic } = this;
    const items = this.items(model);
    this.list.set(items);
    const { problem } = model.get(topic);
    const word = model.lineState === "broken" ? `No line to the server: ${model.problem}` : problem;
    setText(this.word, word || (items.length ? "" : model.knows(topic) ? this.empty(model) : "…"));
    this.word.hidden = !this.word.textContent;
    this.word.classList.toggle("dspex-side-problem", Boolean(word));
  }
}
