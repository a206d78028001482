/**
 * An editor for JSON: says while one types where it breaks, with the line; sets it in order; keeps the indent. A plain
 * text area with its lines numbered: everything that a text area can do works, and screen readers know it.
 *
 * @typedef {import("./form_fields.js").FormField} FormField
 */

import { element, keepKeys, makeButton, newId, setText } from "./elements.js";
import { findJsonFault } from "./json_fault.js";
import { formatJson } from "./json_format.js";

/** So long after the last key a fault is told: half a word is no fault yet. */
const PATIENCE_MS = 400;

export class JsonEditor {
  isRefused = false;
  fault = "";

  /** @param {FormField} field @param {string} id @param {string} start @param {AbortSignal} signal */
  constructor(field, id, start, signal) {
    this.field = field;
    this.node = element("div", "json");
    const box = this.node.appendChild(element("div", "json-box"));
    this.gutter = box.appendChild(element("div", "json-lines"));
    this.gutter.setAttribute("aria-hidden", "true");
    this.area = /** @type {HTMLTextAreaElement} */ (box.appendChild(element("textarea", "control json-text")));
    this.area.id = id;
    this.area.rows = field.kind === "table" ? 4 : 3;
    this.area.wrap = "off";
    this.area.spellcheck = false;
    this.area.autocapitalize = "off";
    this.area.required = field.is_required;
    this.area.placeholder = field.example || "JSON";
    this.area.value = start;
    keepKeys(this.area);
    this.box = box;
    this.foot = this.node.appendChild(element("div", "json-foot"));
    this.format = makeButton("button small quiet", "Format", () => this.setInOrder(), signal);
    this.format.title = "Set the JSON in order (Alt+Shift+F)";
    this.example = makeButton("button small quiet", "Example", () => this.insertExample(), signal);
    this.example.hidden = !field.example;
    this.told = element("span", "json-fault");
    this.told.id = newId("json");
    this.told.setAttribute("role", "status");
    this.foot.append(this.format, this.example, this.told);
    this.area.addEventListener("input", () => this.changed(), { signal });
    this.area.addEventListener("keydown", (event) => this.onKey(event), { signal });
    this.area.addEventListener("scroll", () => (this.gutter.scrollTop = this.area.scrollTop), { signal, passive: true });
    signal.addEventListener("abort", () => clearTimeout(this.timer), { once: true });
    this.number();
  }

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  timer = undefined;

  focus() {
    this.area.focus();
  }

  read() {
    return this.area.value.trim() ? this.area.value : "";
  }

  /** Leave the room to a file that goes before it. @param {boolean} isConcealed */
  conceal(isConcealed) {
    this.box.hidden = this.format.hidden = this.told.hidden = isConcealed;
    this.example.hidden = isConcealed || !this.field.example;
  }

  /** What is wrong with what stands here, as far as it can be told without the kernel. */
  local() {
    return this.check();
  }

  /** @param {string} ids */
  describe(ids) {
    this.area.setAttribute("aria-describedby", `${ids} ${this.told.id}`);
  }

  /** @param {boolean} isInvalid */
  setInvalid(isInvalid) {
    this.isRefused = isInvalid;
    this.area.setAttribute("aria-invalid", String(isInvalid || Boolean(this.fault)));
  }

  changed() {
    this.number();
    clearTimeout(this.timer);
    // What is right again is told at once, what is wrong when one pauses.
    if (!findJsonFault(this.area.value)) this.check();
    else this.timer = setTimeout(() => this.check(), PATIENCE_MS);
  }

  check() {
    const found = this.area.value.trim() ? findJsonFault(this.area.value) : null;
    this.fault = found ? `Line ${found.line}, column ${found.column}: ${found.message}` : "";
    setText(this.told, this.fault);
    [...this.gutter.children].forEach((line, index) => line.classList.toggle("dspex-bad-line", index + 1 === found?.line));
    this.area.setAttribute("aria-invalid", String(this.isRefused || Boolean(this.fault)));
    return this.fault;
  }

  number() {
    const count = this.area.value.split("\n").length;
    while (this.gutter.children.length < count) {
      this.gutter.append(element("div", "", String(this.gutter.children.length + 1)));
    }
    while (this.gutter.children.length > count) this.gutter.lastElementChild?.remove();
  }

  setInOrder() {
    if (!this.area.value.trim() || this.check()) {
      this.area.focus();
      return;
    }
    this.replace(formatJson(this.area.value));
  }

  insertExample() {
    this.replace(formatJson(this.field.example));
  }

  /** As if it were typed: one can undo it. @param {string} text */
  replace(text) {
    this.area.focus();
    this.area.select();
    if (!document.execCommand("insertText", false, text)) this.area.value = text;
    this.changed();
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.altKey && event.shiftKey && event.code === "KeyF") {
      event.preventDefault();
      this.setInOrder();
    } else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      this.breakLine();
    }
  }

  /** A new line with the indent of this one, and one step further in after a bracket. */
  breakLine() {
    const { value, selectionStart, selectionEnd } = this.area;
    const before = value.slice(0, selectionStart);
    const indent = /[ \t]*/.exec(before.slice(before.lastIndexOf("\n") + 1))?.[0] ?? "";
    const opens = /[[{]\s*$/.test(before);
    const closes = opens && /^[ \t]*[\]}]/.test(value.slice(selectionEnd));
    const rest = closes ? `\n${indent}` : "";
    const added = `\n${indent}${opens ? "  " : ""}${rest}`;
    if (!document.execCommand("insertText", false, added)) this.area.setRangeText(added, selectionStart, selectionEnd, "end");
    this.area.selectionStart = this.area.selectionEnd = selectionStart + added.length - rest.length;
    this.changed();
  }
}
