// One card: a component's measured and estimated watts as moving lines, and as a table.

import { clock, element, watts } from "./dom.js";
import { Lines } from "./lines.js";

const SPAN_SECONDS = 600;
const LEAST_SPAN_SECONDS = 60;
const ROWS = 30;

export class PowerCard {
  // drifts: () => [{ at, key }] of the models that this node's power may be estimated by.
  constructor(component, source, drifts) {
    this.points = [];
    this.name = `${component}, ${source}`;
    this.drifts = () => drifts().filter((drift) => drift.key.source === source && drift.at >= this.#span()[0]);
    this.measured = element("b");
    this.estimated = element("b");
    this.error = element("b");
    this.when = element("span", {}, "measured");
    this.hovered = null;
    this.mean = null;
    this.rows = element("tbody");
    this.lines = new Lines(
      [{ name: "measured", colour: "--measured" }, { name: "estimated", colour: "--estimated", dash: [6, 4] }],
      "W", () => this.#span(),
      { times: () => this.drifts().map((drift) => drift.at), hover: (place) => { this.hovered = place; this.#figures(); }, sync: "power" },
    );
    this.details = element("details", {}, element("summary", {}, "Readings as a table"), this.#table());
    this.details.addEventListener("toggle", () => this.#tabulate());
    this.card = element("figure", { class: "card" },
      element("figcaption", {}, element("h3", {}, component), element("span", { class: "soft" }, source)),
      element("div", { class: "figures", title: "Now, and the mean absolute error over the time shown" },
        element("div", {}, this.measured, this.when),
        element("div", {}, this.estimated, element("span", {}, "estimated")),
        element("div", {}, this.error, element("span", {}, "mean error"))),
      this.lines.box, this.details);
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
    const errors = this.points.filter((p) => p.measured !== null && p.estimated !== null).map((p) => Math.abs(p.measured - p.estimated));
    this.mean = errors.length ? errors.reduce((sum, error) => sum + error, 0) / errors.length : null;
    this.#figures();
    this.lines.set([this.points.map((p) => p.at), this.points.map((p) => p.measured), this.points.map((p) => p.estimated)]);
    this.lines.describe(this.#words(last));
    this.#tabulate();
  }

  // Of now, or of the moment that the pointer is at.
  #figures() {
    const then = this.hovered === null ? undefined : this.points[this.hovered];
    const { measured, estimated } = then ?? this.points.at(-1);
    this.measured.textContent = watts(measured);
    this.estimated.textContent = watts(estimated);
    this.error.textContent = watts(this.mean);
    this.when.textContent = then ? `at ${clock(then.at)}` : "measured";
  }

  #words(last) {
    const values = this.points.flatMap((p) => [p.measured, p.estimated]).filter((value) => value !== null);
    const [from, to] = this.#span();
    const drifts = this.drifts().map((drift) => `; drift of ${drift.key.feature_group} at ${clock(drift.at)}`).join("");
    return `${this.name}: last ${Math.round((to - from) / 60)} minutes, between ${watts(Math.min(...values))} and ${watts(Math.max(...values))}; ` +
      `now measured ${watts(last.measured)}, estimated ${watts(last.estimated)}, mean error ${watts(this.mean)}${drifts}`;
  }

  #span() {
    if (!this.points.length) return [0, 1];
    const last = this.points.at(-1).at;
    const span = Math.min(SPAN_SECONDS, Math.max(LEAST_SPAN_SECONDS, last - this.points[0].at));
    return [last - span, last];
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
