// What a panel's renderer is given, and what it gives back.

import type { Annotation, Frame, Panel, Place, Span } from "../types";

export interface Context {
  panel: Panel;
  body: HTMLElement;
  frames: Frame[];
  place: Place;
  span: Span;
  annotations: Annotation[];
  /** Goes to an address of this page, or leaves it. */
  go: (url: string) => void;
  /** Looks closer at a part of the span. */
  zoom: (span: Span) => void;
}

/** Ends what a renderer began: charts, observers. */
export type End = () => void;

export type Renderer = (context: Context) => End | void;
