// The bar of variables: what a dashboard is narrowed to.

import * as api from "./api";
import { choice, type Option } from "./choice";
import { el, freshId } from "./dom";
import { ALL, type Dashboard, type Place, type Span, type Variable } from "./types";

const asList = (value: string | string[] | undefined): string[] =>
  value === undefined || value === "" ? [] : Array.isArray(value) ? value : [value];

export const variablesOf = (dashboard: Dashboard): Variable[] => dashboard.templating?.list ?? [];

/** Options a definition has itself; a query's are asked for. */
function ownOptions({ type, query, options = [], includeAll }: Variable): Option[] {
  const listed = options.length || type === "query" ? options : String(query ?? "").split(",").map((one) => {
    const [text, value] = one.includes(" : ") ? one.split(" : ") : [one, one];
    return { text: text!.trim(), value: value!.trim() };
  });
  const all = includeAll && !listed.some(({ value }) => value === ALL) ? [{ text: "All", value: ALL }] : [];
  return [...all, ...listed.map(({ text, value }) => ({ text, value }))];
}

export async function optionsOf(variable: Variable, place: Place, span: Span): Promise<Option[]> {
  if (variable.type !== "query") return ownOptions(variable);
  const { options } = await api.options(place, span, variable.name);
  const all = variable.includeAll ? [{ text: "All", value: ALL }] : [];
  return [...all, ...options];
}

/**
 * Values a dashboard opens with, in the order of its variables: those of the
 * address, else its own, else All, else the first there is.
 */
export async function opening(dashboard: Dashboard, given: Record<string, string[]>, place: Place, span: Span): Promise<Record<string, string[]>> {
  const values: Record<string, string[]> = {};
  for (const variable of variablesOf(dashboard)) {
    const { name, type, includeAll, current } = variable;
    if (type === "datasource" || type === "adhoc") continue;
    const own = asList(current?.value);
    if (given[name]?.length) values[name] = given[name];
    else if (own.length) values[name] = own;
    else if (includeAll) values[name] = [ALL];
    else if (type === "textbox" || type === "constant") values[name] = [String(variable.query ?? "")];
    else {
      const options = await optionsOf(variable, { ...place, variables: values }, span);
      values[name] = options.length ? [options[0]!.value] : [""];
    }
  }
  return values;
}

function textBox(variable: Variable, value: string, changed: (values: string[]) => void): HTMLElement {
  const id = freshId("text");
  return el("div", { class: "choice" },
    el("label", { class: "choice-label", for: id, text: variable.label || variable.name }),
    el("input", { id, type: "text", value, class: "text-variable", onchange: (event: Event) =>
      changed([(event.target as HTMLInputElement).value]) }));
}

export function variableBar(dashboard: Dashboard, place: Place, span: Span, changed: (name: string, values: string[]) => void): HTMLElement {
  const shown = variablesOf(dashboard).filter(({ name, hide, type }) =>
    hide !== 2 && type !== "datasource" && type !== "adhoc" && type !== "constant" && name in place.variables);
  return el("div", { class: "variables", role: "group", "aria-label": "Variables" }, ...shown.map((variable) => {
    const values = place.variables[variable.name]!;
    const use = (next: string[]): void => changed(variable.name, next);
    if (variable.type === "textbox") return textBox(variable, values[0] ?? "", use);
    return choice({
      label: variable.label || variable.name, chosen: values, isMulti: variable.multi === true,
      load: () => optionsOf(variable, place, span), changed: use,
    });
  }));
}
