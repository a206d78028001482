/** The widget of a trace: see `trace_view.js`. */

import { livePanel } from "./live_panel.js";
import { TraceView } from "./trace_view.js";

export default livePanel((el, link, signal) => {
  const actions = {
    /** @param {string} span */
    attributes: async (span) => (await link.ask("attributes", { span })).value,
  };
  return new TraceView(el, actions, signal);
});
