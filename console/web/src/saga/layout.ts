// Where the boxes and lines of a graph are.
import dagre from "@dagrejs/dagre";
import type { Definition, Edge } from "../api/schema";

export interface Point {
  x: number;
  y: number;
}
export interface Layout {
  width: number;
  height: number;
  boxes: Map<string, Point>;
  lines: { from: string; to: string; points: Point[] }[];
}

export const box = { width: 180, height: 54 };

/** follows is what each step waits for. Where it only reads a result that was there already, no line is drawn: it would say nothing about the order. */
export const follows = (definition: Definition): Edge[] => definition.steps.flatMap((step) => step.after.map((from) => ({ from, to: step.name, data: step.reads.includes(from) })));

/** layout puts the steps from top to bottom, each below all that it follows. */
export function layout(steps: string[], edges: { from: string; to: string }[]): Layout {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "TB", nodesep: 28, ranksep: 40, marginx: 26, marginy: 6 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const step of steps) graph.setNode(step, { ...box });
  for (const { from, to } of edges) graph.setEdge(from, to);
  dagre.layout(graph);
  const size = graph.graph();
  return {
    width: Math.ceil(size.width ?? 0),
    height: Math.ceil(size.height ?? 0),
    boxes: new Map(steps.map((step) => [step, graph.node(step) as Point])),
    lines: edges.map(({ from, to }) => ({ from, to, points: (graph.edge(from, to) as { points: Point[] }).points })),
  };
}

/** path draws a line through points, rounded in between, moved sideways. */
export function path(points: Point[], aside = 0): string {
  const [first, ...rest] = points;
  if (first === undefined) return "";
  let d = `M${first.x + aside},${first.y}`;
  rest.forEach((p, i) => {
    const next = rest[i + 1];
    d += next === undefined ? `L${p.x + aside},${p.y}` : `Q${p.x + aside},${p.y} ${(p.x + next.x) / 2 + aside},${(p.y + next.y) / 2}`;
  });
  return d;
}
