/**
 * What one step gives, as it comes: the state in a line, a place for each output, the error. The form of a signature
 * shows it. Knows the DOM and plain data (see `panel_state.py`).
 *
 * @typedef {import("./run_view.js").State} State
 * @typedef {import("./run_view.js").Run} Run
 * @typedef {import("./run_view.js").Step} Step
 * @typedef {import("./run_view.js").Tokens} Tokens
 * @typedef {{ name: string, type_text: string, description: string, constraints: string }} Output
 */

import { FailureView, FieldView, Icon, beganAt, cost, element, rate, seconds, setText, ticking } from "./elements.js";

/** One output: what it is, and its value as it grows. */
class OutputView {
  /** @param {Output} output @param {AbortSignal} signal */
  constructor(output, signal) {
    this.node = element("div", "output");
    const label = this.node.appendChild(element("div", "form-name"));
    label.append(element("span", "form-label", output.name));
    if (output.type_text) label.append(element("code", "type", output.type_text));
    this.field = new FieldView(output.name, signal);
    const cell = this.node.appendChild(element("div", "form-cell"));
    cell.append(this.field.box);
    const words = [output.description, output.constraints].filter(Boolean).join(" · ");
    this.about = cell.appendChild(element("div", "about faint", words));
    this.about.hidden = !words;
    this.field.box.hidden = true;
  }

  /** @param {string} text */
  append(text) {
    this.field.box.hidden = false;
    this.field.append(text);
  }

  /** @param {string} text */
  set(text) {
    this.field.box.hidden = false;
    this.field.set(text);
  }

  clear() {
    this.field.set("");
    this.field.box.hidden = true;
    this.node.classList.remove("dspex-live");
  }
}

export class AnswerView {
  /** @type {Map<string, OutputView>} */
  outputs = new Map();
  /** @type {Run | null} */
  run = null;
  /** @type {Step | null} */
  step = null;
  since = 0;
  /** @type {[number, number | null]} */
  live = [0, null];
  said = "";
  /** @type {ReturnType<typeof setInterval> | undefined} */
  timer = undefined;

  /** @param {HTMLElement} el @param {Output[]} outputs @param {AbortSignal} signal */
  constructor(el, outputs, signal) {
    /** @type {AbortSignal} */
    this.signal = signal;
    this.known = new Set(outputs.map((output) => output.name));
    this.root = el.appendChild(element("div", "answers"));
    this.head = this.root.appendChild(element("div", "head answer-head"));
    this.icon = new Icon();
    this.head.append(this.icon.node);
    this.state = this.head.appendChild(element("span", "state"));
    this.elapsed = this.head.appendChild(element("span", "elapsed"));
    this.totals = this.head.appendChild(element("span", "totals"));
    this.note = this.head.appendChild(element("span", "note"));
    this.route = this.head.appendChild(element("span", "badge"));
    this.head.hidden = true;
    this.failure = new FailureView();
    this.list = this.root.appendChild(element("div", "outputs"));
    for (const output of outputs) this.add(output);
    this.root.append(this.failure.node);
    this.spoken = this.root.appendChild(element("div", "spoken"));
    this.spoken.setAttribute("aria-live", "polite");
    signal.addEventListener("abort", () => clearInterval(this.timer), { once: true });
  }

  /** @param {Output} output @returns {OutputView} */
  add(output) {
    const made = new OutputView(output, this.signal);
    this.outputs.set(output.name, made);
    this.list.append(made.node);
    return made;
  }

  /** An output that was not announced, such as a model's reasoning, stands first. @param {string} name */
  output(name) {
    const known = this.outputs.get(name);
    if (known) return known;
    const made = this.add({ name: name || "text", type_text: "", description: "", constraints: "" });
    this.outputs.set(name, made);
    this.list.prepend(made.node);
    return made;
  }

  clear() {
    for (const [name, view] of this.outputs) {
      if (this.known.has(name)) view.clear();
      else (view.node.remove(), this.outputs.delete(name));
    }
    delete this.root.dataset.firstTokenDelayMs;
  }

  /** @param {State} state */
  set({ run, steps = [] }) {
    if (!run) return;
    const [step] = steps;
    if (this.run?.id !== run.id) this.clear();
    this.run = run;
    this.step = step ?? null;
    this.since = beganAt(performance.now(), run.elapsed_s);
    this.live = [run.output_tokens, run.tokens_per_s];
    this.head.hidden = false;
    this.root.className = `dspex-answers dspex-is-${run.status}`;
    this.icon.set(run.status);
    setText(this.state, run.is_cancelling ? "cancelling" : run.status);
    setText(this.route, step?.route ?? "");
    this.route.title = [step?.reason, step?.worker && `worker ${step.worker}`].filter(Boolean).join(" · ");
    setText(this.note, step?.notes.join(" · ") ?? "");
    for (const [name, value] of step?.outputs ?? []) this.output(name).set(value);
    if (run.is_over) for (const view of this.outputs.values()) view.node.classList.remove("dspex-live");
    this.failure.set(step?.error ?? run.error);
    if (run.is_over) clearInterval(this.timer);
    if (run.is_over) this.timer = undefined;
    else this.timer ??= setInterval(() => this.tick(), 100);
    this.say(run);
    this.tick();
  }

  /** @param {Run} run */
  say(run) {
    const now = `${run.id} ${run.status}`;
    if (now === this.said) return;
    this.said = now;
    const values = [...this.outputs].map(([name, view]) => `${name}: ${view.field.value.slice(0, 200)}`);
    setText(this.spoken, `Run ${run.status}. ${run.status === "succeeded" ? values.join(". ") : ""}`);
  }

  /** @param {string} _step @param {string} field @param {string} text */
  append(_step, field, text) {
    const growing = this.output(field);
    for (const view of this.outputs.values()) view.node.classList.toggle("dspex-live", view === growing);
    growing.append(text);
  }

  /** @param {string} _step @param {string} field @param {string} text */
  fill(_step, field, text) {
    if (!this.step?.outputs.length) this.output(field).set(text);
  }

  /** @param {Tokens} message */
  tokens(message) {
    this.live = message.run;
    if (this.root.dataset.firstTokenDelayMs === undefined && message.sent_at) {
      this.root.dataset.firstTokenDelayMs = String(Math.round(Date.now() - message.sent_at * 1000));
    }
    this.tick();
  }

  refuse() {
    // A single step asks nothing.
  }

  /** @param {string} message */
  notBegun(message) {
    this.failure.set({ title: message, hint: "", traceback: "" });
  }

  tick() {
    const { run } = this;
    if (!run) return;
    const took = run.is_over ? run.elapsed_s : (performance.now() - this.since) / 1000;
    setText(this.elapsed, run.is_over ? seconds(took) : ticking(took));
    const [written, speed] = this.live;
    const used = run.input_tokens ? `${run.input_tokens} in · ${written} out` : written ? `${written} tokens` : "";
    setText(this.totals, [used, rate(speed), cost(run.cost)].filter(Boolean).join(" · "));
  }
}
