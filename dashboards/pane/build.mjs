// Builds dist/: what `crosspane serve` hands out, checked in, so that no Node is needed to run it.

import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { build } from "esbuild";
import { feature } from "topojson-client";

const OUT = "dist";
/** Packages whose code or data is in dist/, each under its licence. */
const SHIPPED = ["echarts", "zrender", "tslib", "@dagrejs/dagre", "@dagrejs/graphlib", "world-atlas"];

/** A ring's part between two meridians, by Sutherland and Hodgman. */
function between(ring, west, east) {
  const cut = (points, isIn, at) => points.flatMap((here, index) => {
    const before = points.at(index - 1);
    const cross = () => [at, before[1] + ((at - before[0]) / (here[0] - before[0])) * (here[1] - before[1])];
    if (isIn(here)) return isIn(before) ? [here] : [cross(), here];
    return isIn(before) ? [cross()] : [];
  });
  return cut(cut(ring, ([lon]) => lon >= west, west), ([lon]) => lon <= east, east);
}

/** A ring that crosses the 180th meridian becomes two: the atlas has it in one, a flat map cannot. */
function parted(ring) {
  const whole = [];
  for (const [lon, lat] of ring.slice(0, -1)) {
    const before = whole.at(-1)?.[0] ?? lon;
    whole.push([lon + Math.round((before - lon) / 360) * 360, lat]);
  }
  return [0, 360, -360]
    .map((turn) => between(whole.map(([lon, lat]) => [lon + turn, lat]), -180, 180))
    .filter((part) => part.length > 2)
    .map((part) => [...part, part[0]]);
}

/** Countries as GeoJSON, to a hundredth of a degree, without Antarctica. */
async function world() {
  const atlas = JSON.parse(await readFile("node_modules/world-atlas/countries-110m.json", "utf8"));
  const { features } = feature(atlas, atlas.objects.countries);
  const round = (one) => (Array.isArray(one) ? one.map(round) : Math.round(one * 100) / 100);
  return {
    type: "FeatureCollection",
    features: features
      .filter(({ properties }) => properties.name !== "Antarctica")
      .map(({ geometry: { type, coordinates }, properties: { name } }) =>
        ({
          type: "Feature",
          properties: { name },
          geometry: {
            type: "MultiPolygon",
            coordinates: (type === "Polygon" ? [coordinates] : coordinates)
              .flatMap((rings) => (rings.length === 1 ? parted(rings[0]).map((ring) => round([ring])) : [round(rings)])),
          },
        })),
  };
}

async function licences() {
  const texts = [];
  for (const name of SHIPPED) {
    const folder = `node_modules/${name}`;
    const { version, license } = JSON.parse(await readFile(`${folder}/package.json`, "utf8"));
    const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|notice|copyright)(?!s)/i.test(file)).sort();
    const words = await Promise.all(files.map((file) => readFile(`${folder}/${file}`, "utf8")));
    texts.push(`${name} ${version} (${license})\n\n${words.map((one) => one.trim()).join("\n\n")}\n`);
  }
  return texts.join(`\n${"=".repeat(78)}\n\n`);
}

const shared = { bundle: true, format: "esm", target: "es2022", logLevel: "warning", charset: "utf8" };

if (process.argv.includes("--test")) {
  const tests = (await readdir("test")).filter((file) => file.endsWith(".test.ts"));
  await build({
    ...shared, entryPoints: tests.map((file) => `test/${file}`), outdir: "test/built", platform: "node", outExtension: { ".js": ".mjs" },
  });
} else {
  await rm(OUT, { recursive: true, force: true });
  await mkdir(OUT);
  await build({ ...shared, entryPoints: { pane: "src/main.ts" }, outdir: OUT, minify: true, legalComments: "none" });
  await build({ entryPoints: { pane: "src/pane.css" }, outdir: OUT, bundle: true, minify: true, logLevel: "warning" });
  await cp("src/index.html", `${OUT}/index.html`);
  await cp("src/icon.svg", `${OUT}/icon.svg`);
  await writeFile(`${OUT}/world.json`, JSON.stringify(await world()));
  await writeFile(`${OUT}/LICENSES.txt`, await licences());
}
