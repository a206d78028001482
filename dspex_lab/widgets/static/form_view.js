/**
 * A signature's card with its form: what is to be filled in, a button to run, and what comes of it. Knows the DOM and
 * plain data (see `form_state.py`), and nothing of widgets.
 *
 * @typedef {import("./form_fields.js").FormField} FormField
 * @typedef {import("./form_fields.js").Fault} Fault
 * @typedef {import("./answer_view.js").Output} Output
 * @typedef {import("./run_view.js").State} State
 * @typedef {import("./run_view.js").Tokens} Tokens
 * @typedef {import("./run_view.js").Actions} RunActions
 * @typedef {{ name: string, about: string, kind: string, is_single: boolean, inputs: FormField[], outputs: Output[] }} FormState
 * @typedef {{
 *   run(values: Record<string, any>): void, check(field: string, value: any): void,
 *   upload(field: string, file: File): Promise<{ upload: string, summary: string }>,
 * }} FormActions
 */

import { AnswerView } from "./answer_view.js";
import { element, keepKeys, makeButton, newId, setText } from "./elements.js";
import { FormRow, showFaults, submitOnKeys, valuesOf } from "./form_fields.js";
import { RunView } from "./run_view.js";

/** So long after the last key the kernel is asked whether a value fits. */
const CHECK_MS = 500;

export class FormView {
  isRunning = false;
  isSent = false;
  /** @type {Map<string, ReturnType<typeof setTimeout>>} */
  checks = new Map();

  /** @param {HTMLElement} el @param {FormState} form @param {FormActions & RunActions} actions @param {AbortSignal} signal @param {import("./graph_view.js").Graph} graph */
  constructor(el, form, actions, signal, graph) {
    this.actions = actions;
    this.root = /** @type {HTMLFormElement} */ (el.appendChild(element("form", "form")));
    this.root.noValidate = true;
    keepKeys(this.root);
    const id = newId("form");
    const head = this.root.appendChild(element("header", "form-head"));
    const name = head.appendChild(element("strong", "pipeline", form.name));
    name.id = id;
    head.append(element("span", "kind", form.kind));
    if (form.about) head.append(element("div", "form-about", form.about));
    this.root.setAttribute("aria-labelledby", id);
    const inputs = this.root.appendChild(element("div", "form-inputs"));
    this.rows = form.inputs.map((field, index) => new FormRow(field, `${id}-${index}`, actions, signal));
    inputs.append(...this.rows.map((row) => row.node));
    for (const row of this.rows) this.watch(row, signal);
    this.fault = this.root.appendChild(element("div", "fault form-fault"));
    this.fault.setAttribute("role", "alert");
    const row = this.root.appendChild(element("div", "form-row form-end"));
    row.append(element("div"));
    const foot = row.appendChild(element("div", "form-foot"));
    this.button = /** @type {HTMLButtonElement} */ (foot.appendChild(element("button", "button primary", "Run")));
    this.button.type = "submit";
    keepKeys(this.button);
    this.stop = foot.appendChild(makeButton("cancel", "Cancel", () => this.cancel(), signal));
    this.stop.hidden = true;
    foot.append(element("span", "faint keys", navigator.platform.startsWith("Mac") ? "⌘ Enter" : "Ctrl+Enter"));
    this.below = this.root.appendChild(element("div", "form-answer"));
    /** @type {AnswerView | RunView} */
    this.answer = form.is_single
      ? new AnswerView(this.below, form.outputs, signal)
      : new RunView(this.below, actions, signal, graph);
    if (!form.is_single) this.below.hidden = true;
    this.root.addEventListener("submit", (event) => (event.preventDefault(), this.submit()), { signal });
    submitOnKeys(this.root, () => this.submit(), signal);
    signal.addEventListener("abort", () => this.checks.forEach((timer) => clearTimeout(timer)), { once: true });
  }

  /** Ask whether what was typed fits, when one pauses and when one goes on. @param {FormRow} row @param {AbortSignal} signal */
  watch(row, signal) {
    const { name, kind } = row.field;
    if (kind === "checkbox" || kind === "many") return;
    row.node.addEventListener(
      "input",
      () => {
        clearTimeout(this.checks.get(name));
        this.checks.set(name, setTimeout(() => this.check(row), CHECK_MS));
      },
      { signal },
    );
  }

  /** @param {FormRow} row */
  check(row) {
    const value = row.control.read();
    // An empty field is told of when one runs: nobody is to be scolded for what they have not come to yet.
    const isEmpty = value === "" || value === undefined || value === null;
    if (isEmpty || row.control.local?.()) row.refuse("");
    else this.actions.check(row.field.name, value);
  }

  /** The kernel's word on one field. @param {string} field @param {string} message */
  checked(field, message) {
    this.rows.find((row) => row.field.name === field)?.refuse(message);
  }

  submit() {
    if (this.isSent || this.isRunning) return;
    for (const timer of this.checks.values()) clearTimeout(timer);
    const broken = this.rows.filter(({ control }) => control.local?.());
    for (const row of broken) row.refuse("Mend this first.");
    if (broken.length) {
      broken[0]?.focus();
      return;
    }
    this.isSent = true;
    this.show([]);
    this.drawButtons();
    this.actions.run(valuesOf(this.rows));
  }

  cancel() {
    this.stop.disabled = true;
    setText(this.stop, "Cancelling…");
    this.actions.cancel();
  }

  /** Say what is wrong, and let it be mended. @param {string} question @param {Fault[]} faults */
  refuse(question, faults) {
    if (question) {
      this.answer.refuse(question, faults);
      return;
    }
    this.isSent = false;
    this.drawButtons();
    this.show(faults);
  }

  /** @param {Fault[]} faults */
  show(faults) {
    setText(this.fault, showFaults(this.rows, faults));
    this.rows.find((row) => faults.some((fault) => fault.field === row.field.name))?.focus();
  }

  /** The kernel has begun. */
  begun() {
    this.isSent = false;
    this.isRunning = true;
    this.drawButtons();
  }

  drawButtons() {
    const isBusy = this.isSent || this.isRunning;
    // Not disabled: what has the focus would lose it.
    this.button.setAttribute("aria-disabled", String(isBusy));
    setText(this.button, isBusy ? "Running…" : "Run");
    const hadFocus = this.stop.matches(":focus");
    this.stop.hidden = !this.isRunning;
    if (hadFocus && this.stop.hidden) this.button.focus();
    if (!this.isRunning) {
      this.stop.disabled = false;
      setText(this.stop, "Cancel");
    }
  }

  /** @param {State} state */
  set(state) {
    const { run } = state;
    if (!run) return;
    this.below.hidden = false;
    this.answer.set(state);
    this.isRunning = !run.is_over;
    if (this.isRunning) this.isSent = false;
    this.drawButtons();
    if (run.is_cancelling) {
      this.stop.disabled = true;
      setText(this.stop, "Cancelling…");
    }
  }

  /** @param {string} step @param {string} field @param {string} text */
  append(step, field, text) {
    this.answer.append(step, field, text);
  }

  /** @param {string} step @param {string} field @param {string} text */
  fill(step, field, text) {
    this.answer.fill(step, field, text);
  }

  /** @param {Tokens} message */
  tokens(message) {
    this.answer.tokens(message);
  }

  /** @param {string} message */
  notBegun(message) {
    this.answer.notBegun(message);
  }
}
