// The panel types of the dashboards, each with what draws it.

import { barchart } from "./barchart";
import { bargauge } from "./bargauge";
import type { Renderer } from "./context";
import { geomap } from "./geomap";
import { heatmap } from "./heatmap";
import { nodeGraph } from "./nodegraph";
import { stat } from "./stat";
import { stateTimeline } from "./statetimeline";
import { table } from "./table";
import { text } from "./text";
import { timeseries } from "./timeseries";

export const PANELS: Record<string, Renderer> = {
  barchart,
  bargauge,
  gauge: stat,
  geomap,
  heatmap,
  nodeGraph,
  stat,
  "state-timeline": stateTimeline,
  "status-history": stateTimeline,
  table,
  text,
  timeseries,
};
