/** The widget of the figures: see `metrics_view.js`. plotly comes from the kernel, in parts. */

import { livePanel } from "./live_panel.js";
import { MetricsView } from "./metrics_view.js";
import { loadPlotly } from "./plotly_loader.js";

export default livePanel((el, link, signal) => {
  const actions = { plotly: () => loadPlotly((part) => link.ask("plotly", { part })) };
  return new MetricsView(el, actions, signal);
});
