// Small drawings, as inline SVG.

const SVG = "http://www.w3.org/2000/svg";

export function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const SPAN = 3600;
const WIDTH = 132;
const HEIGHT = 30;

// Nodes over the last hour as a stepped line. `points` are [second, nodes], the oldest first.
export function sparkline(points, most, now) {
  const from = now - SPAN;
  const top = Math.max(1, most ?? 0, ...points.map(([, nodes]) => nodes));
  const x = (at) => round(Math.max(0, (at - from) / SPAN) * WIDTH);
  const y = (nodes) => round(HEIGHT - 2 - (nodes / top) * (HEIGHT - 4));
  let line = "";
  let last;
  for (const [at, nodes] of points) {
    line += last === undefined ? `M${x(at)} ${y(nodes)}` : `H${x(at)}V${y(nodes)}`;
    last = nodes;
  }
  line += `H${WIDTH}`;
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "spark", preserveAspectRatio: "none", role: "img" });
  picture.setAttribute("aria-label", words(points));
  if (points.length === 0) return picture;
  const area = `${line}V${HEIGHT - 2}H${x(points[0][0])}Z`;
  picture.append(
    svg("path", { d: `M0 ${HEIGHT - 1.5}H${WIDTH}`, class: "base" }),
    svg("path", { d: area, class: "area" }),
    svg("path", { d: line, class: "line" }),
  );
  return picture;
}

function words(points) {
  if (points.length === 0) return "Nodes over the last hour: not known";
  const counts = points.map(([, nodes]) => nodes);
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  const range = least === most ? `${least} all the time` : `from ${least} to ${most}`;
  return `Nodes over the last hour: ${range}, now ${counts.at(-1)}`;
}

// How much is left of something.
export function gauge(left, of) {
  const part = of > 0 ? Math.min(1, left / of) : 0;
  const tone = part < 0.1 ? "low" : part < 0.33 ? "middling" : "plenty";
  const picture = svg("svg", { viewBox: "0 0 100 6", class: `gauge ${tone}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  picture.append(
    svg("rect", { width: 100, height: 6, rx: 3, class: "whole" }),
    svg("rect", { width: round(part * 100), height: 6, rx: 3, class: "part" }),
  );
  return picture;
}

// A shape for each state, so that it isn't told by colour alone.
const SHAPES = {
  ready: ["M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13Z", "M5 8.2l2.1 2.1L11.2 6"],
  working: ["", "M8 2.2a5.8 5.8 0 1 1-5 2.9M8 5v3.2l2 1.3"],
  paused: ["M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13Z", "M6.3 5.6v4.8M9.7 5.6v4.8"],
  differs: ["M2 3.5h12v9h-12Z", "M5 6.7h6M5 9.5h6M9.6 4.8l-3.2 6.4"],
  limited: ["M1.5 8c3.2-6 9.8-6 13 0c-3.2 6-9.8 6-13 0Z", "M4 12.5l8-9"],
  retrying: ["M8 1.8l6.6 12h-13.2Z", "M8 6.2v3.6M8 11.7v.1"],
  approval: ["M8 1.2l6.8 6.8l-6.8 6.8l-6.8-6.8Z", "M8 4.8v3.8M8 10.9v.1"],
  stalled: ["M5.2 1.5h5.6l3.7 3.7v5.6l-3.7 3.7h-5.6l-3.7-3.7v-5.6Z", "M5.7 5.7l4.6 4.6M10.3 5.7l-4.6 4.6"],
};

export function shape(state) {
  const [body, mark] = SHAPES[state] ?? SHAPES.working;
  return svg("svg", { viewBox: "0 0 16 16", class: "shape", "aria-hidden": "true" },
    svg("path", { d: body, class: "body" }), svg("path", { d: mark, class: body ? "mark" : "mark open" }));
}

function round(number) {
  return Math.round(number * 10) / 10;
}
