// What all charts of the page have in common: colours, axes, sizes. The charts are uPlot's.

import { clock, colour, element, minutes } from "./dom.js";

const HEIGHT = 170;
const drawn = new Set();

const axis = (more) => ({
  stroke: () => colour("--soft"),
  grid: { stroke: () => colour("--line"), width: 1 },
  ticks: { show: false },
  font: "11px system-ui, sans-serif",
  ...more,
});

// From zero, unless all is far from it: small changes of a great power are to be seen.
export function range(low, high) {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  const margin = Math.max((high - low) * 0.1, high * 0.02, 0.1);
  return [low < high / 3 ? 0 : Math.max(0, low - margin), high + margin];
}

// Vertical marks at times, above the lines.
function marks(times) {
  return (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--drift");
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.setLineDash([]);
    for (const at of times()) {
      const x = u.valToPos(at, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      const half = 5 * devicePixelRatio;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.beginPath();
      ctx.moveTo(x - half, bbox.top);
      ctx.lineTo(x + half, bbox.top);
      ctx.lineTo(x, bbox.top + 1.6 * half);
      ctx.fill();
    }
    ctx.restore();
  };
}

export class Lines {
  // series: [{ name, colour: "--variable", dash }]; unit: what stands behind a value;
  // span: () => [from, to] in seconds; times: () => the times of marks; hover: is called with the
  // place in the data that the pointer is at, or null.
  constructor(series, unit, span, { times = () => [], hover = () => {}, sync } = {}) {
    this.box = element("div", { class: "chart", role: "img" });
    this.series = series;
    this.data = [[], ...series.map(() => [])];
    this.options = {
      width: 320, height: HEIGHT, legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, ...(sync && { sync: { key: sync } }) },
      scales: { x: { range: span }, y: { range: (_, low, high) => range(low, high) } },
      axes: [
        axis({ space: 70, size: 26, values: (u, ticks) => ticks.map(ticks[1] - ticks[0] < 60 ? clock : minutes) }),
        axis({ size: 52, space: 28, values: (u, ticks) => ticks.map((value) => `${+value.toFixed(2)} ${unit}`) }),
      ],
      series: [{}, ...series.map((one) => ({
        label: one.name, stroke: () => colour(one.colour), width: 1.75, dash: one.dash, points: { show: one.points ?? false, size: 5 }, spanGaps: false,
      }))],
      hooks: { draw: [marks(times)], setCursor: [(u) => hover(u.cursor.idx ?? null)] },
    };
    new ResizeObserver(() => this.#fit()).observe(this.box);
    drawn.add(new WeakRef(this));
  }

  set(data) {
    this.data = data;
    if (this.plot) this.plot.setData(data);
    else this.#fit();
  }

  describe(text) { this.box.setAttribute("aria-label", text); }
  redraw() { this.plot?.redraw(); }

  #fit() {
    const width = Math.floor(this.box.clientWidth);
    if (!width) return;
    if (!this.plot) this.plot = new uPlot({ ...this.options, width }, this.data, this.box);
    else if (this.plot.width !== width) this.plot.setSize({ width, height: HEIGHT });
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const one of drawn) {
    const lines = one.deref();
    if (lines) lines.redraw();
    else drawn.delete(one);
  }
});
