/**
 * The form of a question that a run asks people: what to look at, a control for each field, a button. Knows the DOM and
 * plain data (see `panel_state.py`), and nothing of widgets. The kernel checks what was filled in and says what is
 * wrong; nothing is checked twice here.
 *
 * @typedef {import("./form_fields.js").FormField} FormField
 * @typedef {import("./form_fields.js").Fault} Fault
 * @typedef {{
 *   id: string, step: string, text: string, shows: [name: string, value: string][], fields: FormField[],
 *   left_s: number | null, has_default: boolean,
 * }} Question
 */

import { element, keepKeys, newId, setText, ticking } from "./elements.js";
import { FormRow, showFaults, submitOnKeys, valuesOf } from "./form_fields.js";

/** The form of one question. */
export class QuestionView {
  /** When the run goes on by itself, on the page's clock. @type {number | null} */
  until = null;
  isSent = false;

  /** @param {Question} question @param {(values: Record<string, any>) => void} onAnswer @param {AbortSignal} signal */
  constructor(question, onAnswer, signal) {
    this.question = question;
    this.onAnswer = onAnswer;
    const id = newId("question");
    this.node = /** @type {HTMLFormElement} */ (element("form", "question"));
    this.node.noValidate = true;
    this.node.setAttribute("aria-labelledby", id);
    const text = this.node.appendChild(element("div", "question-text", question.text));
    text.id = id;
    for (const [name, value] of question.shows) {
      const shown = this.node.appendChild(element("div", "field"));
      shown.append(element("span", "field-name", name), element("div", "field-text", value));
    }
    this.rows = question.fields.map((field, index) => new FormRow(field, `${id}-${index}`, {}, signal));
    this.node.append(...this.rows.map((row) => row.node));
    this.fault = this.node.appendChild(element("div", "fault"));
    this.fault.setAttribute("role", "alert");
    const foot = this.node.appendChild(element("div", "form-foot"));
    this.button = /** @type {HTMLButtonElement} */ (foot.appendChild(element("button", "answer", "Answer")));
    this.button.type = "submit";
    keepKeys(this.button);
    this.note = foot.appendChild(element("span", "faint"));
    this.node.addEventListener("submit", (event) => (event.preventDefault(), this.submit()), { signal });
    submitOnKeys(this.node, () => this.submit(), signal);
  }

  /** Have the first field under the reader's hands. */
  focus() {
    const [first] = this.rows;
    if (first) first.focus();
    else this.button.focus();
    this.node.scrollIntoView({ block: "nearest" });
  }

  submit() {
    if (this.isSent) return;
    this.isSent = true;
    this.button.disabled = true;
    this.show([]);
    this.onAnswer(valuesOf(this.rows));
  }

  /** Say what is wrong, and go on asking. @param {Fault[]} faults */
  refuse(faults) {
    this.isSent = false;
    this.button.disabled = false;
    this.show(faults);
    this.rows.find((row) => faults.some((fault) => fault.field === row.field.name))?.focus();
  }

  /** @param {Fault[]} faults */
  show(faults) {
    setText(this.fault, showFaults(this.rows, faults));
  }

  /** @param {number} left seconds until the run goes on by itself */
  tick(left) {
    const what = this.question.has_default ? "goes on with its default answer" : "gives up";
    setText(this.note, `The run ${what} in ${ticking(Math.max(0, left))}.`);
  }
}
