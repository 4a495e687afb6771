// The page: navigation, the bar above a dashboard, and what an address means.

import * as api from "./api";
import { Board } from "./board";
import { el } from "./dom";
import { icon } from "./icons";
import { fillText } from "./links";
import type { Page } from "./panel";
import { address, openingSpan, parse, resolve } from "./place";
import * as theme from "./theme";
import { timePicker } from "./timepicker";
import { hideTooltip } from "./tooltip";
import type { Dashboard, Place, Span } from "./types";
import { opening, variableBar, variablesOf } from "./variables";

const dashboards = new Map<string, Dashboard>();
let listed: api.Listed[] = [];
let dashboard: Dashboard | null = null;
let place: Place;
let span: Span;
let data: Span | null = null;
let board: Board | null = null;
let every = 0;
let timer = 0;
let opened = 0;
let annotating = new AbortController();

const nav = document.querySelector("nav")!;
const top = document.querySelector("header")!;
const main = document.querySelector("main")!;

function page(): Page {
  return { place, span, annotations: [], go, zoom };
}

function zoom({ from, to }: Span): void {
  go(address({ ...place, from: String(from), to: String(to) }));
}

/** Follows an address: within the page if it is one of its dashboards. */
function go(url: string): void {
  const target = new URL(url, location.href);
  const isOurs = target.origin === location.origin && (target.pathname === "/" || target.pathname.startsWith("/d/"));
  if (!isOurs) {
    open(target, "_blank", "noopener");
    return;
  }
  history.pushState(null, "", target.pathname + target.search);
  void show().catch(fail);
}

/** The address of another dashboard: same time, and those of our variables it has as well. */
function neighbourAddress(uid: string): string {
  const other = dashboards.get(uid);
  const names = new Set(other ? variablesOf(other).map(({ name }) => name) : ["cloud", "region", "cluster", "network", "namespace"]);
  const variables = Object.fromEntries(Object.entries(place.variables).filter(([name]) => names.has(name)));
  return address({ ...place, uid, variables, panel: null });
}

function drawNav(): void {
  nav.replaceChildren(
    el("a", { class: "brand", href: "/", text: "crosspane" }),
    el("ul", {}, ...listed.map(({ uid, title, description }) => el("li", {}, el("a", {
      href: neighbourAddress(uid), text: title.replace(/^crosspane\s*[/:]\s*/i, ""), title: description,
      "aria-current": uid === place.uid ? "page" : null,
    })))),
    el("button", {
      type: "button", class: "theme", onclick: () => {
        theme.toggle();
        drawNav();
        nav.querySelector<HTMLElement>(".theme")!.focus();
        board?.redraw();
      },
    }, icon(theme.isDark() ? "sun" : "moon"), theme.isDark() ? " Light" : " Dark"));
}

function drawTop(): void {
  const focused = document.activeElement?.closest("header")
    ? [...top.querySelectorAll("button, input, select")].indexOf(document.activeElement!) : -1;
  top.replaceChildren(
    el("h1", { text: dashboard!.title }),
    variableBar(dashboard!, place, span, (name, values) =>
      go(address({ ...place, variables: { ...place.variables, [name]: values } }))),
    timePicker({
      place, span, data, every, refresh: () => void refresh(),
      changed: (range) => go(address({ ...place, ...range })),
      setEvery: (seconds) => {
        every = seconds;
        schedule();
      },
    }));
  if (focused >= 0) (top.querySelectorAll("button, input, select")[focused] as HTMLElement | undefined)?.focus();
}

function schedule(): void {
  clearInterval(timer);
  if (every) timer = window.setInterval(() => document.hidden || void refresh(), every * 1000);
}

/** Annotations come when they come: panels do not wait for them. */
async function annotate(): Promise<void> {
  annotating.abort();
  annotating = new AbortController();
  const { signal } = annotating;
  if (!dashboard?.annotations?.list.length) return;
  try {
    const { annotations } = await api.annotations(place, span, signal);
    if (!signal.aborted) board?.annotate(annotations);
  } catch (error) {
    if (!signal.aborted) console.warn("annotations:", error);
  }
}

async function refresh(): Promise<void> {
  data = await api.dataRange().catch(() => data);
  span = resolve(place, Date.now(), data);
  drawTop();
  board?.refresh(page());
  void annotate();
}

/** Opens what the address says. */
async function show(): Promise<void> {
  const turn = (opened += 1);
  hideTooltip();
  const wanted = parse(location);
  const uid = wanted.uid || listed[0]!.uid;
  const found = dashboards.get(uid) ?? (await api.getDashboard(uid));
  dashboards.set(uid, found);
  const range = wanted.from && wanted.to ? { from: wanted.from, to: wanted.to } : openingSpan(found, Date.now(), data);
  const draft: Place = { uid, ...range, variables: {}, panel: wanted.panel ?? null };
  const nextSpan = resolve(draft, Date.now(), data);
  const variables = await opening(found, wanted.variables ?? {}, draft, nextSpan);
  if (turn !== opened) return;
  dashboard = found;
  place = { ...draft, variables };
  span = nextSpan;
  history.replaceState(null, "", address(place));
  document.title = `${fillText(found.title, place)} · crosspane`;
  drawNav();
  drawTop();
  const shown = `${uid} ${place.panel}`;
  if (board && main.dataset.shown === shown && main.contains(board.element)) board.refresh(page());
  else {
    board?.close();
    board = new Board(found, page());
    main.dataset.shown = shown;
    main.replaceChildren(board.element);
    scrollTo(0, 0);
  }
  void annotate();
}

function fail(error: unknown): void {
  main.replaceChildren(el("p", { class: "failed", role: "alert", text: error instanceof Error ? error.message : String(error) }));
}

async function start(): Promise<void> {
  theme.start(() => {
    drawNav();
    board?.redraw();
  });
  [{ dashboards: listed }, data] = await Promise.all([api.listDashboards(), api.dataRange()]);
  if (!listed.length) throw new Error("No dashboards: dashboards/grafana is empty");
  addEventListener("popstate", () => void show().catch(fail));
  document.addEventListener("click", (event) => {
    const link = (event.target as Element).closest<HTMLAnchorElement>("nav a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(link.href);
  });
  await show();
}

start().catch(fail);
