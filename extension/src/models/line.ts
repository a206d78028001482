/** The line to the server: kept while the page is seen, made again when it breaks, later each time. Knows no DOM. */

const FIRST_WAIT_MS = 1_000;
const LAST_WAIT_MS = 30_000;

/** How long to wait after so many failures in a row; `random` (0 to 1) spreads the pages of one server. */
export const waitMs = (failures: number, random: number): number =>
  Math.min(LAST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures) * (0.75 + random / 2);

export type LineState = "connecting" | "live" | "broken";

/** Listens until `signal` is aborted: `listen(begun)` ends or rejects when the line breaks. */
export async function keepLine(
  listen: (begun: () => void) => Promise<void>,
  tell: (state: LineState, problem: string) => void,
  sleep: (ms: number) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0;
  tell("connecting", "");
  while (!signal.aborted) {
    let problem = "The server ended the line.";
    try {
      await listen(() => {
        failures = 0;
        tell("live", "");
      });
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
    }
    if (signal.aborted) return;
    tell("broken", problem);
    await sleep(waitMs(failures, Math.random()));
    failures += 1;
  }
}
