// Templates in titles and links: `${var}`, `${__data.fields.x}`, `${__url_time_range}`.

import { show } from "./fields";
import { ALL, type DataLink, type Frame, type Place } from "./types";

/** The row a link was clicked on. */
export interface Row {
  frame: Frame;
  at: number;
  field?: Frame["fields"][number];
}

const TEMPLATE = /\$\{([^}:]+)(?::([^}]*))?\}|\[\[(\w+)\]\]|\$(\w+)/g;

function pairs(name: string, values: string[]): string {
  return values.map((one) => `var-${encodeURIComponent(name)}=${encodeURIComponent(one)}`).join("&");
}

function timePairs(place: Place): string {
  return `from=${encodeURIComponent(place.from)}&to=${encodeURIComponent(place.to)}`;
}

function cell(path: string, row: Row): unknown {
  const name = path.replace(/^__data\.fields(?:\.|\[['"]?)/, "").replace(/['"]?\]$/, "");
  const fields = row.frame.fields;
  const found = fields.find((one) => one.name === name) ??
    fields.find((one) => one.config.displayName === name) ?? fields[Number(name)];
  return found?.values[row.at];
}

function valueOf(name: string, form: string, place: Place, row: Row | undefined): string | null {
  if (name === "__url_time_range") return timePairs(place);
  if (name === "__all_variables") {
    return Object.entries(place.variables).map(([one, values]) => pairs(one, values)).join("&");
  }
  if (name === "__from") return place.from;
  if (name === "__to") return place.to;
  if (row && name.startsWith("__data.fields")) return String(cell(name, row) ?? "");
  if (row?.field && name === "__value.raw") return String(row.field.values[row.at] ?? "");
  if (row?.field && name === "__value.text") return show(row.field, row.field.values[row.at]).text;
  if (row?.field && name === "__value.time") {
    return String(row.frame.fields.find((one) => one.type === "time")?.values[row.at] ?? "");
  }
  if (row?.field && name.startsWith("__field.labels.")) return row.field.labels?.[name.slice(15)] ?? "";
  if (row?.field && (name === "__field.name" || name === "__series.name")) return row.field.name;
  const values = place.variables[name];
  if (!values) return null;
  if (form === "queryparam") return pairs(name, values);
  return values.map((one) => (one === ALL ? "All" : one)).join(form === "csv" ? "," : " + ");
}

/** A title or a text: what it names is put in, what it does not know stays. */
export function fillText(template: string, place: Place, row?: Row): string {
  return template.replace(TEMPLATE, (whole, braced, form, squared, bare) =>
    valueOf(braced ?? squared ?? bare, form ?? "", place, row) ?? whole);
}

const READY = new Set(["__url_time_range", "__all_variables"]);

/** The same for an address: values are encoded, but for those that are whole parameters. */
export function fillUrl(template: string, place: Place, row?: Row): string {
  return template.replace(TEMPLATE, (whole, braced, form, squared, bare) => {
    const name: string = braced ?? squared ?? bare;
    const isPath = /^__data|^__value|^__field|^__series/.test(name);
    if (!isPath && !READY.has(name) && form !== "queryparam" && place.variables[name]?.length! > 1) {
      return place.variables[name]!.map(encodeURIComponent).join(",");
    }
    if (place.variables[name]?.[0] === ALL && form !== "queryparam") return encodeURIComponent(ALL);
    const value = valueOf(name, form ?? "", place, row);
    if (value === null) return whole;
    return READY.has(name) || form === "queryparam" ? value : encodeURIComponent(value);
  });
}

/** Only our own dashboards and the web: nothing a template says becomes a script. */
export function isSafe(url: string): boolean {
  return url.startsWith("/") ? !url.startsWith("//") : /^https?:\/\//.test(url);
}

/** What a row's field links to, each with the text to click on. */
export function linksOf(links: DataLink[] | undefined, place: Place, row: Row): { title: string; url: string }[] {
  return (links ?? [])
    .map(({ title, url }) => ({ title: fillText(title || "Open", place, row), url: fillUrl(url, place, row) }))
    .filter(({ url }) => isSafe(url));
}
