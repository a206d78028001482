/** One run in a tab of its own, as its notebook shows it; its notebook does what is ordered here. */

import { Widget } from "@lumino/widgets";
import { element, setText } from "../../../dspex_lab/widgets/static/elements.js";
import { RunView, type State } from "../../../dspex_lab/widgets/static/run_view.js";
import { Refusal } from "../api/refusal.js";
import { isUnderWay, type Run, type Status, type Topic } from "../api/shapes.js";
import type { LabModel } from "../models/lab_model.js";
import { labIcon } from "./icon.js";

const AGAIN_MS = 1_000;
/** A run that was just begun is told of within a second or two. */
const PATIENCE_MS = 15_000;

const said = (error: unknown) => (error instanceof Error ? error.message : String(error));

export class RunPanel extends Widget {
  private readonly word = element("div", "side-word");
  private readonly view: RunView;
  private readonly controller = new AbortController();
  private readonly openedAt = Date.now();
  private status: Status | "" = "";
  private wantsAnswer = false;
  private timer = 0;

  /** `onBegun` is called with the id of a run that was begun again here. */
  constructor(
    private readonly model: LabModel,
    readonly runId: string,
    name: string,
    private readonly onBegun: (runId: string) => void,
  ) {
    super();
    this.id = `dspex-lab-run-${runId}`;
    this.addClass("dspex-tab");
    this.title.label = name || "run";
    this.title.icon = labIcon;
    this.title.closable = true;
    this.node.tabIndex = -1;
    this.node.append(this.word);
    const actions = {
      cancel: () => this.cancel(),
      answer: (question: string, values: Record<string, unknown>) => void this.answer(question, values),
      rerun: (step: string) => void this.rerun(step),
    };
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

  /** Have the first question's form under the reader's hands, as soon as it is there. */
  goToQuestion(): void {
    const [first] = this.view.questions.values();
    this.wantsAnswer = !first;
    first?.focus();
  }

  private onChanged(_: LabModel, what: Topic | "line"): void {
    if (what !== "runs") return;
    const row = this.model.get("runs").runs?.find((run) => run.run_id === this.runId);
    if (row && row.status !== this.status) void this.load();
  }

  private async load(): Promise<void> {
    window.clearTimeout(this.timer);
    let isToCome = false;
    try {
      const told = await this.model.client.get<Pick<Run, "status"> & { state: State }>(
        `runs/${this.runId}`,
        this.controller.signal,
      );
      this.status = told.status;
      // While it goes on the list of runs stays the same, and its steps change.
      isToCome = isUnderWay(told);
      this.view.set(told.state);
      this.view.root.hidden = false;
      this.say("");
      if (this.wantsAnswer) this.goToQuestion();
    } catch (error) {
      if (this.controller.signal.aborted) return;
      const isNew = error instanceof Refusal && error.status === 404;
      isToCome = isNew && Date.now() - this.openedAt < PATIENCE_MS;
      this.say(isToCome ? "…" : said(error));
    }
    window.clearTimeout(this.timer);
    if (isToCome) this.timer = window.setTimeout(() => void this.load(), AGAIN_MS);
  }

  private cancel(): void {
    this.model.cancelRun(this.runId).catch((error) => this.say(said(error)));
  }

  private async answer(question: string, values: Record<string, unknown>): Promise<void> {
    try {
      await this.model.answerRun(this.runId, question, values);
    } catch (error) {
      const faults = error instanceof Refusal ? error.faults : [];
      this.view.refuse(question, faults.length ? faults : [{ field: "", message: said(error) }]);
    }
  }

  private async rerun(step: string): Promise<void> {
    try {
      this.onBegun(await this.model.rerun(this.runId, step));
      this.view.letRerun();
    } catch (error) {
      this.view.notBegun(said(error));
    }
  }

  private say(text: string): void {
    setText(this.word, text);
    this.word.hidden = !text;
  }
}
