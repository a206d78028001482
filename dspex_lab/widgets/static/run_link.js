/**
 * The page's end of a run that a kernel tells of: keeps its text, asks for what is missing, says what the reader wants
 * until the kernel has heard it. Knows models and views, and nothing of how these look.
 *
 * The model's `state` trait holds everything but the streamed text. Text comes as custom messages of pieces, each with
 * its place in its field, so that a view that opens late, or a message that came twice, never garbles it.
 *
 * @typedef {import("./run_view.js").Tokens} Tokens
 * @typedef {import("./run_view.js").Texts} Texts
 * @typedef {import("./run_view.js").State} State
 * @typedef {import("./run_view.js").Actions} Actions
 * @typedef {{ kind: "refused", question: string, attempt: number, faults: import("./run_view.js").Fault[] }} Refused
 * @typedef {{ kind: "not_begun", message: string, hint: string }} NotBegun
 * @typedef {{ kind: "answer", question: string, values: Record<string, any>, attempt: number }} Answer
 * @typedef {{
 *   get(name: string): any,
 *   send(content: Record<string, any>, callbacks?: any, buffers?: ArrayBuffer[]): void,
 *   on(name: string, callback: (value: any) => void): void,
 * }} Model
 * @typedef {{
 *   set(state: State): void, fill(step: string, field: string, text: string): void,
 *   append(step: string, field: string, text: string): void, tokens(message: Tokens): void,
 *   refuse(question: string, faults: import("./run_view.js").Fault[]): void, notBegun(message: string): void,
 * }} View what shows a run; a state with another run's id begins anew
 */

/**
 * JupyterLab sends to the kernel's main shell, where it waits for the running cell, until the widget's subshell has
 * been made. That takes a few dozen milliseconds: what is asked for waits this long, what is urgent is said again.
 */
export const SUBSHELL_MS = 400;
const DEAF = "The kernel does not hear: it may be busy. Try again.";

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

/** Rises even over reloads of the page: the kernel takes each only once. @param {number} before */
export const nextAttempt = (before) => Math.max(before + 1, Date.now());

/** One per model: the texts outlive the views, and every view shows all of them. */
export class RunLink {
  /** @type {Map<string, Map<string, Stream>>} */
  texts = new Map();
  /** @type {Set<View>} */
  views = new Set();
  /** The attempts to answer that are on their way, by question. @type {Map<string, number>} */
  attempts = new Map();
  attempt = 0;
  runId = "";
  isAsking = false;

  /** @param {Model} model @param {AbortSignal} signal */
  constructor(model, signal) {
    this.model = model;
    this.signal = signal;
    model.on("msg:custom", (message) => this.hear(message));
    model.on("change:state", () => {
      if (!signal.aborted) for (const view of this.views) view.set(this.state());
    });
    if (!this.state().run?.is_over) this.ask();
  }

  /** @returns {State} */
  state() {
    return this.model.get("state") ?? {};
  }

  /** @param {View} view */
  add(view) {
    this.views.add(view);
    this.fill(view);
  }

  /** @param {View} view */
  fill(view) {
    view.set(this.state());
    for (const [step, fields] of this.texts) for (const [field, { text }] of fields) view.fill(step, field, text);
  }

  /** @returns {Actions} */
  actions() {
    return {
      cancel: () => this.cancel(),
      answer: (question, values) => {
        this.attempt = nextAttempt(this.attempt);
        this.attempts.set(question, this.attempt);
        this.answer({ kind: "answer", question, values, attempt: this.attempt });
      },
      rerun: (step) => {
        this.attempt = nextAttempt(this.attempt);
        this.rerun({ kind: "rerun", step, attempt: this.attempt }, this.state().run?.id ?? "");
      },
    };
  }

  /** Ask for everything: what was sent before this page listened, or before it was opened. */
  ask() {
    if (this.isAsking) return;
    this.isAsking = true;
    setTimeout(() => {
      this.isAsking = false;
      if (!this.signal.aborted) this.model.send({ kind: "texts" });
    }, SUBSHELL_MS);
  }

  /** @param {string} step @param {string} field */
  stream(step, field) {
    const fields = this.texts.get(step) ?? this.texts.set(step, new Map()).get(step);
    return fields?.get(field) ?? /** @type {Stream} */ (fields?.set(field, new Stream()).get(field));
  }

  /** @param {Tokens | Texts | Refused | NotBegun} message */
  hear(message) {
    if (message.kind === "refused") this.refuse(message);
    else if (message.kind === "not_begun") this.notBegun([message.message, message.hint].filter(Boolean).join(" "));
    else if (message.kind === "texts" || message.kind === "tokens") {
      if (message.run_id !== this.runId) this.texts.clear();
      this.runId = message.run_id;
      if (message.kind === "texts") this.reset(message);
      else this.take(message);
    }
  }

  /** @param {Texts} message */
  reset(message) {
    for (const [step, field, at, text] of message.pieces) this.stream(step, field).reset(at, text);
    for (const view of this.views) this.fill(view);
  }

  /** @param {Tokens} message */
  take(message) {
    let isGap = false;
    for (const [step, field, at, text] of message.pieces) {
      const taken = this.stream(step, field).take(at, text);
      isGap ||= taken.isGap;
      for (const view of this.views) view.append(step, field, taken.added);
    }
    for (const view of this.views) view.tokens(message);
    if (isGap) this.ask();
  }

  /** @param {Refused} message */
  refuse({ question, attempt, faults }) {
    if (this.attempts.get(question) !== attempt) return; // said of an answer that was mended meanwhile
    this.attempts.delete(question);
    for (const view of this.views) view.refuse(question, faults);
  }

  /** @param {string} message */
  notBegun(message) {
    for (const view of this.views) view.notBegun(message);
  }

  /** @param {Answer} content */
  answer(content, times = 10) {
    const isOpen = this.state().questions?.some(({ id }) => id === content.question);
    if (!isOpen || this.attempts.get(content.question) !== content.attempt || this.signal.aborted) return;
    if (times <= 0) {
      const faults = [{ field: "", message: DEAF }];
      this.refuse({ kind: "refused", question: content.question, attempt: content.attempt, faults });
      return;
    }
    this.model.send(content);
    setTimeout(() => this.answer(content, times - 1), SUBSHELL_MS);
  }

  /** Say it until the kernel says that it heard. */
  cancel(times = 10) {
    const { run } = this.state();
    if (!run || run.is_over || run.is_cancelling || times <= 0 || this.signal.aborted) return;
    this.model.send({ kind: "cancel" });
    setTimeout(() => this.cancel(times - 1), SUBSHELL_MS);
  }

  /** @param {Record<string, any>} content @param {string} before the run that is over */
  rerun(content, before, times = 10) {
    if (this.state().run?.id !== before || this.attempt !== content.attempt || this.signal.aborted) return;
    if (times <= 0) {
      this.notBegun(DEAF);
      return;
    }
    this.model.send(content);
    setTimeout(() => this.rerun(content, before, times - 1), SUBSHELL_MS);
  }
}
