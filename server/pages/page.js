// The page: listens to /live, and asks /models again when a model has changed.

import { Chart, element } from "./chart.js";
import { ModelsTable, drawLearner, drawSources } from "./tables.js";

const byId = (id) => document.getElementById(id);
const show = (id, shown) => { byId(id).hidden = !shown; };
const nodes = new Map(); // node -> Map of "component source" -> Chart
const table = new ModelsTable();
let status = { sources: undefined, learner: undefined, missing: [] };
let models = 0;

function state(name, sentence) {
  const pill = byId("state");
  if (pill.textContent !== sentence) pill.textContent = sentence;
  pill.dataset.state = name;
}

function chartOf(node, source, component) {
  if (!nodes.has(node)) {
    nodes.set(node, new Map());
    byId("node").append(element("option", { value: node }, node));
  }
  const charts = nodes.get(node);
  const key = `${source} ${component}`;
  if (!charts.has(key)) charts.set(key, new Chart(component, source));
  return charts.get(key);
}

function power(rows) {
  for (const [node, source, component, at, measured, estimated] of rows) chartOf(node, source, component).add(at, measured, estimated);
  drawPower();
}

function drawPower() {
  const charts = [...(nodes.get(byId("node").value)?.values() ?? [])];
  const cards = charts.map((chart) => chart.card);
  if (cards.length !== byId("charts").childElementCount || cards.some((card) => !card.isConnected)) byId("charts").replaceChildren(...cards);
  for (const chart of charts) chart.draw();
  show("node-choice", nodes.size > 1);
  show("legend", charts.length);
  show("power-none", !charts.length);
}

function drawStatus() {
  drawSources(status.sources);
  drawLearner(status.learner);
  byId("power-none").textContent = status.sources === null ? "This server runs alone: it sees no readings." : "Waiting for readings.";
  const trouble = [...status.missing, ...(status.store_error && models ? [`the store cannot be read: ${status.store_error}`] : [])];
  byId("missing").replaceChildren(...trouble.map((sentence) => element("li", {}, sentence)));
  show("missing", trouble.length);
  show("left-out", status.left_out);
  if (status.missing.length) state("bad", "Not ready");
  else state("ready", models === 1 ? "Ready, 1 model" : `Ready, ${models} models`);
}

async function fetchModels() {
  const answer = await fetch("/models");
  if (answer.ok) table.set(await answer.json());
}

function listen() {
  const stream = new EventSource("/live");
  const on = (name, act) => stream.addEventListener(name, (event) => act(JSON.parse(event.data)));
  on("snapshot", (rows) => {
    nodes.clear();
    const chosen = byId("node").value;
    byId("node").replaceChildren();
    power(rows);
    if (nodes.has(chosen)) byId("node").value = chosen;
    drawPower();
  });
  on("power", power);
  on("status", (news) => { status = news; drawStatus(); });
  on("models", (news) => {
    models = news.models;
    if (status.sources !== undefined) drawStatus();
    fetchModels().catch(() => {}); // the stream's own error says that the server is away
  });
  stream.onerror = () => {
    state("bad", "Connection lost");
    // A refused stream (too many pages are open) is not tried again by the browser itself.
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 10000);
  };
}

byId("node").addEventListener("change", drawPower);
window.addEventListener("resize", drawPower);
setInterval(() => { if (status.sources !== undefined && byId("state").textContent !== "Connection lost") drawStatus(); table.draw(); }, 5000);
listen();
