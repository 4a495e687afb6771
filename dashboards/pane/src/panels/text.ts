// Words for people: the little of Markdown that boards use, built as elements.

import { el } from "../dom";
import { fillText, isSafe } from "../links";
import type { Context, Renderer } from "./context";

const INLINE = /\*\*([^*]+)\*\*|`([^`]+)`|\[([^\]]+)\]\(([^)\s]+)\)|\*([^*]+)\*/g;

function inline(text: string, go: Context["go"]): (Node | string)[] {
  const made: (Node | string)[] = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    made.push(text.slice(end, found.index));
    const [whole, bold, code, name, url, italic] = found;
    if (bold) made.push(el("strong", { text: bold }));
    else if (code) made.push(el("code", { text: code }));
    else if (italic) made.push(el("em", { text: italic }));
    else if (url && isSafe(url)) {
      made.push(el("a", { href: url, text: name!, onclick: (event: MouseEvent) => {
        event.preventDefault();
        go(url);
      } }));
    } else made.push(whole);
    end = found.index + whole.length;
  }
  made.push(text.slice(end));
  return made;
}

/** Headings, lists and paragraphs. */
export function markdown(content: string, go: Context["go"]): HTMLElement {
  const root = el("div", { class: "words" });
  for (const block of content.trim().split(/\n\s*\n/)) {
    const lines = block.split("\n");
    const heading = /^(#{1,4})\s+(.*)/.exec(lines[0]!);
    if (heading) {
      root.append(el("h3", {}, ...inline(heading[2]!, go)));
      lines.shift();
    }
    if (lines.length && lines.every((line) => /^\s*([-*]|\d+\.)\s/.test(line) || /^\s{2,}/.test(line))) {
      const list = el(/^\s*\d/.test(lines[0]!) ? "ol" : "ul");
      for (const line of lines) {
        const item = /^\s*(?:[-*]|\d+\.)\s+(.*)/.exec(line);
        if (item) list.append(el("li", {}, ...inline(item[1]!, go)));
        else list.lastElementChild?.append(" ", ...inline(line.trim(), go));
      }
      root.append(list);
    } else if (lines.length) root.append(el("p", {}, ...inline(lines.join(" "), go)));
  }
  return root;
}

export const text: Renderer = ({ panel, body, place, go }) => {
  body.append(markdown(fillText(String(panel.options?.content ?? ""), place), go));
};
