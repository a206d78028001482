/**
 * What the widgets of all live panels have in common: views of one state, a line to the kernel, and the static form
 * that is hidden while a view lives.
 *
 * @typedef {import("./panel_link.js").LinkModel} LinkModel
 * @typedef {{ set(state: any): void, stale?(seconds: number): void }} PanelView
 */

import { Link } from "./panel_link.js";

/** News comes once a second: after so long without any the reader is told. */
const STALE_MS = 8_000;

/**
 * The widget's module. @param {(el: HTMLElement, link: Link, signal: AbortSignal) => PanelView} makeView
 */
export const livePanel = (makeView) => () => {
  /** @type {Link} */
  let link;
  return {
    /** @param {{ model: LinkModel, signal: AbortSignal }} props */
    initialize({ model, signal }) {
      link = new Link(model, signal);
    },

    /** @param {{ model: LinkModel, el: HTMLElement, signal: AbortSignal }} props */
    render({ model, el, signal }) {
      let changedAt = performance.now();
      const state = model.get("state");
      const hiding = el.appendChild(document.createElement("style"));
      hiding.textContent = `.dspex-static-${String(state.static).replace(/\W/g, "")} { display: none; }`;
      const view = makeView(el, link, signal);
      link.open();
      signal.addEventListener("abort", () => link.close(), { once: true });
      model.on("change:state", () => {
        if (signal.aborted) return;
        changedAt = performance.now();
        view.stale?.(0);
        view.set(model.get("state"));
      });
      const timer = setInterval(() => {
        const silentMs = performance.now() - changedAt;
        if (silentMs > STALE_MS && model.get("state").is_live) view.stale?.(Math.round(silentMs / 1000));
      }, 2_000);
      signal.addEventListener("abort", () => clearInterval(timer), { once: true });
      view.set(state);
    },
  };
};
