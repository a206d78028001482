/** The server's routes under `dspex-lab/api`, with the token and the XSRF cookie that JupyterLab sends along. */

import { URLExt } from "@jupyterlab/coreutils";
import { ServerConnection } from "@jupyterlab/services";
import { Refusal } from "./refusal.js";
import type { Topic, Topics } from "./shapes.js";
import { EventParser } from "./sse.js";

/** Hears each topic's newest value. */
export type Hear = <T extends Topic>(topic: T, value: Topics[T]) => void;

export class Client {
  constructor(private readonly settings: ServerConnection.ISettings = ServerConnection.makeSettings()) {}

  /** The answer to `GET path`; rejects with the server's own words. */
  get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return this.ask(path, signal ? { signal } : {});
  }

  /** The answer to `POST path`; rejects with the server's own words. */
  post<T>(path: string, body: object = {}, signal?: AbortSignal): Promise<T> {
    return this.ask(path, { method: "POST", body: JSON.stringify(body), ...(signal && { signal }) });
  }

  /** The bytes that `GET path` gives. */
  async bytes(path: string, signal?: AbortSignal): Promise<ArrayBuffer> {
    const response = await this.request(path, signal ? { signal } : {});
    if (!response.ok) throw await Refusal.of(response);
    return response.arrayBuffer();
  }

  /** Tell `hear` of every topic until the line breaks, and `begun` once it stands. */
  async listen(begun: () => void, hear: Hear, signal: AbortSignal): Promise<void> {
    const response = await this.request("events", { signal });
    if (!response.ok || !response.body) throw await Refusal.of(response);
    begun();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new EventParser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (const { name, data } of parser.push(value)) hear(name as Topic, JSON.parse(data));
    }
  }

  private async ask<T>(path: string, init: RequestInit): Promise<T> {
    const response = await this.request(path, init);
    if (!response.ok) throw await Refusal.of(response);
    return (await response.json()) as T;
  }

  private request(path: string, init: RequestInit): Promise<Response> {
    const url = URLExt.join(this.settings.baseUrl, "dspex-lab", "api", path);
    return ServerConnection.makeRequest(url, init, this.settings);
  }
}
