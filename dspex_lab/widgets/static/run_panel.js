/**
 * The run panel's widget: from the model that anywidget gives to the views of a run, and back.
 *
 * The model's `state` trait holds everything but the streamed text. Text comes as custom messages of pieces, each with
 * its place in its field, so that a view that opens late, or a message that came twice, never garbles it. Front ends
 * load one module: `modules.py` puts what is imported here into it.
 *
 * @typedef {import("./run_view.js").Tokens} Tokens
 * @typedef {import("./run_view.js").Texts} Texts
 * @typedef {import("./run_view.js").State} State
 * @typedef {{ kind: "refused", question: string, attempt: number, faults: import("./run_view.js").Fault[] }} Refused
 * @typedef {{ kind: "answer", question: string, values: Record<string, any>, attempt: number }} Answer
 * @typedef {{
 *   get(name: "state"): State,
 *   send(content: { kind: "cancel" | "texts" | "unseen" } | Answer): void,
 *   on(name: string, callback: (value: any) => void): void,
 * }} Model
 */

import { RunView } from "./run_view.js";

/**
 * JupyterLab sends to the kernel's main shell, where it waits for the running cell, until the widget's subshell has
 * been made. That takes a few dozen milliseconds: what is asked for waits this long, what is urgent is said again.
 */
const SUBSHELL_MS = 400;

/** The text of one field. Places count characters as Python does: code points. */
export class Stream {
  end = 0;
  text = "";

  /**
   * Take a piece that begins at `at`; what is known already is skipped.
   * @param {number} at
   * @param {string} text
   * @returns {{ added: string, isGap: boolean }} what to append, and whether something before it is missing
   */
  take(at, text) {
    const points = Array.from(text);
    const known = Math.max(0, this.end - at);
    const isGap = at > this.end;
    const added = known ? points.slice(known).join("") : text;
    this.text += added;
    this.end = Math.max(this.end, at + points.length);
    return { added, isGap };
  }

  /** Begin anew with everything that the kernel has. @param {number} at @param {string} text */
  reset(at, text) {
    this.text = (at > 0 ? "…" : "") + text;
    this.end = at + Array.from(text).length;
  }
}

/** One per model: the texts outlive the views, and every view shows all of them. */
export default () => {
  /** @type {Map<string, Map<string, Stream>>} */
  const texts = new Map();
  /** @type {Set<RunView>} */
  const views = new Set();

  /** @param {string} step @param {string} field */
  const stream = (step, field) => {
    const fields = texts.get(step) ?? texts.set(step, new Map()).get(step);
    return fields?.get(field) ?? /** @type {Stream} */ (fields?.set(field, new Stream()).get(field));
  };

  /** @param {RunView} view @param {Model} model */
  const fill = (view, model) => {
    view.set(model.get("state"));
    for (const [step, fields] of texts) {
      if (view.step(step).step?.outputs.length) continue;
      for (const [field, { text }] of fields) view.step(step).field(field).set(text);
    }
  };

  /** The attempts that are on their way, by question. @type {Map<string, number>} */
  const attempts = new Map();
  let attempt = 0;

  /** @param {Model} model @param {Answer} content */
  const answer = (model, content, times = 10) => {
    const isOpen = model.get("state").questions?.some(({ id }) => id === content.question);
    if (!isOpen || attempts.get(content.question) !== content.attempt) return;
    if (times <= 0) {
      const faults = [{ field: "", message: "The kernel does not hear: it may be busy. Try again." }];
      refuse({ kind: "refused", question: content.question, attempt: content.attempt, faults });
      return;
    }
    model.send(content);
    setTimeout(() => answer(model, content, times - 1), SUBSHELL_MS);
  };

  /** @param {Refused} message */
  const refuse = ({ question, attempt, faults }) => {
    if (attempts.get(question) !== attempt) return; // said of an answer that was mended meanwhile
    attempts.delete(question);
    for (const view of views) view.refuse(question, faults);
  };

  /** Say it until the kernel says that it heard. @param {Model} model */
  const cancel = (model, times = 10) => {
    const { run } = model.get("state");
    if (!run || run.is_over || run.is_cancelling || times <= 0) return;
    model.send({ kind: "cancel" });
    setTimeout(() => cancel(model, times - 1), SUBSHELL_MS);
  };

  return {
    /** @param {{ model: Model, signal: AbortSignal }} props */
    initialize({ model, signal }) {
      let isAsking = false;
      // Ask for everything: what was sent before this page listened, or before it was opened.
      const ask = () => {
        if (isAsking) return;
        isAsking = true;
        setTimeout(() => {
          isAsking = false;
          if (!signal.aborted) model.send({ kind: "texts" });
        }, SUBSHELL_MS);
      };
      model.on("msg:custom", (/** @type {Tokens | Texts | Refused} */ message) => {
        if (message.kind === "refused") {
          refuse(message);
          return;
        }
        if (message.kind === "texts") {
          for (const [step, field, at, text] of message.pieces) stream(step, field).reset(at, text);
          for (const view of views) fill(view, model);
          return;
        }
        if (message.kind !== "tokens") return;
        let isGap = false;
        for (const [step, field, at, text] of message.pieces) {
          const taken = stream(step, field).take(at, text);
          isGap ||= taken.isGap;
          for (const view of views) view.step(step).append(field, taken.added);
        }
        for (const view of views) view.tokens(message);
        if (isGap) ask();
      });
      if (!model.get("state").run?.is_over) ask();
    },

    /** @param {{ model: Model, el: HTMLElement, signal: AbortSignal }} props */
    render({ model, el, signal }) {
      const actions = {
        cancel: () => cancel(model),
        /** @param {string} question @param {Record<string, any>} values */
        answer: (question, values) => {
          attempts.set(question, ++attempt);
          answer(model, { kind: "answer", question, values, attempt });
        },
      };
      const view = new RunView(el, actions, signal);
      views.add(view);
      signal.addEventListener(
        "abort",
        () => {
          views.delete(view);
          if (!views.size && model.get("state").run?.is_over) model.send({ kind: "unseen" });
        },
        { once: true },
      );
      model.on("change:state", () => !signal.aborted && view.set(model.get("state")));
      fill(view, model);
    },
  };
};
