// Numbers as people read them: the unit ids of Grafana that the dashboards use.

type Format = (value: number, decimals?: number | null) => string;

const MINUS = "−";

/** About three digits that mean something: 1234.5 → 1235, 12.345 → 12.3, 0.01234 → 0.0123. */
function plain(value: number, decimals?: number | null): string {
  if (!Number.isFinite(value)) return value > 0 ? "∞" : Number.isNaN(value) ? "NaN" : `${MINUS}∞`;
  const size = Math.abs(value);
  const digits =
    decimals ??
    (size === 0 || Number.isInteger(value) ? 0 : Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(size)))));
  let text = size.toFixed(digits);
  if (decimals === undefined || decimals === null) {
    if (text.includes(".")) text = text.replace(/\.?0+$/, "");
  }
  return value < 0 && Number(text) !== 0 ? MINUS + text : text;
}

/** Steps of a factor each with a name, as kB, MB; below one of the first there is no smaller. */
function scaled(factor: number, names: string[], joint: string, per = ""): Format {
  return (value, decimals) => {
    let step = 0;
    let shown = value;
    while (Math.abs(shown) >= factor && step < names.length - 1) {
      shown /= factor;
      step += 1;
    }
    const unit = names[step] + per;
    return unit ? plain(shown, decimals) + joint + unit : plain(shown, decimals);
  };
}

function suffixed(unit: string, joint = " "): Format {
  return (value, decimals) => plain(value, decimals) + joint + unit;
}

const COUNTS = ["", "K", "M", "B", "T"];
const SI_BYTES = ["B", "kB", "MB", "GB", "TB", "PB"];
const IEC_BYTES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const SI_BITS = ["b", "kb", "Mb", "Gb", "Tb"];

function counted(per: string): Format {
  const scale = scaled(1000, COUNTS, "");
  return (value, decimals) => `${scale(value, decimals)} ${per}`;
}

const SECONDS: [number, string][] = [
  [86400, "day"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
  [1e-3, "ms"],
  [1e-6, "µs"],
  [1e-9, "ns"],
];

function duration(secondsOfOne: number): Format {
  return (value, decimals) => {
    if (value === 0) return secondsOfOne === 1e-3 ? "0 ms" : "0 s";
    const seconds = value * secondsOfOne;
    const [size, name] = SECONDS.find(([one]) => Math.abs(seconds) >= one) ?? SECONDS[6]!;
    const shown = seconds / size;
    const plural = name === "day" && Math.abs(shown) !== 1 ? "days" : name;
    return `${plain(shown, decimals)} ${plural}`;
  };
}

const UNITS: Record<string, Format> = {
  none: plain,
  short: scaled(1000, ["", "K", "Mil", "Bil", "Tri"], " "),
  sishort: scaled(1000, ["", "k", "M", "G", "T"], ""),
  locale: (value) => value.toLocaleString("en", { maximumFractionDigits: 3 }),
  percent: suffixed("%", ""),
  percentunit: (value, decimals) => `${plain(value * 100, decimals)}%`,
  bytes: scaled(1024, IEC_BYTES, " "),
  decbytes: scaled(1000, SI_BYTES, " "),
  bits: scaled(1024, ["b", "Kib", "Mib", "Gib", "Tib"], " "),
  decbits: scaled(1000, SI_BITS, " "),
  Bps: scaled(1000, SI_BYTES, " ", "/s"),
  binBps: scaled(1024, IEC_BYTES, " ", "/s"),
  bps: scaled(1000, SI_BITS, " ", "/s"),
  pps: counted("p/s"),
  reqps: counted("req/s"),
  cps: counted("c/s"),
  ops: counted("ops/s"),
  wps: counted("wr/s"),
  rowsps: counted("rows/s"),
  ns: duration(1e-9),
  µs: duration(1e-6),
  ms: duration(1e-3),
  s: duration(1),
  m: duration(60),
  h: duration(3600),
  d: duration(86400),
  dtdurations: duration(1),
  bool: (value) => (value ? "True" : "False"),
  bool_yes_no: (value) => (value ? "Yes" : "No"),
  bool_on_off: (value) => (value ? "On" : "Off"),
  dateTimeAsIso: (value) => clock(value),
  dateTimeAsLocal: (value) => clock(value),
  dateTimeFromNow: (value) => ago(value, Date.now()),
};

/** A number with its unit; an id we do not know is written after it, as Grafana does. */
export function format(value: number, unit?: string, decimals?: number | null): string {
  if (!unit) return plain(value, decimals);
  const known = UNITS[unit];
  if (known) return known(value, decimals);
  const [kind, ...rest] = unit.split(":");
  if (rest.length && kind === "prefix") return rest.join(":") + plain(value, decimals);
  if (rest.length && kind === "suffix") return `${plain(value, decimals)} ${rest.join(":")}`;
  if (rest.length && kind === "si") return scaled(1000, ["", "k", "M", "G", "T"], " ", rest.join(":"))(value, decimals);
  return `${plain(value, decimals)} ${unit}`;
}

const two = (number: number): string => String(number).padStart(2, "0");

/** Local time, `2026-11-24 03:02:50`; a time of day alone where `withDay` is false. */
export function clock(milliseconds: number, withDay = true): string {
  const at = new Date(milliseconds);
  if (Number.isNaN(at.getTime())) return "unknown";
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return withDay ? `${day} ${time}` : time;
}

export function ago(then: number, now: number): string {
  const text = duration(1e-3)(Math.abs(now - then), 0);
  return then <= now ? `${text} ago` : `in ${text}`;
}
