/**
 * The form of a question that a run asks people: what to look at, a control for each field, a button. Knows the DOM and
 * plain data (see `panel_state.py`), and nothing of widgets. The kernel checks what was filled in and says what is
 * wrong; nothing is checked twice here.
 *
 * @typedef {{
 *   name: string, kind: "checkbox" | "select" | "number" | "text" | "lines" | "json", type_text: string,
 *   description: string, is_required: boolean, allows_none: boolean, default: any, choices: any[],
 *   minimum: number | null, maximum: number | null, is_whole: boolean,
 * }} FormField
 * @typedef {{
 *   id: string, step: string, text: string, shows: [name: string, value: string][], fields: FormField[],
 *   left_s: number | null, has_default: boolean,
 * }} Question
 * @typedef {{ field: string, message: string }} Fault
 * @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Control
 */

import { element, setText, ticking } from "./elements.js";

/** Two panels in one page have no ids in common. */
let forms = 0;

/** What a reader sees of a choice. @param {any} value */
const choiceText = (value) => (value === true ? "yes" : value === false ? "no" : String(value));

/**
 * What stands in a control, as the kernel takes it; undefined where nothing was chosen.
 * @param {FormField} field
 * @param {{ checked?: boolean, value: string }} control
 */
export function readValue(field, control) {
  if (field.kind === "checkbox") return Boolean(control.checked);
  if (field.kind !== "select") return control.value;
  return control.value === "" ? (field.allows_none ? null : undefined) : field.choices[Number(control.value)];
}

/** What a text control holds at first. @param {FormField} field */
export function startText(field) {
  const value = field.default;
  if (value === null || value === undefined) return "";
  if (field.kind === "lines" && Array.isArray(value)) return value.join("\n");
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** @param {FormField} field @returns {Control} */
function makeControl(field) {
  if (field.kind === "select") {
    const select = /** @type {HTMLSelectElement} */ (element("select", "control"));
    const start = field.choices.indexOf(field.default);
    if (start < 0 || field.allows_none) select.append(new Option(field.is_required ? "Choose…" : "(none)", ""));
    field.choices.forEach((value, index) => select.append(new Option(choiceText(value), String(index))));
    select.value = start < 0 ? "" : String(start);
    return select;
  }
  if (field.kind === "checkbox" || field.kind === "number") {
    const input = /** @type {HTMLInputElement} */ (element("input", "control"));
    input.type = field.kind;
    if (field.kind === "checkbox") input.checked = field.default === true;
    else {
      input.value = startText(field);
      input.step = field.is_whole ? "1" : "any";
      if (field.minimum !== null) input.min = String(field.minimum);
      if (field.maximum !== null) input.max = String(field.maximum);
    }
    return input;
  }
  const area = /** @type {HTMLTextAreaElement} */ (element("textarea", "control"));
  area.rows = field.kind === "text" ? 2 : 3;
  area.value = startText(field);
  if (field.kind === "lines") area.placeholder = "one on each line";
  if (field.kind === "json") area.placeholder = "JSON";
  return area;
}

/**
 * JupyterLab's shortcuts for what has the focus would take arrows and letters away (and cut the cell at an "x"); they
 * are asked of the element itself before those around it. @param {HTMLElement} control
 */
function keepKeys(control) {
  control.dataset.lmSuppressShortcuts = "true";
}

/** One field: its label, its control, and what is wrong with it. */
class FormRow {
  /** @param {FormField} field @param {string} id */
  constructor(field, id) {
    this.field = field;
    this.node = element("div", "form-row");
    const label = /** @type {HTMLLabelElement} */ (this.node.appendChild(element("label", "form-label", field.name)));
    label.htmlFor = id;
    const cell = this.node.appendChild(element("div", "form-cell"));
    this.control = makeControl(field);
    keepKeys(this.control);
    this.control.id = id;
    this.control.required = field.is_required && field.kind !== "checkbox";
    cell.append(this.control);
    const about = cell.appendChild(element("div", "faint", field.description || field.type_text));
    about.id = `${id}-about`;
    this.fault = cell.appendChild(element("div", "fault"));
    this.fault.id = `${id}-fault`;
    this.fault.setAttribute("role", "alert");
    this.control.setAttribute("aria-describedby", `${about.id} ${this.fault.id}`);
  }

  /** @param {string} message */
  refuse(message) {
    setText(this.fault, message);
    this.control.setAttribute("aria-invalid", String(Boolean(message)));
  }
}

/** The form of one question. */
export class QuestionView {
  /** When the run goes on by itself, on the page's clock. @type {number | null} */
  until = null;
  isSent = false;

  /** @param {Question} question @param {(values: Record<string, any>) => void} onAnswer @param {AbortSignal} signal */
  constructor(question, onAnswer, signal) {
    this.question = question;
    this.onAnswer = onAnswer;
    const id = `dspex-question-${++forms}`;
    this.node = /** @type {HTMLFormElement} */ (element("form", "question"));
    this.node.noValidate = true;
    this.node.setAttribute("aria-labelledby", id);
    const text = this.node.appendChild(element("div", "question-text", question.text));
    text.id = id;
    for (const [name, value] of question.shows) {
      const shown = this.node.appendChild(element("div", "field"));
      shown.append(element("span", "field-name", name), element("div", "field-text", value));
    }
    this.rows = question.fields.map((field, index) => new FormRow(field, `${id}-${index}`));
    this.node.append(...this.rows.map((row) => row.node));
    this.fault = this.node.appendChild(element("div", "fault"));
    this.fault.setAttribute("role", "alert");
    const foot = this.node.appendChild(element("div", "form-foot"));
    this.button = /** @type {HTMLButtonElement} */ (foot.appendChild(element("button", "answer", "Answer")));
    this.button.type = "submit";
    keepKeys(this.button);
    this.note = foot.appendChild(element("span", "faint"));
    this.node.addEventListener("submit", (event) => (event.preventDefault(), this.submit()), { signal });
    this.node.addEventListener(
      "keydown",
      (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) (event.preventDefault(), this.submit());
      },
      { signal },
    );
  }

  submit() {
    if (this.isSent) return;
    this.isSent = true;
    this.button.disabled = true;
    this.show([]);
    /** @type {Record<string, any>} */
    const values = {};
    for (const { field, control } of this.rows) {
      const value = readValue(field, /** @type {any} */ (control));
      if (value !== undefined) values[field.name] = value;
    }
    this.onAnswer(values);
  }

  /** Say what is wrong, and go on asking. @param {Fault[]} faults */
  refuse(faults) {
    this.isSent = false;
    this.button.disabled = false;
    this.show(faults);
    this.rows.find((row) => faults.some((fault) => fault.field === row.field.name))?.control.focus();
  }

  /** @param {Fault[]} faults */
  show(faults) {
    const names = new Set(this.rows.map((row) => row.field.name));
    for (const row of this.rows) {
      row.refuse(faults.filter((fault) => fault.field === row.field.name).map((fault) => fault.message).join(" "));
    }
    setText(this.fault, faults.filter((fault) => !names.has(fault.field)).map((fault) => fault.message).join(" "));
  }

  /** @param {number} left seconds until the run goes on by itself */
  tick(left) {
    const what = this.question.has_default ? "goes on with its default answer" : "gives up";
    setText(this.note, `The run ${what} in ${ticking(Math.max(0, left))}.`);
  }
}
