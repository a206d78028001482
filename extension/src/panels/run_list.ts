/** The latest runs of all notebooks: state, name, when, how long; Answer while they ask, Cancel while they go. */

import { element, Icon, seconds, setText, ticking } from "../../../dspex_lab/widgets/static/elements.js";
import { isUnderWay, isWaiting, type Run } from "../api/shapes.js";
import { ago } from "./figures.js";
import { type Row, RowList } from "./row_list.js";

export interface RunActions {
  open(run: Run): void;
  answer(run: Run): void;
  cancel(run: Run): Promise<unknown>;
}

function makeButton(text: string, onClick: () => unknown): HTMLButtonElement {
  const button = element("button", "side-button", text) as HTMLButtonElement;
  button.type = "button";
  button.addEventListener("click", onClick);
  return button;
}

class RunRow implements Row<Run> {
  readonly node = element("li", "side-run");
  private readonly icon = new Icon();
  private readonly name = element("span", "side-name");
  private readonly when = element("span", "side-when");
  private readonly took = element("span", "side-took");
  private readonly under = element("div", "side-under");
  private readonly state = element("span", "side-more");
  private readonly error = element("div", "side-error");
  private readonly button = makeButton("Cancel", () => this.cancel());
  private readonly answer = makeButton("Answer…", () => this.run && this.actions.answer(this.run));
  private run: Run | null = null;
  private isCancelling = false;

  constructor(private readonly actions: RunActions) {
    const line = this.node.appendChild(element("div", "side-line"));
    line.append(this.icon.node, this.name, this.took);
    this.answer.classList.add("dspex-side-wanted");
    this.under.append(this.state, this.when, this.answer, this.button);
    this.node.append(this.under, this.error);
  }

  set(run: Run): void {
    this.run = run;
    if (!isUnderWay(run)) this.isCancelling = false;
    this.icon.set(run.status);
    setText(this.name, run.pipeline || "run");
    setText(this.error, run.status === "failed" ? run.error : "");
    this.error.hidden = !this.error.textContent;
    this.node.classList.toggle("dspex-is-running", isUnderWay(run));
    this.name.title = run.pipeline;
    this.error.title = this.error.textContent ?? "";
    this.when.hidden = isUnderWay(run);
    setText(this.state, run.status === "succeeded" ? "" : run.status);
    this.state.hidden = !this.state.textContent;
    this.button.hidden = !isUnderWay(run);
    this.answer.hidden = !isWaiting(run);
    this.answer.setAttribute("aria-label", `Answer ${run.pipeline || "the run"}`);
    this.button.disabled = this.isCancelling;
    setText(this.button, this.isCancelling ? "Cancelling…" : "Cancel");
    this.button.setAttribute("aria-label", `Cancel ${run.pipeline || "the run"}`);
    this.tick(Date.now() / 1_000);
  }

  tick(now: number): void {
    const { run } = this;
    if (!run) return;
    setText(this.when, ago(run.started_at, now));
    setText(this.took, isUnderWay(run) ? ticking(Math.max(0, now - run.started_at)) : seconds(run.duration_s));
    this.node.setAttribute("aria-label", `${run.pipeline || "run"}, ${run.status}, ${this.when.textContent}`);
  }

  open(): void {
    if (this.run) this.actions.open(this.run);
  }

  private cancel(): void {
    const { run } = this;
    if (!run) return;
    this.isCancelling = true;
    this.set(run);
    this.actions.cancel(run).catch(() => {
      this.isCancelling = false;
      if (this.run) this.set(this.run);
    });
  }
}

export const makeRunList = (actions: RunActions): RowList<Run> =>
  new RowList<Run>(
    "Runs",
    (run) => run.run_id,
    () => new RunRow(actions),
  );
