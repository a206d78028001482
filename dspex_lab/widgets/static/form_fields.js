/**
 * The fields of a form: a label, the control that fits the type, what is said about it and what is wrong with it. Knows
 * the DOM and plain data (`FormField` of `signatures/form/form_field.py`). What was filled in is checked by the kernel; only
 * what makes typing easier (where JSON breaks) is found here.
 *
 * @typedef {{
 *   name: string, type_text: string, description: string, constraints: string, is_required: boolean,
 *   kind: "checkbox" | "select" | "many" | "number" | "text" | "lines" | "date" | "datetime" | "time" | "json" | "table" | "file",
 *   allows_none: boolean, default: any, choices: any[], minimum: number | null, maximum: number | null,
 *   is_whole: boolean, example: string, accept: string, file_form: string, held: string,
 * }} FormField
 * @typedef {{ field: string, message: string }} Fault
 * @typedef {{ upload?: (field: string, file: File) => Promise<{ upload: string, summary: string }> }} FieldActions
 * @typedef {{
 *   node: HTMLElement, focus(): void, read(): any, describe(ids: string): void, setInvalid(isInvalid: boolean): void,
 *   local?(): string, conceal?(isConcealed: boolean): void, foot?: HTMLElement,
 * }} FieldControl
 */

import { element, keepKeys, setText } from "./elements.js";
import { FileControl } from "./file_control.js";
import { JsonEditor } from "./json_editor.js";

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
  if (field.kind === "datetime" && typeof value === "string") return value.slice(0, 19);
  if (typeof value === "string" && field.kind !== "json" && field.kind !== "table") return value;
  const short = JSON.stringify(value);
  return short.length > 60 ? JSON.stringify(value, null, 2) : short;
}

/** One of HTML's own controls. @implements {FieldControl} */
class PlainControl {
  /** @param {FormField} field @param {string} id */
  constructor(field, id) {
    this.field = field;
    this.node = field.kind === "select" ? makeSelect(field) : makeInput(field);
    keepKeys(this.node);
    this.node.id = id;
    this.node.required = field.is_required && field.kind !== "checkbox";
  }

  focus() {
    this.node.focus();
  }

  read() {
    return readValue(this.field, /** @type {any} */ (this.node));
  }

  /** @param {string} ids */
  describe(ids) {
    this.node.setAttribute("aria-describedby", ids);
  }

  /** @param {boolean} isInvalid */
  setInvalid(isInvalid) {
    this.node.setAttribute("aria-invalid", String(isInvalid));
  }
}

/** Any number of the choices: a box for each. @implements {FieldControl} */
class ManyControl {
  /** @param {FormField} field @param {string} id */
  constructor(field, id) {
    this.field = field;
    this.node = element("div", "many");
    this.node.id = id;
    this.node.setAttribute("role", "group");
    this.node.setAttribute("aria-labelledby", `${id}-label`);
    const start = Array.isArray(field.default) ? field.default : [];
    this.boxes = field.choices.map((choice, index) => {
      const label = this.node.appendChild(element("label", "choice"));
      const box = /** @type {HTMLInputElement} */ (element("input", "control"));
      box.type = "checkbox";
      box.checked = start.includes(choice);
      box.id = `${id}-${index}`;
      keepKeys(box);
      label.append(box, choiceText(choice));
      return box;
    });
  }

  focus() {
    this.boxes[0]?.focus();
  }

  read() {
    return this.field.choices.filter((_, index) => this.boxes[index]?.checked);
  }

  /** @param {string} ids */
  describe(ids) {
    this.node.setAttribute("aria-describedby", ids);
  }

  /** @param {boolean} isInvalid */
  setInvalid(isInvalid) {
    this.node.classList.toggle("dspex-invalid", isInvalid);
  }
}

/** @param {FormField} field */
function makeSelect(field) {
  const select = /** @type {HTMLSelectElement} */ (element("select", "control"));
  const start = field.choices.indexOf(field.default);
  if (start < 0 || field.allows_none) select.append(new Option(field.is_required ? "Choose…" : "(none)", ""));
  field.choices.forEach((value, index) => select.append(new Option(choiceText(value), String(index))));
  select.value = start < 0 ? "" : String(start);
  return select;
}

/** HTML's names of the controls for a moment. @type {Record<string, string>} */
const MOMENTS = { date: "date", time: "time", datetime: "datetime-local" };

/** @param {FormField} field @returns {HTMLInputElement | HTMLTextAreaElement} */
function makeInput(field) {
  const input = /** @type {HTMLInputElement} */ (element("input", "control"));
  const moment = MOMENTS[field.kind];
  if (field.kind === "checkbox") {
    input.type = "checkbox";
    input.checked = field.default === true;
    return input;
  }
  if (field.kind === "number" || moment) {
    input.type = moment ?? "number";
    input.value = startText(field);
    input.step = field.kind === "number" && field.is_whole ? "1" : "any";
    if (field.minimum !== null) input.min = String(field.minimum);
    if (field.maximum !== null) input.max = String(field.maximum);
    if (field.kind === "number" && !field.is_required && field.default === null) input.placeholder = "(none)";
    return input;
  }
  if (field.kind === "file") {
    input.type = "text";
    input.value = startText(field);
    input.placeholder = field.file_form === "bytes" ? "" : "https://…";
    return input;
  }
  const area = /** @type {HTMLTextAreaElement} */ (element("textarea", "control"));
  area.rows = field.kind === "text" ? 2 : 3;
  area.value = startText(field);
  if (field.kind === "lines") area.placeholder = "one on each line";
  return area;
}

/** @param {FormField} field @param {string} id @param {AbortSignal} signal @returns {FieldControl} */
function makeControl(field, id, signal) {
  if (field.kind === "many") return new ManyControl(field, id);
  if (field.kind === "json" || field.kind === "table") return new JsonEditor(field, id, startText(field), signal);
  return new PlainControl(field, id);
}

/** One field: its label, its control, and what is wrong with it. */
export class FormRow {
  /** @param {FormField} field @param {string} id @param {FieldActions} actions @param {AbortSignal} signal */
  constructor(field, id, actions, signal) {
    this.field = field;
    this.node = element("div", "form-row");
    const head = this.node.appendChild(element("div", "form-name"));
    const label = /** @type {HTMLLabelElement} */ (head.appendChild(element("label", "form-label", field.name)));
    label.htmlFor = id;
    label.id = `${id}-label`;
    if (field.is_required && field.kind !== "checkbox") {
      const must = head.appendChild(element("span", "must", "*"));
      must.setAttribute("aria-hidden", "true"); // the control says it too
    }
    const type = head.appendChild(element("code", "type", field.type_text));
    type.id = `${id}-type`;
    this.cell = this.node.appendChild(element("div", "form-cell"));
    this.control = makeControl(field, id, signal);
    const { upload } = actions;
    if (upload && (field.accept || field.held)) this.control = new FileControl(field, this.control, upload, signal);
    this.cell.append(this.control.node);
    const words = [field.description, field.constraints].filter(Boolean).join(" · ");
    const about = this.cell.appendChild(element("div", "about faint", words));
    about.id = `${id}-about`;
    this.fault = this.cell.appendChild(element("div", "fault"));
    this.fault.id = `${id}-fault`;
    this.fault.setAttribute("role", "alert");
    this.control.describe(`${type.id} ${about.id} ${this.fault.id}`);
  }

  focus() {
    this.control.focus();
  }

  /** @param {string} message */
  refuse(message) {
    setText(this.fault, message);
    this.control.setInvalid(Boolean(message));
  }
}

/** What stands in the fields, by name. @param {FormRow[]} rows */
export function valuesOf(rows) {
  /** @type {Record<string, any>} */
  const values = {};
  for (const { field, control } of rows) {
    const value = control.read();
    if (value !== undefined) values[field.name] = value;
  }
  return values;
}

/**
 * Say at each field what is wrong with it; what is left over belongs to none of them.
 * @param {FormRow[]} rows @param {Fault[]} faults
 */
export function showFaults(rows, faults) {
  const names = new Set(rows.map((row) => row.field.name));
  const said = (/** @type {Fault[]} */ some) => some.map((fault) => fault.message).join(" ");
  for (const row of rows) row.refuse(said(faults.filter((fault) => fault.field === row.field.name)));
  return said(faults.filter((fault) => !names.has(fault.field)));
}

/** Ctrl+Enter (or Cmd+Enter) anywhere in `node`. @param {HTMLElement} node @param {() => void} submit @param {AbortSignal} signal */
export function submitOnKeys(node, submit, signal) {
  node.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      event.stopPropagation();
      submit();
    },
    { signal },
  );
}
