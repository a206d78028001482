/**
 * The small parts that panels are made of: figures as people read them, icons, growing text, errors. Knows the DOM
 * and nothing of runs or widgets. What a model wrote is only ever set as text, never as HTML.
 *
 * @typedef {import("./run_view.js").Status} Status
 * @typedef {import("./run_view.js").Failure} Failure
 */

const SVG = "http://www.w3.org/2000/svg";

/** A shape for each state, so that colour is never the only sign. @type {Record<Status, string>} */
const SHAPES = {
  pending: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11",
  running: "M8 2.5a5.5 5.5 0 0 1 5.5 5.5",
  waiting: "M5.6 6a2.4 2.4 0 1 1 3.5 2.1c-.8.4-1.1.8-1.1 1.7M8 12.6v.1",
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

/** When something began that has taken `s` seconds at `now` (milliseconds). @param {number} now @param {number | null} s */
export const beganAt = (now, s) => now - (s ?? 0) * 1000;

/** A time that ticks: one decimal, so that it does not flicker. @param {number} s */
export const ticking = (s) => (s < 60 ? `${s.toFixed(1)} s` : seconds(s));

/** @param {number | null} value */
export const rate = (value) => (value === null ? "" : `${value < 100 ? value.toFixed(1) : Math.round(value)} tok/s`);

/** @param {number | null} dollars */
export function cost(dollars) {
  if (!dollars) return "";
  if (dollars >= 1) return `$${dollars.toFixed(2)}`;
  return dollars >= 0.0001 ? `$${dollars.toFixed(4)}` : "<$0.0001";
}

/**
 * @param {string} tag
 * @param {string} [name] the class's name, without the panel's prefix
 * @param {string} [text]
 */
export function element(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name.split(" ").map((one) => `dspex-${one}`).join(" ");
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Set text only where it changed: selections and screen readers are left in peace. @param {Element} node @param {string} text */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * JupyterLab's shortcuts for what has the focus would take arrows and letters away (and cut the cell at an "x"); they
 * are asked of the element itself before those around it. @param {HTMLElement} control
 */
export function keepKeys(control) {
  control.dataset.lmSuppressShortcuts = "true";
}

/** @param {string} name the class's name @param {string} text @param {() => void} onClick @param {AbortSignal} signal */
export function makeButton(name, text, onClick, signal) {
  const button = /** @type {HTMLButtonElement} */ (element("button", name, text));
  button.type = "button";
  keepKeys(button);
  button.addEventListener("click", onClick, { signal });
  return button;
}

/** Ids that no other panel in the page has. */
let ids = 0;
/** @param {string} name */
export const newId = (name) => `dspex-${name}-${++ids}-${Math.random().toString(36).slice(2, 8)}`;

export class Icon {
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

/** A block of streamed text is closed at the next line's end after so many characters. */
const BLOCK_CHARS = 2000;

/** One field: its name and its text, which grows while it streams and scrolls along unless the reader scrolled up. */
export class FieldView {
  /** @param {string} name @param {AbortSignal} signal */
  constructor(name, signal) {
    this.name = name || "text";
    this.node = element("div", "field");
    this.node.append(element("span", "field-name", name || "text"));
    this.box = this.node.appendChild(element("div", "field-text"));
    this.block = this.box.appendChild(element("div", "text-block"));
    this.tail = this.block.appendChild(document.createTextNode(""));
    this.follows = true;
    this.isLooking = false;
    this.box.addEventListener(
      "scroll",
      () => {
        this.follows = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 24;
      },
      { signal, passive: true },
    );
    // The same text may be too long for a narrower panel.
    const watch = new ResizeObserver(() => this.look());
    watch.observe(this.box);
    signal.addEventListener("abort", () => watch.disconnect(), { once: true });
  }

  /** All of it. */
  get value() {
    return this.box.textContent ?? "";
  }

  /** @param {string} text */
  append(text) {
    this.grow(text);
    this.look();
  }

  /** See where the text has come to, once for each frame: asking has the browser lay it out. */
  look() {
    if (this.isLooking) return;
    this.isLooking = true;
    requestAnimationFrame(() => {
      this.isLooking = false;
      if (this.box.tabIndex < 0) this.open();
      // A box of a fixed height may always be scrolled to its end; one that still grows has all of it in view.
      if (this.follows && this.box.tabIndex >= 0) this.box.scrollTop = 1e9;
    });
  }

  /** Long text stands in blocks of whole lines: what is added never has the browser lay out all of it again. @param {string} text */
  grow(text) {
    const end = this.tail.length + text.length > BLOCK_CHARS ? text.indexOf("\n") + 1 : 0;
    if (!end) {
      this.tail.appendData(text);
      return;
    }
    this.tail.appendData(text.slice(0, end));
    this.block = this.box.appendChild(element("div", "text-block"));
    this.tail = this.block.appendChild(document.createTextNode(""));
    if (end < text.length) this.grow(text.slice(end));
  }

  /** @param {string} text */
  set(text) {
    if (this.value === text) return;
    this.box.replaceChildren();
    this.box.classList.remove("dspex-tall");
    this.box.removeAttribute("role");
    this.box.removeAttribute("tabindex");
    this.block = this.box.appendChild(element("div", "text-block"));
    this.tail = this.block.appendChild(document.createTextNode(text));
    this.look();
  }

  /** What is too long to be seen at once is scrolled by keyboard too. */
  open() {
    if (this.box.scrollHeight <= this.box.clientHeight + 1) return;
    this.box.tabIndex = 0;
    this.box.classList.add("dspex-tall");
    this.box.setAttribute("role", "group");
    if (!this.box.hasAttribute("aria-label")) this.box.setAttribute("aria-label", this.name);
  }
}

export class FailureView {
  constructor() {
    this.node = element("div", "failure");
    this.title = this.node.appendChild(element("div", "failure-title"));
    this.hint = this.node.appendChild(element("div", "faint"));
    this.folded = /** @type {HTMLDetailsElement} */ (this.node.appendChild(document.createElement("details")));
    this.folded.append(element("summary", "faint", "Traceback"));
    this.trace = this.folded.appendChild(element("pre", "trace"));
    this.trace.tabIndex = 0; // it may be too long to be seen at once
    this.trace.setAttribute("role", "group");
    this.trace.setAttribute("aria-label", "Traceback");
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
