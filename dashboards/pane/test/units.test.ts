// What people read of a number: expected words are Grafana's, or worked out by hand.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ago, format } from "../src/units";

const CASES: [number, string | undefined, number | null | undefined, string][] = [
  [0, "short", undefined, "0"],
  [1234, "short", undefined, "1.23 K"],
  [999, "none", undefined, "999"],
  [1_500_000, "short", 1, "1.5 Mil"],
  [0.0361, "percentunit", undefined, "3.61%"],
  [1, "percentunit", 1, "100.0%"],
  [12.345, "ms", undefined, "12.3 ms"],
  [1500, "ms", undefined, "1.5 s"],
  [0.00042, "s", undefined, "420 µs"],
  [90, "s", undefined, "1.5 min"],
  [86400, "s", undefined, "1 day"],
  [0, "ms", undefined, "0 ms"],
  [1536, "bytes", undefined, "1.5 KiB"],
  [1536, "decbytes", undefined, "1.54 kB"],
  [41_800, "Bps", undefined, "41.8 kB/s"],
  [2_000_000, "bps", undefined, "2 Mb/s"],
  [4.78, "reqps", undefined, "4.78 req/s"],
  [2500, "reqps", undefined, "2.5K req/s"],
  [-3, "none", undefined, "−3"],
  [7, "parsecs", undefined, "7 parsecs"],
  [7, "suffix:hops", undefined, "7 hops"],
];

test("a number has its unit, about three digits, and no more", () => {
  for (const [value, unit, decimals, expected] of CASES) assert.equal(format(value, unit, decimals), expected);
});

test("what is no number is said", () => {
  assert.equal(format(Number.NaN, "none"), "NaN");
  assert.equal(format(Number.POSITIVE_INFINITY, "none"), "∞");
});

test("times are told from now, in both directions", () => {
  assert.equal(ago(0, 90_000), "2 min ago");
  assert.equal(ago(60_000, 0), "in 1 min");
});
