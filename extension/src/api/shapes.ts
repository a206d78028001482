/** What the server tells, as `dspex_lab/server/` writes it. Times in seconds, moments since the epoch. */

import type { Pool } from "../../../dspex_lab/widgets/static/pool_card.js";
import type { PoolHost as Host } from "../../../dspex_lab/widgets/static/pools_view.js";
import type { Fault } from "../../../dspex_lab/widgets/static/question_view.js";

export type { Fault, Host, Pool };

export type Status = "pending" | "running" | "waiting" | "succeeded" | "failed" | "cancelled" | "skipped";

export interface Run {
  run_id: string;
  pipeline: string;
  status: Status;
  started_at: number;
  duration_s: number | null;
  trace_id: string;
  error: string;
}

export const isUnderWay = ({ status }: Pick<Run, "status">): boolean => status === "running" || status === "waiting";

export const isWaiting = ({ status }: Pick<Run, "status">): boolean => status === "waiting";

export interface Trace {
  trace_id: string;
  name: string;
  start: number;
  duration_s: number;
  spans: number;
  errors: number;
}

/** Each topic's value, or what keeps it from being told. */
export interface Topics {
  pools: { host?: Host | null; pools?: Pool[]; problem: string };
  runs: { runs?: Run[]; problem: string };
  traces: { traces?: Trace[]; problem: string };
}

export type Topic = keyof Topics;
