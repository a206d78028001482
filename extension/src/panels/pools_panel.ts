/** The pools in a tab of their own: all figures, and every order. */

import { Widget } from "@lumino/widgets";
import { PoolsView } from "../../../dspex_lab/widgets/static/pools_view.js";
import type { Topic } from "../api/shapes.js";
import type { LabModel } from "../models/lab_model.js";
import { labIcon } from "./icon.js";

export class PoolsPanel extends Widget {
  private readonly controller = new AbortController();
  private readonly view: PoolsView;

  constructor(private readonly model: LabModel) {
    super();
    this.addClass("dspex-tab");
    this.title.label = "Pools";
    this.title.icon = labIcon;
    const actions = {
      start: (pool: string | null) => (pool ? model.startPool(pool) : model.startPools()),
      resize: (pool: string, size: number) => model.resizePool(pool, size),
      restart: (pool: string) => model.restartPool(pool),
      stopHost: () => model.stopHost(),
      logs: () => this.readLogs(),
    };
    this.view = new PoolsView(this.node, actions, this.controller.signal);
    model.changed.connect(this.onChanged, this);
    this.draw();
  }

  override dispose(): void {
    this.controller.abort();
    this.model.changed.disconnect(this.onChanged, this);
    super.dispose();
  }

  private onChanged(_: LabModel, what: Topic | "line"): void {
    if (what === "pools" || what === "line") this.draw();
  }

  private draw(): void {
    const { host = null, pools = [], problem } = this.model.get("pools");
    const broken = this.model.lineState === "broken" ? this.model.problem : "";
    if (this.model.knows("pools")) this.view.set({ host, pools, calls: [], trouble: broken || problem });
  }

  private async readLogs(): Promise<void> {
    const { logs } = await this.model.client.get<{ logs: Record<string, string> }>("logs", this.controller.signal);
    this.view.logs.set(logs);
  }
}
