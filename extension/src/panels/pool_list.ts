/** The pools: how many workers of how many, what they do and hold, and what troubles them. */

import { element, setText } from "../../../dspex_lab/widgets/static/elements.js";
import type { Pool } from "../api/shapes.js";
import { memory } from "./figures.js";
import { type Row, RowList } from "./row_list.js";

class PoolRow implements Row<Pool> {
  readonly node = element("li", "side-pool");
  private readonly name = element("span", "side-name");
  private readonly workers = element("span", "side-when");
  private readonly held = element("span", "side-took");
  private readonly places = element("div", "side-places");
  private readonly more = element("div", "side-more");
  private readonly trouble = element("div", "side-error");

  constructor(readonly open: () => void) {
    const line = this.node.appendChild(element("div", "side-line"));
    line.append(this.name, this.workers, this.held);
    this.node.append(this.places, this.more, this.trouble);
    this.places.setAttribute("aria-hidden", "true");
  }

  set(pool: Pool): void {
    setText(this.name, pool.name);
    setText(this.workers, `${pool.workers.length} of ${pool.size}`);
    setText(this.held, pool.rss_bytes ? memory(pool.rss_bytes) : "");
    setText(this.more, this.calls(pool));
    setText(this.trouble, pool.trouble ?? "");
    this.trouble.hidden = !pool.trouble;
    this.drawPlaces(pool);
    const label = `${pool.name}, ${pool.workers.length} of ${pool.size} workers, ${this.more.textContent}`;
    this.node.setAttribute("aria-label", label);
  }

  private calls(pool: Pool): string {
    const starting = pool.workers.filter((worker) => worker.state === "starting").length;
    const parts = [
      starting && `${starting} starting`,
      pool.in_flight && `${pool.in_flight} running`,
      pool.queued && `${pool.queued} waiting`,
      pool.succeeded && `${pool.succeeded} done`,
      pool.failed && `${pool.failed} failed`,
      pool.lost_workers && `${pool.lost_workers} lost`,
    ].filter(Boolean);
    return parts.join(" · ") || (pool.workers.length ? "idle" : "asleep");
  }

  /** A mark for each place: empty, or a worker in its state. */
  private drawPlaces({ size, workers }: Pool): void {
    const wanted = Math.max(Math.min(size, 64), workers.length);
    while (this.places.childElementCount > wanted) this.places.lastElementChild?.remove();
    while (this.places.childElementCount < wanted) this.places.append(element("span", "side-place"));
    [...this.places.children].forEach((mark, index) => {
      const worker = workers[index];
      const state = worker ? (worker.in_flight ? "busy" : worker.state) : "empty";
      mark.className = `dspex-side-place dspex-side-${state.replace(/\W/g, "-")}`;
      (mark as HTMLElement).title = worker ? `${worker.id}: ${worker.state}, ${memory(worker.rss_bytes)}` : "";
    });
  }
}

export const makePoolList = (onOpen: () => void): RowList<Pool> =>
  new RowList<Pool>(
    "Pools",
    (pool) => pool.name,
    () => new PoolRow(onOpen),
  );
