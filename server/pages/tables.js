// The tables of models and sources, and the learner's tiles.

import { element } from "./chart.js";

const HORIZONS = { 0: "next sample", 60: "1 min old", 300: "5 min old", 1200: "20 min old" };
const ERRORS = [...Object.entries(HORIZONS).sort((a, b) => a[0] - b[0]), ["transfer", "unknown machines"]];
const count = (number) => number.toLocaleString();
const text = (name, content, kind) => element(name, { ...(kind && { class: kind }), ...(name === "th" && { scope: "row" }) }, content);
const show = (id, shown) => { document.getElementById(id).hidden = !shown; };

export function age(seconds) {
  if (seconds < 0 || !Number.isFinite(seconds)) return "now";
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.round(seconds)} s`;
}

export class ModelsTable {
  constructor() {
    this.rows = [];
    this.sort = { column: "0", down: true };
    this.body = document.getElementById("models");
    this.choice = document.getElementById("component");
    this.choice.addEventListener("change", () => this.draw());
    const columns = [["machine", "Machine"], ["source", "Source"], ["output", "Output"], ["group", "Features"], ["component", "Component"],
      ["samples", "Samples"], ["at", "Learned until"], ...ERRORS];
    this.heads = columns.map(([key, title], i) => {
      const button = element("button", { type: "button" }, title);
      const head = element("th", { scope: "col", "data-key": key, ...(i > 4 && { class: "number" }) }, button);
      button.addEventListener("click", () => {
        this.sort = { column: key, down: this.sort.column === key ? !this.sort.down : i > 4 };
        this.draw();
      });
      return head;
    });
    document.getElementById("models-head").replaceChildren(...this.heads);
  }

  set(models) {
    this.rows = models.flatMap((model) => model.components.map((component) => ({
      machine: model.key.node_type, source: model.key.source, output: model.key.output_type, group: model.key.feature_group,
      imported: model.key.imported,
      component, samples: model.samples, at: model.at, slug: model.slug, digest: model.digest,
      errors: model.errors[component] ?? {},
    })));
    const components = [...new Set(this.rows.map((row) => row.component))];
    const chosen = this.choice.value;
    this.choice.replaceChildren(element("option", { value: "" }, "all"), ...components.map((one) => element("option", { value: one }, one)));
    this.choice.value = components.includes(chosen) ? chosen : "";
    show("component-choice", components.length > 1);
    show("models-none", !this.rows.length);
    show("models-table", this.rows.length);
    this.draw();
  }

  draw() {
    const { column, down } = this.sort;
    const value = (row) => (ERRORS.some(([key]) => key === column) ? row.errors[column]?.mae ?? -1 : row[column]);
    const shown = this.rows.filter((row) => !this.choice.value || row.component === this.choice.value);
    shown.sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0) * (down ? -1 : 1));
    for (const head of this.heads) {
      if (head.dataset.key === column) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    this.body.replaceChildren(...shown.map((row) => element("tr", {},
      text("th", row.machine), text("td", row.source), text("td", row.output), text("td", row.group), text("td", row.component),
      text("td", row.imported ? "–" : count(row.samples), "number"), this.#learned(row),
      ...ERRORS.map(([key]) => this.#error(row.errors[key])))));
  }

  #learned(row) {
    if (row.imported) return element("td", {}, "imported ", element("span", { class: "soft" }, row.imported));
    return text("td", `${age(Date.now() / 1000 - row.at / 1000)} ago`, "number");
  }

  #error(errors) {
    if (!errors || errors.mae === null || errors.mae === undefined) return text("td", "–", "number");
    const share = errors.mape === null || errors.mape === undefined ? "" : ` ${errors.mape.toFixed(1)} %`;
    return element("td", { class: "number" }, `${errors.mae.toFixed(2)} W`, element("span", { class: "soft" }, share));
  }
}

export function drawSources(sources) {
  const none = document.getElementById("sources-none");
  none.textContent = sources === null ? "This server runs alone: no sources run beside it." : "No source is running.";
  show("sources-none", !sources?.length);
  show("sources-table", sources?.length);
  document.getElementById("sources").replaceChildren(...(sources ?? []).map((source) => element("tr", {},
    text("th", source.name),
    text("td", `${source.up ? "up" : "down"} for ${age(Date.now() / 1000 - source.since)}`, source.up ? "up" : "down"),
    text("td", count(source.records), "number"), text("td", count(source.errors), "number"), text("td", source.last_error, "wrap"))));
}

const tile = (name, value, more = "") => element("div", {}, element("dt", {}, name), element("dd", {}, value, ...(more ? [element("small", {}, more)] : [])));
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const parts = (counts) => Object.entries(counts).filter(([, number]) => number).map(([name, number]) => `${count(number)} ${name}`).join(", ");

export function drawLearner(learner) {
  document.getElementById("learner-none").textContent = "This server runs alone: no learner runs beside it.";
  show("learner-none", learner === null);
  show("learner", learner !== null);
  if (learner === null) return;
  const { checkpoint } = learner;
  const lag = sum(learner.partitions.map((one) => one.lag));
  document.getElementById("learner").replaceChildren(
    tile("Records read", count(learner.records)),
    tile("Samples learned", count(learner.samples)),
    tile("Not yet read", count(lag), `in ${learner.partitions.length} partitions`),
    tile("Dropped", count(sum(Object.values(learner.dropped))), parts(learner.dropped)),
    tile("Dead letters", count(sum(Object.values(learner.dead_letters))), parts(learner.dead_letters)),
    checkpoint
      ? tile("Checkpoint", `${age(Date.now() / 1000 - checkpoint.at)} ago`, `${(checkpoint.size_bytes / 1024).toFixed(0)} KiB in ${(checkpoint.duration_seconds * 1000).toFixed(0)} ms`)
      : tile("Checkpoint", "none yet"));
}
