// States over time, as stretches of one value.

import type { Span } from "../types";

export interface Stretch {
  from: number;
  to: number;
  value: unknown;
}

/**
 * Stretches of one value. A value lasts until the next row of the frame, the
 * last as long as rows are apart; null is no state, and leaves a gap.
 */
export function stretches(times: number[], values: unknown[], span: Span, merge: boolean): Stretch[] {
  const apart = times.slice(1).map((time, at) => time - times[at]!).filter((one) => one > 0);
  const usual = apart.length ? Math.min(...apart) : 60_000;
  const made: Stretch[] = [];
  times.forEach((from, at) => {
    const to = Math.min(times[at + 1] ?? from + usual, span.to);
    const value = values[at];
    if (value === null || value === undefined || to <= span.from) return;
    const before = made.at(-1);
    if (merge && before?.value === value && before.to === from) before.to = to;
    else made.push({ from: Math.max(from, span.from), to, value });
  });
  return made;
}
