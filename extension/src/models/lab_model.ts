/** What is known of pools, runs and traces of all notebooks, and the orders that may be given. Knows no DOM. */

import { Signal } from "@lumino/signaling";
import type { Client } from "../api/client.js";
import type { Topic, Topics } from "../api/shapes.js";
import { keepLine, type LineState } from "./line.js";

const NOTHING: Topics = { pools: { problem: "" }, runs: { problem: "" }, traces: { problem: "" } };

export class LabModel {
  /** Something is another than it was: a topic's value, or the state of the line ("line"). */
  readonly changed = new Signal<this, Topic | "line">(this);
  private values: Topics = NOTHING;
  private known: Set<Topic> = new Set();
  private controller: AbortController | null = null;
  lineState: LineState = "connecting";
  problem = "";

  constructor(readonly client: Client) {}

  get<T extends Topic>(topic: T): Topics[T] {
    return this.values[topic];
  }

  /** Whether anything was told of the topic yet. */
  knows(topic: Topic): boolean {
    return this.known.has(topic);
  }

  /** Listen from now on. Safe to call again. */
  connect(): void {
    if (this.controller) return;
    this.controller = new AbortController();
    const { signal } = this.controller;
    const listen = (begun: () => void) => this.client.listen(begun, (topic, value) => this.hear(topic, value), signal);
    const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
    void keepLine(listen, (state, problem) => this.tell(state, problem), sleep, signal);
  }

  /** Listen no more, until {@link connect}; what was told last stays. */
  disconnect(): void {
    this.controller?.abort();
    this.controller = null;
  }

  startPools(): Promise<unknown> {
    return this.client.post("pools/start");
  }

  startPool(name: string): Promise<unknown> {
    return this.client.post(`pools/${name}/start`);
  }

  resizePool(name: string, size: number): Promise<unknown> {
    return this.client.post(`pools/${name}/resize`, { size });
  }

  restartPool(name: string): Promise<unknown> {
    return this.client.post(`pools/${name}/restart`);
  }

  stopHost(): Promise<unknown> {
    return this.client.post("host/stop");
  }

  cancelRun(runId: string): Promise<unknown> {
    return this.client.post(`runs/${runId}/cancel`);
  }

  /** Answer what a run asks with what was typed into the fields of its form. */
  answerRun(runId: string, question: string, values: Record<string, unknown>): Promise<unknown> {
    return this.client.post(`runs/${runId}/answer`, { question, values });
  }

  /** Begin a run that is over again from a step on, in its notebook; the new run's id. */
  async rerun(runId: string, step: string): Promise<string> {
    return (await this.client.post<{ run_id: string }>(`runs/${runId}/rerun`, { step })).run_id;
  }

  private hear<T extends Topic>(topic: T, value: Topics[T]): void {
    this.values = { ...this.values, [topic]: value };
    this.known.add(topic);
    this.changed.emit(topic);
  }

  private tell(state: LineState, problem: string): void {
    this.lineState = state;
    this.problem = problem;
    this.changed.emit("line");
  }
}
