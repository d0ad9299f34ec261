// The page: listens to /live while it is looked at, and asks again when a model has changed.

import { byId, element, show } from "./dom.js";
import { Models } from "./models.js";
import { Nodes } from "./nodes.js";
import { drawLearner, drawSources } from "./parts.js";
import { PowerCard } from "./power.js";
import { Versions } from "./versions.js";

const RETRY_MS = 10000;
let cards = new Map(); // "component source" -> PowerCard
let status = { sources: undefined, learner: undefined, missing: [] };
let served = 0;
let marked = ""; // the drifts that the charts show
let stream;

const versions = new Versions(() => models.refresh(2500));
const models = new Models((model) => versions.open(model));
const nodes = new Nodes(() => listen());

function state(name, sentence) {
  const pill = byId("state");
  if (pill.textContent !== sentence) pill.textContent = sentence;
  pill.dataset.state = name;
}

// Drifts of the models of this node's type: all, where the type is not known.
function drifts() {
  const type = nodes.type;
  return (status.learner?.drifts ?? []).filter((drift) => !type || drift.key.node_type === type);
}

function power(rows) {
  for (const [node, source, component, at, measured, estimated] of rows) {
    if (!nodes.name) nodes.showing(node);
    if (node !== nodes.name) continue;
    const key = `${source} ${component}`;
    if (!cards.has(key)) cards.set(key, new PowerCard(component, source, drifts));
    cards.get(key).add(at, measured, estimated);
  }
  const shown = [...cards.values()].map((card) => card.card);
  if (shown.length !== byId("charts").childElementCount || shown.some((card) => !card.isConnected)) byId("charts").replaceChildren(...shown);
  for (const card of cards.values()) card.draw();
  show("legend", cards.size);
  show("power-none", !cards.size);
  byId("node-name").textContent = nodes.name;
}

function drawStatus() {
  drawSources(status.sources);
  drawLearner(status.learner);
  byId("power-none").textContent = status.sources === null ? "This server runs alone: it sees no readings." : "Waiting for readings.";
  const marks = drifts().map((drift) => `${drift.slug} ${drift.at}`).join();
  show("legend-drift", marks);
  if (marks !== marked) {
    marked = marks;
    for (const card of cards.values()) card.draw();
  }
  const trouble = [...status.missing, ...(status.store_error && served ? [`the store cannot be read: ${status.store_error}`] : [])];
  byId("missing").replaceChildren(...trouble.map((sentence) => element("li", {}, sentence)));
  show("missing", trouble.length);
  if (status.missing.length) state("bad", "Not ready");
  else state("ready", served === 1 ? "Ready, 1 model" : `Ready, ${served} models`);
}

function listen() {
  stream?.close();
  const opened = stream = new EventSource(nodes.name ? `/live?node=${encodeURIComponent(nodes.name)}` : "/live");
  const on = (name, act) => opened.addEventListener(name, (event) => { if (opened === stream) act(JSON.parse(event.data)); });
  on("snapshot", (rows) => { cards = new Map(); power(rows); });
  on("power", power);
  on("nodes", (news) => nodes.set(news));
  on("status", (news) => { status = news; drawStatus(); });
  on("models", (news) => {
    served = news.models;
    if (status.sources !== undefined) drawStatus();
    models.refresh();
  });
  opened.onerror = () => {
    if (opened !== stream) return;
    state("bad", "Connection lost");
    // A refused stream (too many pages are open) is not tried again by the browser itself.
    if (opened.readyState === EventSource.CLOSED) setTimeout(() => { if (opened === stream) listen(); }, RETRY_MS);
  };
}

// A browser has few connections to one server, and each open page would hold one for its stream:
// the sixth page in the background would keep all of them from asking for anything else.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    stream?.close();
    stream = undefined;
  } else if (!stream) listen();
});

setInterval(() => {
  if (stream && status.sources !== undefined && byId("state").textContent !== "Connection lost") drawStatus();
  models.draw();
}, 5000);
models.draw();
models.refresh();
if (!document.hidden) listen();
