/** The widget of the pools: see `pools_view.js`. */

import { livePanel } from "./live_panel.js";
import { PoolsView } from "./pools_view.js";

export default livePanel((el, link, signal) => {
  const order = (/** @type {string} */ name, /** @type {Record<string, any>} */ params = {}) =>
    link.ask(name, params).then(({ value }) => value);
  const actions = {
    /** @param {string} pool @param {number} size */
    resize: (pool, size) => order("resize", { pool, size }),
    /** @param {string} pool */
    restart: (pool) => order("restart", { pool }),
    /** @param {string | null} pool */
    start: (pool) => order("start", { pool }),
    stopHost: () => order("stop_host"),
    logs: () => order("logs"),
  };
  return new PoolsView(el, actions, signal);
});
