// The sources and the learner that run beside the server.

import { age, ago, byId, count, element, show } from "./dom.js";

const cell = (content, kind) => element("td", kind ? { class: kind } : {}, content);

export function drawSources(sources) {
  byId("sources-none").textContent = sources === null ? "This server runs alone: no sources run beside it." : "No source is running.";
  show("sources-none", !sources?.length);
  show("sources-table", sources?.length);
  byId("sources").replaceChildren(...(sources ?? []).map((source) => element("tr", {},
    element("th", { scope: "row" }, source.name),
    cell(`${source.up ? "up" : "down"} for ${age(Date.now() / 1000 - source.since)}`, source.up ? "up" : "down"),
    cell(count(source.records), "number"), cell(count(source.errors), "number"), cell(source.last_error, "wrap"))));
}

const tile = (name, value, more = "") => element("div", {}, element("dt", {}, name), element("dd", {}, value, ...(more ? [element("small", {}, more)] : [])));
const sum = (counts) => Object.values(counts).reduce((total, number) => total + number, 0);
const parts = (counts) => Object.entries(counts).filter(([, number]) => number).map(([name, number]) => `${count(number)} ${name}`).join(", ");

export function drawLearner(learner) {
  byId("learner-none").textContent = "This server runs alone: no learner runs beside it.";
  show("learner-none", learner === null);
  show("learner", learner !== null);
  if (learner === null) return;
  const { checkpoint } = learner;
  byId("learner").replaceChildren(
    tile("Records read", count(learner.records)),
    tile("Samples learned", count(learner.samples)),
    tile("Not yet read", count(learner.lag), `in ${learner.partitions} partitions`),
    tile("Dropped", count(sum(learner.dropped)), parts(learner.dropped)),
    tile("Dead letters", count(sum(learner.dead_letters)), parts(learner.dead_letters)),
    checkpoint
      ? tile("Checkpoint", ago(checkpoint.at), `${(checkpoint.size_bytes / 1024).toFixed(0)} KiB in ${(checkpoint.duration_seconds * 1000).toFixed(0)} ms`)
      : tile("Checkpoint", "none yet"));
}
