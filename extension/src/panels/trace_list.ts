/** The latest traces of all notebooks: name, when, how long, how many spans, and whether any failed. */

import { element, Icon, seconds, setText } from "../../../dspex_lab/widgets/static/elements.js";
import type { Trace } from "../api/shapes.js";
import { ago, count } from "./figures.js";
import { type Row, RowList } from "./row_list.js";

class TraceRow implements Row<Trace> {
  readonly node = element("li", "side-trace");
  private readonly icon = new Icon();
  private readonly name = element("span", "side-name");
  private readonly when = element("span", "side-when");
  private readonly took = element("span", "side-took");
  private readonly spans = element("div", "side-more");
  private trace: Trace | null = null;

  constructor(private readonly onOpen: (trace: Trace) => void) {
    const line = this.node.appendChild(element("div", "side-line"));
    line.append(this.icon.node, this.name, this.took);
    const under = this.node.appendChild(element("div", "side-under"));
    under.append(this.spans, this.when);
  }

  set(trace: Trace): void {
    this.trace = trace;
    this.icon.set(trace.errors ? "failed" : "succeeded");
    setText(this.name, trace.name);
    this.name.title = trace.name;
    setText(this.took, seconds(trace.duration_s));
    const failed = trace.errors ? ` · ${trace.errors} failed` : "";
    setText(this.spans, `${count(trace.spans, "span")}${failed}`);
    this.tick(Date.now() / 1_000);
  }

  tick(now: number): void {
    if (!this.trace) return;
    setText(this.when, ago(this.trace.start, now));
    this.node.setAttribute("aria-label", `${this.trace.name}, ${this.spans.textContent}, ${this.when.textContent}`);
  }

  open(): void {
    if (this.trace) this.onOpen(this.trace);
  }
}

export const makeTraceList = (onOpen: (trace: Trace) => void): RowList<Trace> =>
  new RowList<Trace>(
    "Traces",
    (trace) => trace.trace_id,
    () => new TraceRow(onOpen),
  );
