/** What the server says when it does not do what was asked. */

import type { Fault } from "./shapes.js";

interface Told {
  message: string;
  error?: { errors?: Fault[] };
}

/** What the server refused: in its own words, and what is wrong field by field where that is known. */
export class Refusal extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly faults: Fault[],
  ) {
    super(message);
  }

  static async of(response: Response): Promise<Refusal> {
    const told: Partial<Told> | null = await response.json().catch(() => null);
    const message = told?.message || `The server answers with ${response.status} ${response.statusText}.`;
    return new Refusal(message, response.status, told?.error?.errors ?? []);
  }
}
