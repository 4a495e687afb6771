// Places on an outline of the world, and what goes on between them.

import { SERIES, css, ink } from "../colors";
import { field as named, isNumber, nameOf, show } from "../fields";
import { linksOf } from "../links";
import { tooltipContent } from "../tooltip";
import type { Field, Frame } from "../types";
import { chartIn, echarts, tooltip } from "./chart";
import type { Context, End, Renderer } from "./context";

let world: Promise<void> | null = null;

function loadWorld(): Promise<void> {
  world ??= fetch("/assets/world.json")
    .then((answer) => answer.json())
    .then((outline) => echarts.registerMap("world", outline));
  return world;
}

/** A layer's style says which field gives the size, the colour, the words. */
interface Style {
  size?: { field?: string; fixed?: number; min?: number; max?: number };
  color?: { field?: string; fixed?: string };
  text?: { field?: string };
}

function scaler(field: Field | undefined, { size = {} }: Style, usual: number): (at: number) => number {
  const numbers = field?.values.filter(isNumber) ?? [];
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const { min = usual, max = usual * 3, fixed = usual } = size;
  return (at) => {
    const value = field?.values[at];
    if (!isNumber(value)) return fixed;
    return high > low ? min + ((value - low) / (high - low)) * (max - min) : (min + max) / 2;
  };
}

/** What a frame says of a row: each column that is not a place or an address of a colour. */
function details(frame: Frame, at: number): { name: string; value: string }[] {
  return frame.fields
    .filter(({ name }) => !/^(lat|lon|latitude|longitude|id|color|fixed[xy]|thickness)$/i.test(name))
    .map((one) => ({ name: nameOf(one).replace(/^detail__/, ""), value: show(one, one.values[at]).text }));
}

function colorAt(frame: Frame, style: Style, at: number, otherwise: string): string {
  const field = style.color?.field ? named(frame, style.color.field) : named(frame, "color");
  const value = field?.values[at];
  if (typeof value === "string" && value) return css(value);
  return (field && show(field, value).color) ?? otherwise;
}

interface Places {
  frame: Frame;
  at: Map<string, [number, number]>;
}

function placesOf(frames: Frame[]): Places[] {
  return frames.flatMap((frame) => {
    const latitude = named(frame, "latitude") ?? named(frame, "lat");
    const longitude = named(frame, "longitude") ?? named(frame, "lon");
    if (!latitude || !longitude) return [];
    const id = named(frame, "id") ?? frame.fields.find((one) => one.type === "string");
    const at = new Map<string, [number, number]>();
    for (let row = 0; row < frame.length; row += 1) {
      const [lat, lon] = [latitude.values[row], longitude.values[row]];
      if (isNumber(lat) && isNumber(lon)) at.set(String(id?.values[row] ?? row), [lon, lat]);
    }
    return [{ frame, at }];
  });
}

/** Corners that hold every place, with room around: a map of what there is, not of oceans. */
function corners(places: [number, number][]): [[number, number], [number, number]] {
  const longitudes = places.map(([lon]) => lon);
  const latitudes = places.map(([, lat]) => lat);
  const [west, east] = [Math.min(...longitudes), Math.max(...longitudes)];
  const [south, north] = [Math.min(...latitudes), Math.max(...latitudes)];
  const room = Math.max(10, (east - west) * 0.22, (north - south) * 0.3);
  return [
    [Math.max(-180, west - room), Math.min(84, north + room)],
    [Math.min(180, east + room), Math.max(-58, south - room)],
  ];
}

function styles(context: Context): { node: Style; edge: Style } {
  const layers: any[] = context.panel.options?.layers ?? [];
  const layer = layers.find(({ type }) => type === "network") ?? layers.find(({ type }) => type === "markers");
  return { node: layer?.config?.style ?? {}, edge: layer?.config?.edgeStyle ?? {} };
}

function markers({ frame, at }: Places, style: Style): Record<string, unknown> {
  const size = scaler(style.size?.field ? named(frame, style.size.field) : undefined, style, 12);
  const words = named(frame, style.text?.field ?? "title") ?? named(frame, "id");
  const ids = [...at.keys()];
  const isBelow = (name: string): boolean => {
    const [lon, lat] = at.get(name)!;
    return ids.some((other) => {
      const [x, y] = at.get(other)!;
      return other !== name && Math.abs(x - lon) < 20 && (y > lat ? y - lat < 10 : y === lat && other < name);
    });
  };
  const id = named(frame, "id") ?? frame.fields.find((one) => one.type === "string");
  return {
    type: "scatter",
    coordinateSystem: "geo",
    z: 5,
    data: ids.map((name) => {
      const row = id ? id.values.indexOf(name) : Number(name);
      const color = colorAt(frame, style, row, SERIES[0]!);
      return {
        value: at.get(name), frame, row, symbolSize: size(row) + 6,
        name: words ? show(words, words.values[row]).text : name,
        label: { position: isBelow(name) ? "bottom" : "top" },
        itemStyle: { color, borderColor: ink("panel"), borderWidth: 2, shadowBlur: 6, shadowColor: "rgba(0,0,0,.3)" },
      };
    }),
    label: {
      show: true, formatter: "{b}", color: ink("text"), fontSize: 12,
      textBorderColor: ink("panel"), textBorderWidth: 3,
    },
    labelLayout: { moveOverlap: "shiftY" },
  };
}

function links(frame: Frame, places: Map<string, [number, number]>, style: Style): Record<string, unknown> {
  const [source, target] = [named(frame, "source")!, named(frame, "target")!];
  const size = scaler(named(frame, style.size?.field ?? "thickness"), style, 2);
  const dashes = named(frame, "strokedasharray");
  const rows = Array.from({ length: frame.length }, (_, row) => row).filter((row) =>
    places.has(String(source.values[row])) && places.has(String(target.values[row])));
  return {
    type: "lines",
    coordinateSystem: "geo",
    z: 4,
    symbol: ["none", "arrow"],
    symbolSize: 9,
    data: rows.map((row) => ({
      coords: [places.get(String(source.values[row])), places.get(String(target.values[row]))],
      frame, row, name: `${source.values[row]} to ${target.values[row]}`,
      lineStyle: {
        color: colorAt(frame, style, row, ink("muted")), width: Math.max(1.5, size(row)), opacity: 0.85, curveness: 0.18,
        type: dashes?.values[row] ? "dashed" : "solid",
      },
    })),
  };
}

export const geomap: Renderer = (context) => {
  const places = placesOf(context.frames);
  const all = new Map(places.flatMap(({ at }) => [...at]));
  const style = styles(context);
  const { chart, end } = chartIn(context, `${context.panel.title ?? "Map"}: ${[...all.keys()].join(", ")}`);
  let isOver = false;
  void loadWorld().then(() => {
    if (isOver) return;
    chart.setOption({
      animation: false,
      tooltip: tooltip({
        formatter: ({ data }: any) => data?.frame
          ? tooltipContent(data.name, details(data.frame, data.row)) : "",
      }),
      geo: {
        map: "world", roam: true, boundingCoords: corners([...all.values()]), silent: true,
        left: 4, right: 4, top: 4, bottom: 4, preserveAspect: "contain", aspectScale: 0.8,
        itemStyle: { areaColor: ink("land"), borderColor: ink("coast"), borderWidth: 0.5 },
      },
      series: [
        ...context.frames.filter((one) => named(one, "source") && named(one, "target")).map((one) => links(one, all, style.edge)),
        ...places.map((one) => markers(one, style.node)),
      ],
    });
    chart.on("click", ({ data }: any) => {
      const [link] = !data?.frame ? [] : (data.frame as Frame).fields.flatMap((one) =>
        linksOf(one.config.links, context.place, { frame: data.frame, at: data.row, field: one }));
      if (link) context.go(link.url);
    });
  });
  const stop: End = () => {
    isOver = true;
    end();
  };
  return stop;
};
