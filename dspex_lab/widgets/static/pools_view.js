/**
 * The pool host and its pools: what runs, what waits, what it takes, and the orders that one may give. Knows the DOM and
 * plain data (see `pools_state.py`), and nothing of widgets: it can stand in a cell or in a side panel.
 *
 * @typedef {import("./pool_card.js").Pool} Pool
 * @typedef {import("./pool_card.js").PoolActions} PoolActions
 * @typedef {{
 *   id: string, pid: number, uptime_s: number, clients: { name: string, pid: number, in_flight: number }[], in_flight: number,
 * }} PoolHost
 * @typedef {{
 *   host: PoolHost | null, pools: Pool[], calls: any[], trouble?: string, logs?: Record<string, string>, is_closed?: boolean,
 * }} PoolsState
 */

import { Icon, element, setText } from "./elements.js";
import { LogsView } from "./logs_view.js";
import { PoolCard, countText } from "./pool_card.js";

/** `12 s`, `5 min`, `2 h 5 min` @param {number} s */
export function uptimeText(s) {
  const minutes = Math.floor(s / 60);
  if (!minutes) return `${Math.floor(s)} s`;
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export class PoolsView {
  /** @type {Icon} */
  icon;
  /** @type {HTMLElement} */
  figures;
  /** @type {HTMLElement} */
  tools;
  /** @type {HTMLButtonElement} */
  stop;
  /** @type {HTMLButtonElement} */
  sure;
  /** @type {HTMLButtonElement} */
  keep;
  /** @type {Map<string, PoolCard>} */
  cards = new Map();
  /** @type {PoolsState | null} */
  state = null;
  /** The host that was seen last. */
  host = "";

  /** @param {HTMLElement} el @param {PoolActions} actions @param {AbortSignal} signal */
  constructor(el, actions, signal) {
    this.actions = actions;
    this.signal = signal;
    this.root = el.appendChild(element("section", "panel pools"));
    this.root.setAttribute("aria-label", "Pools");
    // JupyterLab's shortcuts would take Enter and Space away from the buttons.
    this.root.dataset.lmSuppressShortcuts = "true";
    this.makeHead(signal);
    this.notice = this.root.appendChild(element("div", "notice"));
    this.notice.setAttribute("role", "status");
    this.notice.hidden = true;
    this.failure = this.root.appendChild(element("div", "notice bad"));
    this.failure.setAttribute("role", "alert");
    this.failure.hidden = true;
    this.empty = this.root.appendChild(element("div", "empty"));
    this.emptyText = this.empty.appendChild(element("p", "pv-empty"));
    const start = /** @type {HTMLButtonElement} */ (this.empty.appendChild(element("button", "button", "Start the host")));
    start.type = "button";
    start.addEventListener("click", () => this.order(start, "Starting…", actions.start(null)), { signal });
    this.empty.hidden = true;
    this.list = this.root.appendChild(element("div", "pv-list"));
    this.logs = new LogsView(() => actions.logs(), signal);
    this.root.append(this.logs.node);
  }

  /** @param {AbortSignal} signal */
  makeHead(signal) {
    const head = this.root.appendChild(element("header", "panel-head"));
    this.icon = new Icon();
    head.append(this.icon.node);
    head.append(element("strong", "panel-title", "Pools"));
    this.figures = head.appendChild(element("span", "panel-figures"));
    this.tools = head.appendChild(element("div", "panel-tools"));
    const button = (/** @type {string} */ text, kind = "") => {
      const made = /** @type {HTMLButtonElement} */ (this.tools.appendChild(element("button", `button ${kind}`, text)));
      made.type = "button";
      return made;
    };
    this.stop = button("Stop host", "danger");
    this.sure = button("Stop it, and all that runs", "danger");
    this.keep = button("Keep");
    const ask = (/** @type {boolean} */ isAsking) => {
      this.stop.hidden = isAsking;
      this.sure.hidden = this.keep.hidden = !isAsking;
      (isAsking ? this.keep : this.stop).focus();
    };
    this.sure.hidden = this.keep.hidden = true;
    this.stop.addEventListener("click", () => ask(true), { signal });
    this.keep.addEventListener("click", () => ask(false), { signal });
    this.sure.addEventListener("click", () => (ask(false), this.order(this.stop, "Stopping…", this.actions.stopHost())), { signal });
  }

  /** Carry out an order of a button, and say what went wrong. @param {HTMLButtonElement} button @param {string} meanwhile @param {Promise<any>} promise */
  async order(button, meanwhile, promise) {
    const text = button.textContent ?? "";
    button.disabled = true;
    setText(button, meanwhile);
    try {
      await promise;
      this.failure.hidden = true;
    } catch (error) {
      const { message, hint } = /** @type {Error & { hint?: string }} */ (error);
      setText(this.failure, [message, hint].filter(Boolean).join(" "));
      this.failure.hidden = false;
    } finally {
      button.disabled = false;
      setText(button, text);
    }
  }

  /** @param {number} silent seconds without news, 0 when there is some */
  stale(silent) {
    this.root.classList.toggle("dspex-stale", silent > 0);
    if (silent) this.say(`No news for ${silent} s: the kernel is busy, or gone.`);
    else if (this.state) this.notify(this.state);
  }

  /** @param {PoolsState} state */
  set(state) {
    if (!state.pools) return;
    this.state = state;
    const { host, pools } = state;
    this.icon.set(host ? (state.trouble ? "waiting" : "succeeded") : "pending");
    this.icon.node.setAttribute("aria-label", host ? "the host runs" : "no host");
    setText(this.figures, host ? this.about(host) : "no host");
    this.figures.title = host ? `host ${host.id}, process ${host.pid}\n${host.clients.map((one) => one.name).join("\n")}` : "";
    this.tools.hidden = !host || Boolean(state.is_closed);
    this.empty.hidden = Boolean(host) || Boolean(state.is_closed);
    this.notify(state);
    const names = new Set(pools.map((pool) => pool.name));
    for (const [name, card] of this.cards) if (!names.has(name)) (card.node.remove(), this.cards.delete(name));
    pools.forEach((pool, place) => {
      const card = this.card(pool.name);
      card.set(pool);
      if (this.list.children[place] !== card.node) this.list.insertBefore(card.node, this.list.children[place] ?? null);
    });
    if (state.logs) this.logs.set(state.logs);
  }

  /** @param {PoolHost} host */
  about(host) {
    const clients = host.clients.length;
    const parts = [
      `up ${uptimeText(host.uptime_s)}`,
      clients === 1 ? "1 notebook" : `${clients} notebooks`,
      host.in_flight === 1 ? "1 call under way" : `${countText(host.in_flight)} calls under way`,
    ];
    return parts.join(" · ");
  }

  /** Say what is wrong, and what became of the host. @param {PoolsState} state */
  notify(state) {
    const id = state.host?.id ?? "";
    const isLost = !id && this.host !== "" && !state.is_closed;
    if (id) this.host = id;
    setText(
      this.emptyText,
      isLost
        ? "The pool host has ended, and its workers with it. The next call starts another."
        : "No pool host runs. The first call starts one.",
    );
    this.say(state.trouble ?? "");
  }

  /** @param {string} text */
  say(text) {
    setText(this.notice, text);
    this.notice.hidden = !text;
  }

  /** @param {string} name */
  card(name) {
    const known = this.cards.get(name);
    if (known) return known;
    const made = new PoolCard(name, this.actions, (worker) => this.logs.open(worker), this.signal);
    this.cards.set(name, made);
    return made;
  }
}
