/** What the server tells, as `dspex_lab/server/` writes it. Types alone; times in seconds, moments since the epoch. */

export type Status = "pending" | "running" | "waiting" | "succeeded" | "failed" | "cancelled" | "skipped";

export interface Worker {
  id: string;
  state: string;
  pid: number | null;
  in_flight: number;
  calls_done: number;
  rss_bytes: number;
  cpu_s: number;
}

export interface Pool {
  name: string;
  size: number;
  queued: number;
  in_flight: number;
  submitted: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  lost_workers: number;
  trouble: string | null;
  device: string;
  rss_bytes: number;
  workers: Worker[];
}

export interface Host {
  id: string;
  pid: number;
  uptime_s: number;
  clients: { name: string; pid: number; in_flight: number }[];
  in_flight: number;
}

export interface Run {
  run_id: string;
  pipeline: string;
  status: Status;
  started_at: number;
  duration_s: number | null;
  trace_id: string;
  error: string;
}

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
