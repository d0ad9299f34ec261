// One card: a component's measured and estimated watts as moving lines, and as a table.

const SVG = "http://www.w3.org/2000/svg";
const SPAN_SECONDS = 600;
const LEAST_SPAN_SECONDS = 60;
const MARGIN = { left: 42, right: 8, top: 8, bottom: 20 };
const ROWS = 30;

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawn(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

export const watts = (value) => (value === null || value === undefined ? "–" : `${value.toFixed(value < 100 ? 2 : 1)} W`);

const clock = (at) => new Date(at * 1000).toLocaleTimeString();

// A step of 1, 2 or 5 times a power of ten that divides the range into about three.
function step(range) {
  const power = 10 ** Math.floor(Math.log10(range / 3));
  return power * [1, 2, 5, 10].find((factor) => (power * factor * 4) >= range);
}

export class Chart {
  constructor(component, source) {
    this.points = [];
    this.name = `${component}, ${source}`;
    this.svg = drawn("svg", { class: "chart", role: "img" });
    this.measured = element("b");
    this.estimated = element("b");
    this.error = element("b");
    this.rows = element("tbody");
    this.details = element("details", {}, element("summary", {}, "Readings as a table"), this.#table());
    this.details.addEventListener("toggle", () => this.#tabulate());
    this.card = element("figure", { class: "card" },
      element("figcaption", {}, element("h3", {}, component), element("span", { class: "soft" }, source)),
      element("div", { class: "figures", title: "Now, and the mean absolute error over the time shown" },
        element("div", {}, this.measured, element("span", {}, "measured")),
        element("div", {}, this.estimated, element("span", {}, "estimated")),
        element("div", {}, this.error, element("span", {}, "mean error"))),
      this.svg, this.details);
  }

  add(at, measured, estimated) {
    const last = this.points.at(-1);
    if (last && last.at > at) return;
    this.points.push({ at, measured, estimated });
    while (this.points[0].at < at - SPAN_SECONDS) this.points.shift();
  }

  draw() {
    const last = this.points.at(-1);
    if (!last) return;
    this.measured.textContent = watts(last.measured);
    this.estimated.textContent = watts(last.estimated);
    const errors = this.points.filter((p) => p.measured !== null && p.estimated !== null).map((p) => Math.abs(p.measured - p.estimated));
    const mean = errors.length ? errors.reduce((sum, error) => sum + error, 0) / errors.length : null;
    this.error.textContent = watts(mean);
    this.#plot(last, mean);
    this.#tabulate();
  }

  #plot(last, mean) {
    const width = this.svg.clientWidth || 320;
    const height = this.svg.clientHeight || 160;
    const values = this.points.flatMap((p) => [p.measured, p.estimated]).filter((value) => value !== null);
    if (!values.length) return;
    let low = Math.min(...values);
    let high = Math.max(...values);
    if (low < high / 3) low = 0;
    const unit = step(Math.max(high - low, high / 50, 0.1) * 1.1);
    low = Math.max(0, Math.floor(low / unit) * unit);
    high = Math.max(low + unit, Math.ceil(high / unit) * unit);
    const span = Math.min(SPAN_SECONDS, Math.max(LEAST_SPAN_SECONDS, last.at - this.points[0].at));
    const x = (at) => MARGIN.left + (1 - (last.at - at) / span) * (width - MARGIN.left - MARGIN.right);
    const y = (value) => MARGIN.top + ((high - value) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);

    const parts = [];
    for (let value = low; value <= high + unit / 2; value += unit) {
      parts.push(drawn("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }));
      parts.push(drawn("text", { x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, +value.toFixed(3)));
    }
    parts.push(drawn("text", { x: MARGIN.left, y: height - 4 }, clock(last.at - span)));
    parts.push(drawn("text", { x: width - MARGIN.right, y: height - 4, "text-anchor": "end" }, clock(last.at)));
    for (const kind of ["measured", "estimated"]) parts.push(drawn("path", { class: kind, d: this.#path(kind, x, y, last.at - span) }));
    this.svg.replaceChildren(...parts);
    this.svg.setAttribute("aria-label",
      `${this.name}: last ${Math.round(span / 60)} minutes, between ${watts(Math.min(...values))} and ${watts(Math.max(...values))}; ` +
      `now measured ${watts(last.measured)}, estimated ${watts(last.estimated)}, mean error ${watts(mean)}`);
  }

  #path(kind, x, y, from) {
    let path = "";
    let pen = "M";
    for (const point of this.points) {
      if (point.at < from) continue;
      if (point[kind] === null) { pen = "M"; continue; }
      path += `${pen}${x(point.at).toFixed(1)} ${y(point[kind]).toFixed(1)}`;
      pen = "L";
    }
    return path;
  }

  #table() {
    const heads = ["Time", "Measured", "Estimated"].map((text, i) => element("th", i ? { scope: "col", class: "number" } : { scope: "col" }, text));
    return element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": `Readings of ${this.name}` },
      element("table", {}, element("thead", {}, element("tr", {}, ...heads)), this.rows));
  }

  #tabulate() {
    if (!this.details.open) return;
    this.rows.replaceChildren(...this.points.slice(-ROWS).reverse().map((p) => element("tr", {},
      element("th", { scope: "row" }, clock(p.at)),
      element("td", { class: "number" }, watts(p.measured)),
      element("td", { class: "number" }, watts(p.estimated)))));
  }
}
