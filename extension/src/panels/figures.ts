/** Figures as people read them, where the shared modules have none. */

/** How long ago a moment is, both in seconds since the epoch: "now", "12 s", "5 min", "3 h", "2 d". */
export function ago(then: number, now: number): string {
  const passed = Math.max(0, now - then);
  if (passed < 5) return "now";
  if (passed < 60) return `${Math.floor(passed)} s ago`;
  if (passed < 3_600) return `${Math.floor(passed / 60)} min ago`;
  if (passed < 86_400) return `${Math.floor(passed / 3_600)} h ago`;
  return `${Math.floor(passed / 86_400)} d ago`;
}

/** Memory in MB or GB, as other people's task managers count. */
export const memory = (bytes: number): string =>
  bytes < 1024 ** 3 ? `${Math.round(bytes / 1024 ** 2)} MB` : `${(bytes / 1024 ** 3).toFixed(1)} GB`;

/** "1 worker", "3 workers". */
export const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? "" : "s"}`;
