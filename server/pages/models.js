// The models: which is worst and since when, all of them in a table, the worst first.

import { ask } from "./asking.js";
import { age, ago, byId, count, element, horizon, moment, percent, show, watts } from "./dom.js";

const AGES = [["0", "Next sample"], ["60", "1 min old"], ["300", "5 min old"], ["1200", "20 min old"], ["transfer", "Unknown node"]];
const LEAST_PAUSE_MS = 3000;
const RETRY_MS = 5000;

const line = (key) => `${key.node_type} · ${key.source} · ${key.output_type}`;
// A phone shows rows as blocks, which are a table to a screen reader only where that is said.
const cell = (content, kind, label) => element("td", { role: "cell", class: kind, "data-label": label }, ...[content].flat());
const are = (number) => `${count(number)} model${number === 1 ? " is" : "s are"}`;
const since = (model) => moment(model.bad_since / 1000) + (model.at_least ? " or before" : "");

const learned = (model) => age((model.at - model.learning_since) / 1000);

// How many models are bad, and how many have learned too little to say so.
function counted({ total, bad, bad_percent: most, learning, learned_seconds: long }) {
  if (learning === total) return `${total === 1 ? "The model is" : `All ${count(total)} models are`} still learning, and judged after ${age(long)} of readings.`;
  const rest = learning ? ` ${are(learning)} still learning.` : "";
  if (bad) return `${count(bad)} of ${count(total)} models ${bad === 1 ? "is" : "are"} off by ${most} % of the power or more.${rest}`;
  if (learning) return `No model that can be judged is off by ${most} % of the power or more.${rest}`;
  return `All ${count(total)} models are off by less than ${most} % of the power.`;
}

export class Models {
  // open: is called with the model whose versions are to be shown.
  constructor(open) {
    this.open = open;
    this.sort = { column: "wrong", down: true };
    this.asked = 0;
    this.known = undefined;
    this.heads = this.#head();
    byId("models-head").replaceChildren(...this.heads);
    byId("models-search").addEventListener("input", () => this.refresh(250, 0));
  }

  // Ask the server again, soon, and not too often; until it has answered, again and again.
  refresh(delay = 0, pause = LEAST_PAUSE_MS) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#ask(), Math.max(delay, this.asked + pause - Date.now()));
  }

  async #ask() {
    const asked = this.asked = Date.now();
    try {
      const known = await ask(`/overview?search=${encodeURIComponent(byId("models-search").value.trim())}`);
      if (asked !== this.asked) return; // another question is under way
      this.known = known;
      this.failure = undefined;
    } catch (error) {
      this.failure = error.message;
      this.refresh(RETRY_MS);
    }
    this.draw();
  }

  draw() {
    const known = this.known;
    byId("models-none").textContent = this.failure ? `The models cannot be shown, this is tried again: ${this.failure}`
      : !known ? "The models are being read."
      : known.total ? "No model has such a name." : "No model is served yet.";
    show("models-none", this.failure || !known?.models.length);
    show("models-table", known?.models.length);
    show("models-find", known && (known.total > known.models.length || byId("models-search").value));
    if (!known) return;
    show("models-more", known.found > known.models.length);
    byId("models-more").textContent = `The ${known.models.length} worst of ${count(known.found)} are shown.`;
    if (!byId("models-search").value) this.#worst(known);
    this.#rows(known);
  }

  #worst(known) {
    const { models, drifts } = known;
    const worst = models.find((model) => model.wrong);
    show("worst", worst);
    if (!worst) return;
    const learning = worst.learning_since;
    const { component, watts: off, percent: share, horizon: old } = worst.wrong;
    byId("worst").dataset.bad = worst.bad;
    byId("worst").dataset.learning = Boolean(learning);
    byId("worst-count").textContent = counted(known);
    byId("worst-rank").textContent = learning ? "Furthest off so far" : "Worst model now";
    byId("worst-name").textContent = worst.key.feature_group;
    byId("worst-of").textContent = line(worst.key);
    byId("worst-how").replaceChildren(element("b", {}, percent(share)), ` off: ${watts(off)} of ${component}, ${horizon(old)}.`);
    byId("worst-since").textContent = worst.bad
      ? `Bad since ${since(worst)}, for ${worst.at_least ? "at least " : ""}${age(Date.now() / 1000 - worst.bad_since / 1000)}.`
      : learning ? `Still learning, since ${moment(learning / 1000)}, for ${learned(worst)}: too early to call it bad.`
      : "Not bad now.";
    const drift = drifts[worst.slug];
    byId("worst-drift").textContent = drift ? `Last drift ${moment(drift.at)} (${ago(drift.at)}).` : "";
    byId("worst-open").onclick = () => this.open(worst);
    byId("worst-open").setAttribute("aria-label", `Its versions, those of ${worst.key.feature_group}, ${line(worst.key)}`);
  }

  #rows({ models, drifts }) {
    const value = { model: (m) => m.slug, wrong: (m) => (m.wrong?.percent ?? -1) - (m.learning_since ? 1e9 : 0), since: (m) => -(m.bad_since ?? Infinity), samples: (m) => m.samples, at: (m) => m.at,
      ...Object.fromEntries(AGES.map(([key]) => [key, (m) => this.#errors(m)[key]?.mape ?? -1])) }[this.sort.column];
    const order = (a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0) * (this.sort.down ? -1 : 1);
    for (const head of this.heads) {
      if (head.dataset.key === this.sort.column) head.setAttribute("aria-sort", this.sort.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    // With what is focused replaced, a keyboard would lose its place.
    const focused = document.activeElement?.dataset?.slug;
    byId("models").replaceChildren(...[...models].sort(order).map((model) => this.#row(model, drifts[model.slug])));
    if (focused) byId("models").querySelector(`button[data-slug="${CSS.escape(focused)}"]`)?.focus();
  }

  #row(model, drift) {
    const errors = this.#errors(model);
    const versions = `${model.versions} version${model.versions === 1 ? "" : "s"}`;
    const button = element("button", { type: "button", "data-slug": model.slug, "aria-label": `${versions} of ${model.key.feature_group}, ${line(model.key)}` }, versions);
    button.addEventListener("click", () => this.open(model));
    const { wrong } = model;
    return element("tr", { role: "row" },
      element("th", { scope: "row", role: "rowheader" }, element("span", { class: "name" }, model.key.feature_group), element("span", { class: "soft" }, line(model.key))),
      cell(wrong ? [element("b", { class: model.bad ? "bad" : model.learning_since ? "soft" : "good" }, percent(wrong.percent)), element("span", { class: "soft" }, `${watts(wrong.watts)} of ${wrong.component}`)] : "–", "number", "Error now"),
      cell(model.bad ? [since(model), element("span", { class: "soft" }, ago(model.bad_since / 1000))] : "–", "", "Bad since"),
      ...AGES.map(([key]) => this.#error(errors[key])),
      cell(model.key.imported ? "–" : count(model.samples), "number wide"),
      model.key.imported ? cell(["imported", element("span", { class: "soft" }, model.key.imported)], "wide") : cell(ago(model.at / 1000), "number wide"),
      cell(this.#state(model, drift), "state", "State"),
      cell(button));
  }

  #state(model, drift) {
    const words = [];
    if (model.learning_since) words.push(element("span", { class: "soft" }, `learning for ${learned(model)}`));
    if (model.state === "pinned") words.push(element("span", { class: "mark" }, "pinned"));
    if (model.state === "held") words.push(element("span", { class: "mark" }, `new ones held back for ${age(Date.now() / 1000 - model.held_since / 1000)}`));
    if (drift) words.push(element("span", { class: "mark drift" }, `${drift.count === 1 ? "drift" : `${count(drift.count)} drifts, last`} ${moment(drift.at)}`));
    if (model.rollbacks) words.push(element("span", { class: "soft" }, `rolled back ${count(model.rollbacks)}×`));
    return words.length ? words : "–";
  }

  #errors(model) {
    return model.errors[model.wrong?.component ?? Object.keys(model.errors)[0]] ?? {};
  }

  #error(errors) {
    if (!errors || errors.mae === null || errors.mae === undefined) return cell("–", "number wide");
    return cell([watts(errors.mae), element("span", { class: "soft" }, percent(errors.mape))], "number wide");
  }

  #head() {
    const columns = [["model", "Model"], ["wrong", "Error now", "number"], ["since", "Bad since"], ...AGES.map(([key, title]) => [key, title, "number wide"]),
      ["samples", "Samples", "number wide"], ["at", "Learned until", "number wide"], [null, "State"], [null, "Versions"]];
    return columns.map(([key, title, kind]) => {
      if (!key) return element("th", { scope: "col", role: "columnheader" }, title);
      const button = element("button", { type: "button" }, title);
      button.addEventListener("click", () => {
        this.sort = { column: key, down: this.sort.column === key ? !this.sort.down : key !== "model" };
        if (this.known) this.#rows(this.known);
      });
      return element("th", { scope: "col", role: "columnheader", "data-key": key, class: kind }, button);
    });
  }
}
