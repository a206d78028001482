/**
 * The line from a panel's views to its kernel: orders that are answered, and word of who looks. Knows the model that
 * anywidget gives, and nothing of what is ordered.
 *
 * @typedef {{ kind: "reply", id: string, value?: any, error?: { message: string, hint: string } }} Reply
 * @typedef {{
 *   get(name: "state"): any,
 *   send(content: Record<string, any>): void,
 *   on(name: string, callback: (value: any, buffers?: DataView[]) => void): void,
 * }} LinkModel
 */

/**
 * JupyterLab sends to the kernel's main shell, where it waits for the running cell, until the widget's subshell has
 * been made: nothing is said at once, and what is not answered is said again.
 */
export const PATIENCE = { subshellMs: 400, againMs: 2_000, times: 30, seenMs: 5_000 };

/** What the kernel refused, with a hint of what to do. */
export class Refusal extends Error {
  /** @param {{ message: string, hint: string }} told */
  constructor(told) {
    super(told.message);
    this.hint = told.hint;
  }
}

/** One for each model; it ends with `signal`. */
export class Link {
  /** @type {Map<string, (reply: Reply, buffers: DataView[]) => void>} */
  waiting = new Map();
  count = 0;
  views = 0;
  isReady = false;

  /** @param {LinkModel} model @param {AbortSignal} signal */
  constructor(model, signal) {
    this.model = model;
    this.signal = signal;
    // Two pages of one kernel have no ids in common.
    this.name = Math.random().toString(36).slice(2, 10);
    model.on("msg:custom", (/** @type {Reply} */ message, buffers) => {
      if (message.kind === "reply") this.waiting.get(message.id)?.(message, buffers ?? []);
    });
    const timer = setInterval(() => this.views && this.say({ kind: "seen" }), PATIENCE.seenMs);
    const start = setTimeout(() => {
      this.isReady = true;
      if (this.views) this.say({ kind: "seen" });
    }, PATIENCE.subshellMs);
    signal.addEventListener("abort", () => (clearInterval(timer), clearTimeout(start)), { once: true });
  }

  /** @param {Record<string, any>} content */
  say(content) {
    if (!this.signal.aborted) this.model.send(content);
  }

  /** A view was opened. */
  open() {
    this.views += 1;
    if (this.isReady && this.views === 1) this.say({ kind: "seen" });
  }

  /** A view was closed. */
  close() {
    this.views -= 1;
    if (!this.views) this.say({ kind: "unseen" });
  }

  /**
   * Order something; its value, and the bytes that came beside it. Rejects with a {@link Refusal}.
   * @param {string} order
   * @param {Record<string, any>} [params]
   * @returns {Promise<{ value: any, buffers: DataView[] }>}
   */
  ask(order, params = {}) {
    const id = `${this.name}-${++this.count}`;
    return new Promise((resolve, reject) => {
      let left = PATIENCE.times;
      const say = () => {
        if (this.signal.aborted || !left--) {
          end();
          reject(new Refusal({ message: "The kernel does not answer.", hint: "It may be busy or gone; try again." }));
        } else if (this.isReady) this.say({ kind: "order", id, order, params });
      };
      const timer = setInterval(say, PATIENCE.againMs);
      const first = setTimeout(say, this.isReady ? 0 : PATIENCE.subshellMs + 1);
      const end = () => (clearInterval(timer), clearTimeout(first), this.waiting.delete(id));
      this.waiting.set(id, (reply, buffers) => {
        end();
        if (reply.error) reject(new Refusal(reply.error));
        else resolve({ value: reply.value, buffers });
      });
    });
  }
}
