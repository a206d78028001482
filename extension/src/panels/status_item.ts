/** One word in the status bar about everything that goes on; a click, or Enter, opens the side panel. */

import { Widget } from "@lumino/widgets";
import { setText } from "../../../dspex_lab/widgets/static/elements.js";
import { isWaiting } from "../api/shapes.js";
import type { LabModel } from "../models/lab_model.js";
import { count } from "./figures.js";
import { labIcon } from "./icon.js";

/** What is said of the lab: short, and longer for who asks. */
export function statusOf(model: Pick<LabModel, "get" | "lineState">): { text: string; title: string } {
  const { host, pools } = model.get("pools");
  if (model.lineState === "broken") return { text: "no line", title: "DSPex Lab: the server does not answer." };
  if (!host || !pools) return { text: "pools off", title: "DSPex Lab: no pool host runs." };
  const workers = pools.reduce((sum, pool) => sum + pool.workers.length, 0);
  const running = pools.reduce((sum, pool) => sum + pool.in_flight, 0);
  const waiting = pools.reduce((sum, pool) => sum + pool.queued, 0);
  const asked = model.get("runs").runs?.filter(isWaiting).length ?? 0;
  const calls = [running && `${running} running`, waiting && `${waiting} waiting`].filter(Boolean).join(", ");
  const troubled = pools.filter((pool) => pool.trouble).map((pool) => pool.name);
  const parts = [
    count(workers, "worker"),
    calls,
    asked && `${asked} to answer`,
    troubled.length ? `trouble: ${troubled.join(", ")}` : "",
  ];
  const text = parts.filter(Boolean).join(" · ");
  return { text, title: `DSPex Lab: ${text}; ${count(host.clients.length, "notebook")}.` };
}

export class StatusItem extends Widget {
  private readonly button = document.createElement("button");
  private readonly text = document.createElement("span");

  constructor(
    private readonly model: LabModel,
    onOpen: () => void,
  ) {
    super();
    this.addClass("dspex-status");
    this.button.type = "button";
    this.button.addEventListener("click", onOpen);
    labIcon.element({ container: this.button.appendChild(document.createElement("span")), height: "16px" });
    this.button.append(this.text);
    this.node.append(this.button);
    model.changed.connect(this.draw, this);
    this.draw();
  }

  override dispose(): void {
    this.model.changed.disconnect(this.draw, this);
    super.dispose();
  }

  private draw(): void {
    const { text, title } = statusOf(this.model);
    setText(this.text, text);
    this.button.title = title;
    this.button.setAttribute("aria-label", title);
  }
}
