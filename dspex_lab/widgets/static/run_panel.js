/**
 * The run panel: shows one run as it happens. A plain ES module for anywidget, without dependencies.
 *
 * The model's `state` trait holds everything but the streamed text (see `panel_state.py`). Text comes as custom
 * messages of pieces, each with its place in its field, so that a view that opens late, or a message that came twice,
 * never garbles it. What a model wrote is only ever set as text, never as HTML.
 *
 * @typedef {"pending" | "running" | "succeeded" | "failed" | "cancelled" | "skipped"} Status
 * @typedef {{ title: string, hint: string, traceback: string }} Failure
 * @typedef {{
 *   pipeline: string, status: Status, elapsed_s: number, input_tokens: number, output_tokens: number,
 *   tokens_per_s: number | null, cost: number | null, error: Failure | null,
 *   is_over: boolean, is_cancelling: boolean, can_cancel: boolean,
 * }} Run
 * @typedef {{
 *   name: string, kind: string, depth: number, status: Status, route: string, reason: string, worker: string,
 *   begun_s: number | null, took_s: number | null, first_token_s: number | null, tokens: number,
 *   tokens_per_s: number | null, cost: number | null, notes: string[],
 *   outputs: [name: string, value: string][], error: Failure | null,
 * }} Step
 * @typedef {[step: string, field: string, at: number, text: string]} Piece
 * @typedef {{
 *   kind: "tokens", pieces: Piece[], run: [number, number | null], sent_at: number,
 *   steps: Record<string, [tokens: number, tokens_per_s: number | null, first_token_s: number | null]>,
 * }} Tokens
 * @typedef {{ kind: "texts", pieces: Piece[] }} Texts
 * @typedef {{
 *   get(name: "state"): { run?: Run, steps?: Step[] },
 *   send(content: { kind: "cancel" | "texts" | "unseen" }): void,
 *   on(name: string, callback: (value: any) => void): void,
 * }} Model
 */

/**
 * JupyterLab sends to the kernel's main shell, where it waits for the running cell, until the widget's subshell has
 * been made. That takes a few dozen milliseconds: what is asked for waits this long, what is urgent is said again.
 */
const SUBSHELL_MS = 400;
const SVG = "http://www.w3.org/2000/svg";

/** A shape for each state, so that colour is never the only sign. @type {Record<Status, string>} */
const SHAPES = {
  pending: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11",
  running: "M8 2.5a5.5 5.5 0 0 1 5.5 5.5",
  succeeded: "M3.2 8.4l3.2 3.2l6.4-6.8",
  failed: "M4 4l8 8M12 4l-8 8",
  cancelled: "M4.5 4.5h7v7h-7z",
  skipped: "M4 8h8",
};

/** @param {number | null | undefined} s */
export function seconds(s) {
  if (s === null || s === undefined) return "";
  if (s < 0.00095) return `${(s * 1000).toFixed(1)} ms`;
  if (s < 0.9995) return `${Math.round(s * 1000)} ms`;
  if (s < 59.995) return `${s.toFixed(2)} s`;
  const whole = Math.round(s);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

/** A time that ticks: one decimal, so that it does not flicker. @param {number} s */
export const ticking = (s) => (s < 60 ? `${s.toFixed(1)} s` : seconds(s));

/** @param {number | null} value */
export const rate = (value) => (value === null ? "" : `${value < 100 ? value.toFixed(1) : Math.round(value)} tok/s`);

/** @param {number | null} dollars */
export function cost(dollars) {
  if (dollars === null) return "";
  if (dollars === 0 || dollars >= 1) return `$${dollars.toFixed(2)}`;
  return dollars >= 0.0001 ? `$${dollars.toFixed(4)}` : "<$0.0001";
}

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

/**
 * @param {string} tag
 * @param {string} [name] the class's name, without the panel's prefix
 * @param {string} [text]
 */
function element(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name.split(" ").map((one) => `dspex-${one}`).join(" ");
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Set text only where it changed: selections and screen readers are left in peace. @param {Element} node @param {string} text */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

class Icon {
  constructor() {
    this.node = document.createElementNS(SVG, "svg");
    this.node.setAttribute("viewBox", "0 0 16 16");
    this.node.setAttribute("role", "img");
    const ring = this.node.appendChild(document.createElementNS(SVG, "path"));
    ring.setAttribute("class", "dspex-ring");
    ring.setAttribute("d", SHAPES.pending);
    this.path = this.node.appendChild(document.createElementNS(SVG, "path"));
  }

  /** @param {Status} status */
  set(status) {
    if (this.node.getAttribute("aria-label") === status) return;
    this.node.setAttribute("aria-label", status);
    this.node.setAttribute("class", `dspex-icon dspex-is-${status}`);
    this.path.setAttribute("d", SHAPES[status] ?? SHAPES.pending);
  }
}

/** One field: its name and its text, which grows while it streams and scrolls along unless the reader scrolled up. */
class FieldView {
  /** @param {string} name @param {AbortSignal} signal */
  constructor(name, signal) {
    this.node = element("div", "field");
    this.node.append(element("span", "field-name", name || "text"));
    this.box = this.node.appendChild(element("div", "field-text"));
    this.text = this.box.appendChild(document.createTextNode(""));
    this.follows = true;
    this.box.addEventListener(
      "scroll",
      () => {
        this.follows = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 24;
      },
      { signal, passive: true },
    );
  }

  /** @param {string} text */
  append(text) {
    this.text.appendData(text);
    if (this.follows) this.box.scrollTop = this.box.scrollHeight;
  }

  /** @param {string} text */
  set(text) {
    if (this.text.data !== text) this.text.data = text;
  }
}

class FailureView {
  constructor() {
    this.node = element("div", "failure");
    this.title = this.node.appendChild(element("div", "failure-title"));
    this.hint = this.node.appendChild(element("div", "faint"));
    this.folded = /** @type {HTMLDetailsElement} */ (this.node.appendChild(document.createElement("details")));
    this.folded.append(element("summary", "faint", "Traceback in the worker"));
    this.trace = this.folded.appendChild(element("pre", "trace"));
    this.node.hidden = true;
  }

  /** @param {Failure | null} failure */
  set(failure) {
    this.node.hidden = !failure;
    if (!failure) return;
    setText(this.title, failure.title);
    setText(this.hint, failure.hint && `Hint: ${failure.hint}`);
    setText(this.trace, failure.traceback);
    this.folded.hidden = !failure.traceback;
  }
}

/** One row: state, name, route, bar and time; below it the fields as they grow and the error. */
class StepView {
  /** @type {Map<string, FieldView>} */
  fields = new Map();
  /** @type {Step | null} */
  step = null;
  since = 0;

  /** @param {AbortSignal} signal */
  constructor(signal) {
    this.signal = signal;
    this.node = element("li", "step");
    const line = this.node.appendChild(element("div", "line"));
    this.icon = new Icon();
    line.append(this.icon.node);
    const title = line.appendChild(element("div", "title"));
    this.name = title.appendChild(element("span", "name"));
    this.kind = title.appendChild(element("span", "kind"));
    this.route = title.appendChild(element("span", "badge"));
    this.note = title.appendChild(element("span", "note"));
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
    this.since = now - (step.took_s ?? 0);
    this.node.style.setProperty("--depth", String(step.depth));
    this.node.className = `dspex-step dspex-is-${step.status}${step.depth ? " dspex-nested" : ""}`;
    this.icon.set(step.status);
    setText(this.name, step.name);
    setText(this.kind, step.kind);
    setText(this.route, step.route);
    this.route.title = [step.reason, step.worker && `worker ${step.worker}`].filter(Boolean).join(" · ");
    setText(this.note, step.notes.join(" · "));
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

  /** Time and bar at the moment `now`, in a run that is `total` seconds old. @param {number} now @param {number} total */
  tick(now, total) {
    const { step } = this;
    if (!step) return;
    const isRunning = step.status === "running";
    const took = isRunning ? (now - this.since) / 1000 : step.took_s;
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
class PanelView {
  /** @type {Map<string, StepView>} */
  steps = new Map();
  /** @type {Run | null} */
  run = null;
  since = 0;
  /** @type {[number, number | null]} */
  live = [0, null];
  status = "";

  /** @param {HTMLElement} el @param {Model} model @param {AbortSignal} signal */
  constructor(el, model, signal) {
    this.model = model;
    this.signal = signal;
    this.root = el.appendChild(element("section", "run"));
    // JupyterLab's shortcuts would take Enter and Space away from the button.
    this.root.dataset.lmSuppressShortcuts = "true";
    const head = this.root.appendChild(element("header", "head"));
    this.icon = new Icon();
    head.append(this.icon.node);
    this.name = head.appendChild(element("strong", "pipeline"));
    this.state = head.appendChild(element("span", "state"));
    this.elapsed = head.appendChild(element("span", "elapsed"));
    this.totals = head.appendChild(element("span", "totals"));
    this.button = /** @type {HTMLButtonElement} */ (head.appendChild(element("button", "cancel", "Cancel")));
    this.button.type = "button";
    this.button.addEventListener("click", () => this.cancel(), { signal });
    this.progress = this.root.appendChild(element("div", "progress"));
    this.progress.setAttribute("role", "progressbar");
    this.progress.setAttribute("aria-label", "Steps done");
    this.done = this.progress.appendChild(element("div", "done"));
    this.failure = new FailureView();
    this.root.append(this.failure.node);
    this.list = this.root.appendChild(element("ol", "steps"));
    this.spoken = this.root.appendChild(element("div", "spoken"));
    this.spoken.setAttribute("aria-live", "polite");
    const timer = setInterval(() => this.tick(), 100);
    signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  }

  cancel() {
    this.button.disabled = true;
    setText(this.button, "Cancelling…");
    setText(this.spoken, "Cancelling the run.");
    this.sendCancel(10);
  }

  /** Say it until the kernel says that it heard. @param {number} times */
  sendCancel(times) {
    if (this.signal.aborted || !this.run || this.run.is_over || this.run.is_cancelling || times <= 0) return;
    this.model.send({ kind: "cancel" });
    setTimeout(() => this.sendCancel(times - 1), SUBSHELL_MS);
  }

  /** @param {{ run?: Run, steps?: Step[] }} state */
  set({ run, steps = [] }) {
    if (!run) return;
    const now = performance.now();
    this.run = run;
    this.since = now - run.elapsed_s * 1000;
    this.live = [run.output_tokens, run.tokens_per_s];
    this.root.setAttribute("aria-label", `Run of ${run.pipeline || "a pipeline"}`);
    this.root.className = `dspex-run dspex-is-${run.status}`;
    this.icon.set(run.status);
    setText(this.name, run.pipeline || "run");
    setText(this.state, run.is_cancelling ? "cancelling" : run.status);
    this.button.disabled = run.is_over || run.is_cancelling;
    this.button.hidden = !run.can_cancel || run.is_over;
    setText(this.button, run.is_cancelling ? "Cancelling…" : "Cancel");
    const over = steps.filter((step) => !["pending", "running"].includes(step.status)).length;
    this.progress.setAttribute("aria-valuemax", String(steps.length));
    this.progress.setAttribute("aria-valuenow", String(over));
    this.done.style.width = `${steps.length ? (100 * over) / steps.length : 0}%`;
    this.failure.set(steps.some((step) => step.error) ? null : run.error);
    for (const step of steps) this.step(step.name).set(step, now);
    this.order(steps);
    this.say(run, steps);
    this.tick();
  }

  /** @param {string} name */
  step(name) {
    const known = this.steps.get(name);
    if (known) return known;
    const made = new StepView(this.signal);
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

  /** Tell screen readers of a change of state, and of nothing else. @param {Run} run @param {Step[]} steps */
  say(run, steps) {
    const status = `${run.status} ${steps.map((step) => step.status).join(" ")}`;
    if (status === this.status) return;
    this.status = status;
    const running = steps.filter((step) => step.status === "running").map((step) => step.name);
    const failed = steps.filter((step) => step.status === "failed").map((step) => step.name);
    const parts = [`Run ${run.status}.`, failed.length && `Failed: ${failed.join(", ")}.`];
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
    for (const step of this.steps.values()) step.tick(now, total);
    this.total();
  }
}

/** One per model: the texts outlive the views, and every view shows all of them. */
export default () => {
  /** @type {Map<string, Map<string, Stream>>} */
  const texts = new Map();
  /** @type {Set<PanelView>} */
  const views = new Set();

  /** @param {string} step @param {string} field */
  const stream = (step, field) => {
    const fields = texts.get(step) ?? texts.set(step, new Map()).get(step);
    return fields?.get(field) ?? /** @type {Stream} */ (fields?.set(field, new Stream()).get(field));
  };

  /** @param {PanelView} view */
  const fill = (view) => {
    view.set(view.model.get("state"));
    for (const [step, fields] of texts) {
      if (view.step(step).step?.outputs.length) continue;
      for (const [field, { text }] of fields) view.step(step).field(field).set(text);
    }
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
      model.on("msg:custom", (/** @type {Tokens | Texts} */ message) => {
        if (message.kind === "texts") {
          for (const [step, field, at, text] of message.pieces) stream(step, field).reset(at, text);
          views.forEach(fill);
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
      const view = new PanelView(el, model, signal);
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
      fill(view);
    },
  };
};
