// Colours: Grafana's names, and the page's own for axes and text, light and dark.

const HUES: Record<string, [string, string, string, string, string]> = {
  //        super-light  light      (plain)    semi-dark  dark
  red: ["#ffa6b0", "#ff7383", "#f2495c", "#e02f44", "#c4162a"],
  orange: ["#ffcb7d", "#ffb357", "#ff9830", "#ff780a", "#fa6400"],
  yellow: ["#fff899", "#ffee52", "#fade2a", "#f2cc0c", "#e0b400"],
  green: ["#c8f2c2", "#96d98d", "#73bf69", "#56a64b", "#37872d"],
  blue: ["#c0d8ff", "#8ab8ff", "#5794f2", "#3274d9", "#1f60c4"],
  purple: ["#deb6f2", "#ca95e5", "#b877d9", "#a352cc", "#8f3bb8"],
};
const SHADES = ["super-light-", "light-", "", "semi-dark-", "dark-"];

const NAMED: Record<string, string> = { transparent: "transparent", white: "#ffffff", black: "#000000" };
for (const [hue, shades] of Object.entries(HUES)) {
  shades.forEach((color, at) => (NAMED[`${SHADES[at]}${hue}`] = color));
}

/** Series get these in their order: told apart by eyes that see fewer hues, too. */
export const SERIES = [
  "#4e7fe0", "#e08a2e", "#3ba08a", "#c4528f", "#8a6fd1",
  "#8a9a3b", "#d1594a", "#4aa6c9", "#b08a5a", "#7a8599",
];

/** What the page itself is drawn in: custom properties of style.css, of the theme that is on. */
export function ink(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** A colour as CSS reads it, from a name of Grafana's, `text`, or what CSS reads already. */
export function css(color: string | undefined): string {
  if (!color) return ink("muted");
  if (color === "text") return ink("muted"); // a state that is none: it must not outshine those that are
  if (color === "green" || color === "red" || color === "yellow" || color === "orange") {
    return ink(color) || NAMED[color]!;
  }
  return NAMED[color] ?? color;
}

/** Red, green and blue, 0 to 255, of any colour CSS reads. */
function channels(color: string): [number, number, number] {
  const hex = /^#([0-9a-f]{6})/i.exec(color)?.[1] ?? "808080";
  return [0, 2, 4].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)) as [number, number, number];
}

/** Black or white: which is read on this. */
export function readableOn(color: string): string {
  const [red, green, blue] = channels(css(color));
  return red * 0.299 + green * 0.587 + blue * 0.114 > 150 ? "#14171c" : "#ffffff";
}

export function faded(color: string, alpha: number): string {
  const [red, green, blue] = channels(css(color));
  return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}

/** The colour between two, `share` of the way. */
export function between(first: string, second: string, share: number): string {
  const [a, b] = [channels(css(first)), channels(css(second))];
  const mixed = a.map((from, at) => Math.round(from + (b[at]! - from) * share));
  return `#${mixed.map((one) => one.toString(16).padStart(2, "0")).join("")}`;
}
