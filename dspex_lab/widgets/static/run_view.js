/**
 * What is seen of a run: a head, a row for each step, growing text, and a button to cancel. Knows the DOM and plain
 * data (see `panel_state.py`), and nothing of widgets: it can stand in a cell or in a side panel.
 *
 * @typedef {"pending" | "running" | "waiting" | "succeeded" | "failed" | "cancelled" | "skipped"} Status
 * @typedef {{ title: string, hint: string, traceback: string }} Failure
 * @typedef {{
 *   id: string, pipeline: string, status: Status, elapsed_s: number, input_tokens: number, output_tokens: number,
 *   tokens_per_s: number | null, cost: number | null, error: Failure | null, warnings: string[],
 *   is_over: boolean, is_cancelling: boolean, can_cancel: boolean,
 * }} Run
 * @typedef {{
 *   name: string, kind: string, depth: number, status: Status, route: string, reason: string, worker: string,
 *   begun_s: number | null, took_s: number | null, first_token_s: number | null, tokens: number,
 *   tokens_per_s: number | null, cost: number | null, notes: string[],
 *   outputs: [name: string, value: string][], error: Failure | null, can_rerun: boolean,
 * }} Step
 * @typedef {[step: string, field: string, at: number, text: string]} Piece
 * @typedef {{
 *   kind: "tokens", run_id: string, pieces: Piece[], run: [number, number | null], sent_at: number,
 *   steps: Record<string, [tokens: number, tokens_per_s: number | null, first_token_s: number | null]>,
 * }} Tokens
 * @typedef {{ kind: "texts", run_id: string, pieces: Piece[] }} Texts
 * @typedef {import("./question_view.js").Question} Question
 * @typedef {import("./question_view.js").Fault} Fault
 * @typedef {{ run?: Run, steps?: Step[], questions?: Question[] }} State
 * @typedef {{ cancel(): void, answer(question: string, values: Record<string, any>): void, rerun(step: string): void }} Actions
 */

import { FailureView, FieldView, Icon, beganAt, cost, element, keepKeys, makeButton, rate, seconds, setText, ticking } from "./elements.js";
import { GraphView } from "./graph_view.js";
import { QuestionView } from "./question_view.js";

/** One row: state, name, route, bar and time; below it the fields as they grow and the error. */
class StepView {
  /** @type {Map<string, FieldView>} */
  fields = new Map();
  /** @type {Step | null} */
  step = null;
  since = 0;

  /** @param {AbortSignal} signal @param {(step: string) => void} onRerun */
  constructor(signal, onRerun) {
    this.signal = signal;
    this.node = element("li", "step");
    this.node.tabIndex = -1;
    const line = this.node.appendChild(element("div", "line"));
    this.icon = new Icon();
    line.append(this.icon.node);
    const title = line.appendChild(element("div", "title"));
    this.name = title.appendChild(element("span", "name"));
    this.kind = title.appendChild(element("span", "kind"));
    this.route = title.appendChild(element("span", "badge"));
    this.note = title.appendChild(element("span", "note"));
    this.again = makeButton("button small again", "Run again from here", () => this.step && onRerun(this.step.name), signal);
    this.again.hidden = true;
    title.append(this.again);
    this.figures = line.appendChild(element("div", "figures"));
    const track = line.appendChild(element("div", "track"));
    track.setAttribute("aria-hidden", "true");
    this.bar = track.appendChild(element("div", "bar"));
    this.time = line.appendChild(element("div", "time"));
    this.body = this.node.appendChild(element("div", "body"));
    this.failure = new FailureView();
    this.body.append(this.failure.node);
  }

  /** @param {string} name */
  field(name) {
    const known = this.fields.get(name);
    if (known) return known;
    const made = new FieldView(name, this.signal);
    this.fields.set(name, made);
    this.body.insertBefore(made.node, this.failure.node);
    return made;
  }

  /** @param {string} name @param {string} text */
  append(name, text) {
    const growing = this.field(name);
    for (const field of this.fields.values()) field.node.classList.toggle("dspex-live", field === growing);
    growing.append(text);
  }

  /** @param {Step} step @param {number} now */
  set(step, now) {
    this.step = step;
    this.since = beganAt(now, step.took_s);
    this.node.style.setProperty("--depth", String(step.depth));
    this.node.className = `dspex-step dspex-is-${step.status}${step.depth ? " dspex-nested" : ""}`;
    this.icon.set(step.status);
    setText(this.name, step.name);
    setText(this.kind, step.kind);
    setText(this.route, step.route);
    this.route.title = [step.reason, step.worker && `worker ${step.worker}`].filter(Boolean).join(" · ");
    setText(this.note, step.notes.join(" · "));
    this.again.hidden = !step.can_rerun;
    this.again.setAttribute("aria-label", `Run again from ${step.name}`);
    this.setFigures(step.tokens, step.tokens_per_s, step.first_token_s);
    if (step.outputs.length) {
      const wanted = new Set(step.outputs.map(([name]) => name));
      for (const [name, view] of this.fields) if (!wanted.has(name)) (view.node.remove(), this.fields.delete(name));
      for (const [name, value] of step.outputs) this.field(name).set(value);
    }
    this.failure.set(step.error);
  }

  /** @param {number} tokens @param {number | null} speed @param {number | null} first */
  setFigures(tokens, speed, first) {
    const price = this.step ? cost(this.step.cost) : "";
    setText(this.figures, [tokens ? `${tokens} tok` : "", rate(speed), price].filter(Boolean).join(" · "));
    this.figures.title = first === null ? "" : `First token after ${seconds(first)}`;
  }

  /** How long it has taken at the moment `now`. @param {number} now */
  took(now) {
    const { step } = this;
    const isRunning = step?.status === "running" || step?.status === "waiting";
    return isRunning ? (now - this.since) / 1000 : (step?.took_s ?? null);
  }

  /** Time and bar at the moment `now`, in a run that is `total` seconds old. @param {number} now @param {number} total */
  tick(now, total) {
    const { step } = this;
    if (!step) return;
    const isRunning = step.status === "running" || step.status === "waiting";
    const took = this.took(now);
    setText(this.time, took === null ? "" : isRunning ? ticking(took) : seconds(took));
    if (step.begun_s === null || took === null || total <= 0) {
      this.bar.style.width = "0";
      return;
    }
    const left = Math.min(98, (100 * step.begun_s) / total);
    this.bar.style.left = `${left}%`;
    this.bar.style.width = `${Math.min(100 - left, Math.max(2, (100 * took) / total))}%`;
  }
}

/** The whole panel in one place of one page. */
export class RunView {
  /** @type {Map<string, StepView>} */
  steps = new Map();
  /** @type {Run | null} */
  run = null;
  since = 0;
  /** @type {[number, number | null]} */
  live = [0, null];
  status = "";
  /** @type {Map<string, QuestionView>} */
  questions = new Map();

  /** @type {ReturnType<typeof setInterval> | undefined} */
  timer = undefined;

  /** @param {HTMLElement} el @param {Actions} actions @param {AbortSignal} signal @param {import("./graph_view.js").Graph} [graph] */
  constructor(el, actions, signal, graph = {}) {
    this.actions = actions;
    this.signal = signal;
    this.root = el.appendChild(element("section", "run"));
    // JupyterLab's shortcuts would take Enter and Space away from the button.
    keepKeys(this.root);
    const head = this.root.appendChild(element("header", "head"));
    this.icon = new Icon();
    head.append(this.icon.node);
    this.name = head.appendChild(element("strong", "pipeline"));
    this.state = head.appendChild(element("span", "state"));
    this.elapsed = head.appendChild(element("span", "elapsed"));
    this.totals = head.appendChild(element("span", "totals"));
    this.button = head.appendChild(makeButton("cancel", "Cancel", () => this.cancel(), signal));
    this.progress = this.root.appendChild(element("div", "progress"));
    this.progress.setAttribute("role", "progressbar");
    this.progress.setAttribute("aria-label", "Steps done");
    this.done = this.progress.appendChild(element("div", "done"));
    this.failure = new FailureView();
    this.root.append(this.failure.node);
    this.warnings = this.root.appendChild(element("div", "warnings faint"));
    this.graph = new GraphView(graph, (step) => this.go(step), signal);
    this.graph.node.addEventListener("toggle", () => this.draw(), { signal });
    this.root.append(this.graph.node);
    this.list = this.root.appendChild(element("ol", "steps"));
    this.spoken = this.root.appendChild(element("div", "spoken"));
    this.spoken.setAttribute("aria-live", "polite");
    signal.addEventListener("abort", () => clearInterval(this.timer), { once: true });
  }

  cancel() {
    this.button.disabled = true;
    setText(this.button, "Cancelling…");
    setText(this.spoken, "Cancelling the run.");
    this.actions.cancel();
  }

  /** @param {string} step */
  rerun(step) {
    setText(this.spoken, `Running again from ${step}.`);
    for (const view of this.steps.values()) view.again.disabled = true;
    this.actions.rerun(step);
  }

  /** Steps can be run again, after one was. */
  letRerun() {
    for (const view of this.steps.values()) view.again.disabled = false;
  }

  /** The kernel did not begin a run. @param {string} message */
  notBegun(message) {
    this.letRerun();
    this.failure.set({ title: message, hint: "", traceback: "" });
  }

  /** Show a step's row. @param {string} step */
  go(step) {
    const node = this.steps.get(step)?.node;
    if (!node) return;
    node.scrollIntoView({ block: "nearest" });
    node.focus({ preventScroll: true });
    node.classList.add("dspex-flash");
    setTimeout(() => node.classList.remove("dspex-flash"), 900);
  }

  /** Another run takes the place of the one that was shown. */
  clear() {
    for (const view of this.steps.values()) view.node.remove();
    this.steps.clear();
    this.questions.clear();
    delete this.root.dataset.firstTokenDelayMs;
  }

  /** @param {State} state */
  set({ run, steps = [], questions = [] }) {
    if (!run) return;
    const now = performance.now();
    if (this.run?.id && this.run.id !== run.id) this.clear();
    this.run = run;
    if (run.is_over) clearInterval(this.timer);
    if (run.is_over) this.timer = undefined;
    else this.timer ??= setInterval(() => this.tick(), 100);
    this.since = beganAt(now, run.elapsed_s);
    this.live = [run.output_tokens, run.tokens_per_s];
    this.root.setAttribute("aria-label", `Run of ${run.pipeline || "a pipeline"}`);
    this.root.className = `dspex-run dspex-is-${run.status}`;
    this.icon.set(run.status);
    setText(this.name, run.pipeline || "run");
    setText(this.state, run.is_cancelling ? "cancelling" : run.status);
    this.button.disabled = run.is_over || run.is_cancelling;
    this.button.hidden = !run.can_cancel || run.is_over;
    setText(this.button, run.is_cancelling ? "Cancelling…" : "Cancel");
    const over = steps.filter((step) => !["pending", "running", "waiting"].includes(step.status)).length;
    this.progress.setAttribute("aria-valuemax", String(steps.length));
    this.progress.setAttribute("aria-valuenow", String(over));
    this.done.style.width = `${steps.length ? (100 * over) / steps.length : 0}%`;
    this.failure.set(run.error);
    setText(this.warnings, (run.warnings ?? []).map((text) => `! ${text}`).join("\n"));
    for (const step of steps) this.step(step.name).set(step, now);
    this.order(steps);
    this.ask(questions, now);
    this.say(run, steps, questions);
    this.tick();
    this.draw();
  }

  draw() {
    const now = performance.now();
    for (const view of this.steps.values()) if (view.step) this.graph.set(view.step, view.took(now));
  }

  /** @param {string} step @param {string} field @param {string} text */
  append(step, field, text) {
    this.step(step).append(field, text);
  }

  /** Text that came before this view; the outputs of a step that is done go before it. @param {string} step @param {string} field @param {string} text */
  fill(step, field, text) {
    const view = this.step(step);
    if (!view.step?.outputs.length) view.field(field).set(text);
  }

  /** @param {string} name */
  step(name) {
    const known = this.steps.get(name);
    if (known) return known;
    const made = new StepView(this.signal, (step) => this.rerun(step));
    this.steps.set(name, made);
    return made;
  }

  /** @param {Step[]} steps */
  order(steps) {
    steps.forEach(({ name }, index) => {
      const { node } = this.step(name);
      if (this.list.children[index] !== node) this.list.insertBefore(node, this.list.children[index] ?? null);
    });
  }

  /** A form for each open question, at its step; what is being filled in stays as it is. @param {Question[]} questions @param {number} now */
  ask(questions, now) {
    const open = new Set(questions.map((question) => question.id));
    for (const [id, view] of this.questions) if (!open.has(id)) (view.node.remove(), this.questions.delete(id));
    for (const question of questions) {
      let view = this.questions.get(question.id);
      if (!view) {
        view = new QuestionView(question, (values) => this.actions.answer(question.id, values), this.signal);
        this.questions.set(question.id, view);
        this.step(question.step).body.append(view.node);
      }
      view.until = question.left_s === null ? null : now + question.left_s * 1000;
    }
  }

  /** @param {string} question @param {Fault[]} faults */
  refuse(question, faults) {
    this.questions.get(question)?.refuse(faults);
  }

  /**
   * Tell screen readers of a change of state, and of nothing else.
   * @param {Run} run @param {Step[]} steps @param {Question[]} questions
   */
  say(run, steps, questions) {
    const asked = questions.map((question) => question.id).join(" ");
    const status = `${run.status} ${steps.map((step) => step.status).join(" ")} ${asked}`;
    if (status === this.status) return;
    this.status = status;
    const running = steps.filter((step) => step.status === "running").map((step) => step.name);
    const failed = steps.filter((step) => step.status === "failed").map((step) => step.name);
    const parts = [`Run ${run.status}.`, failed.length && `Failed: ${failed.join(", ")}.`];
    for (const question of questions) parts.push(`${question.step} asks: ${question.text}`);
    if (!run.is_over && running.length) parts.push(`Running: ${running.join(", ")}.`);
    setText(this.spoken, parts.filter(Boolean).join(" "));
  }

  /** @param {Tokens} message */
  tokens(message) {
    this.live = message.run;
    for (const [name, [tokens, speed, first]] of Object.entries(message.steps)) {
      this.step(name).setFigures(tokens, speed, first);
    }
    if (this.root.dataset.firstTokenDelayMs === undefined && message.sent_at) {
      // From the engine to the page; the browser's tests and benchmarks read it.
      this.root.dataset.firstTokenDelayMs = String(Math.round(Date.now() - message.sent_at * 1000));
    }
    this.total();
  }

  total() {
    const { run } = this;
    if (!run) return;
    const [written, speed] = this.live;
    const used = run.input_tokens ? `${run.input_tokens} in · ${written} out` : written ? `${written} tokens` : "";
    setText(this.totals, [used, rate(speed), cost(run.cost)].filter(Boolean).join(" · "));
  }

  tick() {
    const { run } = this;
    if (!run) return;
    const now = performance.now();
    const total = run.is_over ? run.elapsed_s : (now - this.since) / 1000;
    setText(this.elapsed, run.status === "pending" ? "" : run.is_over ? seconds(total) : ticking(total));
    for (const step of this.steps.values()) {
      step.tick(now, total);
      if (step.step?.status === "running") this.graph.set(step.step, step.took(now));
    }
    for (const view of this.questions.values()) if (view.until !== null) view.tick((view.until - now) / 1000);
    this.total();
  }
}
