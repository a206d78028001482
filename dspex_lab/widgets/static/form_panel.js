/**
 * The form's widget: from the model that anywidget gives to the views of a form, and back. The form stands in the place
 * of the signature's card, as long as the model lives.
 *
 * @typedef {import("./run_link.js").Model} Model
 */

import { attach } from "./attach.js";
import { FormView } from "./form_view.js";
import { RunLink, SUBSHELL_MS, nextAttempt } from "./run_link.js";

/** A message to the kernel has a limit; a file goes in pieces of this many bytes. */
const PIECE_BYTES = 2 ** 20;
const UPLOAD_MS = 60_000;

/** What the form says to the kernel, beside what a run does. */
class FormLink {
  attempt = 0;
  uploads = 0;
  checks = 0;
  /** The newest question about each field. @type {Map<string, number>} */
  asked = new Map();
  /** @type {Map<string, (message: { summary: string, message: string }) => void>} */
  arriving = new Map();
  /** @type {Set<FormView>} */
  views = new Set();

  /** @param {Model} model @param {AbortSignal} signal */
  constructor(model, signal) {
    this.model = model;
    this.signal = signal;
    this.run = new RunLink(model, signal);
    model.on("msg:custom", (message) => {
      if (message.kind === "refused" && !message.question && message.attempt === this.attempt) this.refuse(message.faults);
      else if (message.kind === "checked" && this.asked.get(message.field) === message.check) {
        for (const view of this.views) view.checked(message.field, message.message);
      } else if (message.kind === "uploaded") this.arriving.get(message.upload)?.(message);
    });
    model.on("change:attempt", () => {
      if (model.get("attempt") === this.attempt) for (const view of this.views) view.begun();
    });
  }

  /** @param {import("./form_fields.js").Fault[]} faults */
  refuse(faults) {
    this.attempt += 1; // nothing is said of this attempt again
    for (const view of this.views) view.refuse("", faults);
  }

  /** @returns {import("./form_view.js").FormActions & import("./run_view.js").Actions} */
  actions() {
    return {
      ...this.run.actions(),
      run: (values) => {
        this.attempt = nextAttempt(this.attempt);
        this.begin({ kind: "run", values, attempt: this.attempt });
      },
      check: (field, value) => {
        const check = ++this.checks;
        this.asked.set(field, check);
        this.model.send({ kind: "check", field, value, check });
      },
      upload: (field, file) => this.upload(field, file),
    };
  }

  /** Say it until the kernel has begun, or has said what is wrong. @param {Record<string, any>} content */
  begin(content, times = 10) {
    if (this.attempt !== content.attempt || this.model.get("attempt") === content.attempt || this.signal.aborted) return;
    if (times <= 0) {
      this.refuse([{ field: "", message: "The kernel does not hear: it may be busy. Try again." }]);
      return;
    }
    this.model.send(content);
    setTimeout(() => this.begin(content, times - 1), SUBSHELL_MS * 2);
  }

  /** @param {string} field @param {File} file @returns {Promise<{ upload: string, summary: string }>} */
  async upload(field, file) {
    const upload = `${nextAttempt(0)}-${++this.uploads}`;
    const told = { kind: "upload", upload, field, name: file.name, type: file.type, size: file.size };
    const arrived = new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("The kernel does not take the file: it may be busy.")), UPLOAD_MS);
      this.arriving.set(upload, ({ summary, message }) => {
        clearTimeout(timer);
        this.arriving.delete(upload);
        if (message) reject(new Error(message));
        else resolve({ upload, summary });
      });
    });
    arrived.catch(() => {}); // told to who waits for it below
    for (let at = 0; at === 0 || at < file.size; at += PIECE_BYTES) {
      const piece = await file.slice(at, at + PIECE_BYTES).arrayBuffer();
      if (this.signal.aborted) throw new Error("The form was closed.");
      if (!this.arriving.has(upload)) break; // it was refused
      this.model.send({ ...told, at }, undefined, [piece]);
    }
    return /** @type {Promise<{ upload: string, summary: string }>} */ (arrived);
  }

  /** @param {HTMLElement} el @param {AbortSignal} signal */
  show(el, signal) {
    const view = new FormView(el, this.model.get("form"), this.actions(), signal, this.model.get("graph") ?? {});
    this.views.add(view);
    this.run.add(view);
    signal.addEventListener(
      "abort",
      () => {
        this.views.delete(view);
        this.run.views.delete(view);
      },
      { once: true },
    );
  }
}

/** One per model. */
export default () => {
  /** @type {FormLink | undefined} */
  let link;

  return {
    /** @param {{ model: Model, signal: AbortSignal }} props */
    initialize({ model, signal }) {
      const made = new FormLink(model, signal);
      link = made;
      if (globalThis.document?.body) attach(model.get("anchor"), String(model.get("_css") ?? ""), (root, until) => made.show(root, until), signal);
    },

    /** @param {{ model: Model, el: HTMLElement, signal: AbortSignal }} props */
    render({ el, signal }) {
      link?.show(el, signal);
    },
  };
};
