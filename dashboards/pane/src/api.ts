// The server's side: dashboards as they are generated, and frames. No SQL goes out.

import type { Annotation, Dashboard, Place, QueryResult, Span } from "./types";

async function ask<T>(path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const answer = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    ...(signal ? { signal } : {}),
  });
  const content = (await answer.json().catch(() => null)) as any;
  if (!answer.ok) throw new Error(content?.error ?? `the server answered ${answer.status}`);
  return content as T;
}

export interface Listed {
  uid: string;
  title: string;
  description: string;
}

export const listDashboards = (): Promise<{ dashboards: Listed[] }> => ask("/api/dashboards");

export const getDashboard = (uid: string): Promise<Dashboard> => ask(`/api/dashboards/${encodeURIComponent(uid)}`);

export async function dataRange(): Promise<Span | null> {
  const { first_ms: from, last_ms: to } = await ask<{ first_ms: number | null; last_ms: number | null }>("/api/range");
  return from === null || to === null ? null : { from, to };
}

function base(place: Place, span: Span): Record<string, unknown> {
  return { dashboard: place.uid, from: span.from, to: span.to, variables: place.variables };
}

/** At most so many questions wait for the server at once; the others wait here. */
const AT_ONCE = 4;
let asking = 0;
const waiting: (() => void)[] = [];

async function inTurn<T>(task: () => Promise<T>): Promise<T> {
  if (asking >= AT_ONCE) await new Promise<void>((go) => waiting.push(go));
  asking += 1;
  try {
    return await task();
  } finally {
    asking -= 1;
    waiting.shift()?.();
  }
}

export function query(
  place: Place, span: Span, panel: number, interval_ms: number, max_data_points: number, signal: AbortSignal,
): Promise<{ results: Record<string, QueryResult> }> {
  return inTurn(() => {
    signal.throwIfAborted();
    return ask("/api/query", { ...base(place, span), panel, interval_ms, max_data_points }, signal);
  });
}

export function options(place: Place, span: Span, variable: string): Promise<{ options: { text: string; value: string }[] }> {
  return ask("/api/variables", { ...base(place, span), variable });
}

export function annotations(place: Place, span: Span, signal: AbortSignal): Promise<{ annotations: Annotation[] }> {
  return ask("/api/annotations", { ...base(place, span) }, signal);
}
