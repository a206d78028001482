/** The figures of all calls and runs in a tab of their own, asked for while the tab is seen; no kernel is needed. */

import type { Message } from "@lumino/messaging";
import { Widget } from "@lumino/widgets";
import { type MetricsState, MetricsView } from "../../../dspex_lab/widgets/static/metrics_view.js";
import { loadPlotly } from "../../../dspex_lab/widgets/static/plotly_loader.js";
import type { Client } from "../api/client.js";
import { metricsIcon } from "./icon.js";

/** The host counts in pieces of five seconds. */
const AGAIN_MS = 2_000;
const NOTHING: Omit<MetricsState, "now"> = {
  has_host: false,
  since: null,
  bucket_s: 5,
  series: [],
  history: {},
  runs: [],
  trouble: "",
};

export class MetricsPanel extends Widget {
  private readonly controller = new AbortController();
  private readonly view: MetricsView;
  private state: MetricsState | null = null;
  private timer = 0;

  constructor(private readonly client: Client) {
    super();
    this.addClass("dspex-tab");
    this.title.label = "Metrics";
    this.title.icon = metricsIcon;
    this.node.tabIndex = -1;
    const { signal } = this.controller;
    // plotly comes from the server's own Python, whole, and compressed as a kernel sends it in parts.
    const script = async () => ({ value: { parts: 1 }, buffers: [new DataView(await client.bytes("plotly", signal))] });
    this.view = new MetricsView(this.node, { plotly: () => loadPlotly(script) }, signal);
  }

  override dispose(): void {
    this.stop();
    this.controller.abort();
    super.dispose();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    if (this.isVisible) void this.load();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    void this.load();
  }

  protected override onBeforeHide(message: Message): void {
    super.onBeforeHide(message);
    this.stop();
  }

  private stop(): void {
    window.clearTimeout(this.timer);
  }

  private async load(): Promise<void> {
    this.stop();
    try {
      if (!document.hidden || !this.state) {
        this.draw(await this.client.get<MetricsState>("metrics", this.controller.signal));
      }
    } catch (error) {
      if (this.controller.signal.aborted) return;
      const trouble = error instanceof Error ? error.message : String(error);
      this.draw({ now: Date.now() / 1_000, ...(this.state ?? NOTHING), trouble });
    }
    this.stop();
    if (this.isVisible) this.timer = window.setTimeout(() => void this.load(), AGAIN_MS);
  }

  private draw(state: MetricsState): void {
    this.state = state;
    this.view.set(state);
  }
}
