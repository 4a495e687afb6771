// Addresses and spans of time.

import assert from "node:assert/strict";
import { test } from "node:test";

import { address, intervalMs, openingSpan, parse, resolve } from "../src/place";
import type { Dashboard } from "../src/types";

const HOUR = 3_600_000;
const BOARD: Dashboard = { uid: "u", title: "", panels: [], time: { from: "now-1h", to: "now" } };

test("an address holds all that a shared link keeps", () => {
  const place = { uid: "crosspane-edge", from: "first", to: "last", variables: { source: ["a/b"], cloud: ["x", "y"] }, panel: 7 };
  const [pathname, search] = address(place).split("?") as [string, string];
  assert.equal(`${pathname}?${search}`, "/d/crosspane-edge?from=first&to=last&var-source=a%2Fb&var-cloud=x&var-cloud=y&viewPanel=7");
  assert.deepEqual(parse({ pathname, search: `?${search}` }), place);
});

test("spans are relative to now, absolute, or where the data is", () => {
  const data = { from: 5 * HOUR, to: 6 * HOUR };
  const now = 100 * HOUR;
  assert.deepEqual(resolve({ from: "now-15m", to: "now" }, now, data), { from: now - HOUR / 4, to: now });
  assert.deepEqual(resolve({ from: "first", to: "last" }, now, data), data);
  assert.deepEqual(resolve({ from: "1795489320000", to: "2026-11-24T03:05:00Z" }, now, data),
    { from: 1_795_489_320_000, to: 1_795_489_500_000 });
  assert.deepEqual(resolve({ from: "now", to: "nonsense" }, now, data), { from: now - 60_000, to: now });
});

test("a page opens where there is something to see", () => {
  const now = 100 * HOUR;
  assert.deepEqual(openingSpan(BOARD, now, { from: 0, to: now - HOUR / 2 }), { from: "now-1h", to: "now" });
  assert.deepEqual(openingSpan(BOARD, now, { from: 10 * HOUR, to: 11 * HOUR }), { from: "first", to: "last" });
  assert.deepEqual(openingSpan(BOARD, now, { from: 0, to: 90 * HOUR }), { from: String(66 * HOUR), to: String(90 * HOUR) });
  assert.deepEqual(openingSpan(BOARD, now, null), { from: "now-1h", to: "now" });
});

test("points are a round time apart, and no nearer than a panel wants", () => {
  assert.equal(intervalMs({ from: 0, to: HOUR }, 600, undefined), 5_000);
  assert.equal(intervalMs({ from: 0, to: HOUR }, 600, "1m"), 60_000);
});
