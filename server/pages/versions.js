// A model's versions: how wrong each was, which one is current, and how to go back to one.

import { ask, Refusal, setToken } from "./asking.js";
import { ago, byId, count, element, moment, percent, show, watts } from "./dom.js";
import { Lines } from "./lines.js";

const HORIZONS = [["0", "next sample", "--measured"], ["60", "1 min old", "--estimated"], ["300", "5 min old", "--good"], ["1200", "20 min old", "--drift"]];
const short = (digest) => digest.slice(0, 12);
const cell = (content, kind) => element("td", kind ? { class: kind } : {}, ...[content].flat());

export class Versions {
  // changed: is called when another version was made current.
  constructor(changed) {
    this.changed = changed;
    this.lines = new Lines(HORIZONS.map(([, name, colour]) => ({ name, colour, points: true })), "%", (_, low, high) => [low, high > low ? high : low + 1]);
    byId("versions-chart").append(this.lines.box);
    byId("versions-close").addEventListener("click", () => byId("versions").close());
    byId("versions-unpin").addEventListener("click", () => this.#confirm("Take the pin away?",
      "The next version that is no worse than the current one becomes current by itself.", "Take it away", "pin", { method: "DELETE" }));
    byId("confirm-no").addEventListener("click", () => byId("confirm").close());
    byId("confirm-form").addEventListener("submit", (event) => { event.preventDefault(); this.#act(); });
  }

  async open(model) {
    this.slug = model.slug;
    byId("versions-title").textContent = `Versions of ${model.key.feature_group}`;
    byId("versions-of").textContent = `${model.key.node_type} · ${model.key.source} · ${model.key.output_type}`;
    byId("versions-body").replaceChildren();
    byId("versions-said").textContent = "";
    show("versions-unpin", false);
    byId("versions").showModal();
    try {
      this.#draw(await ask(this.#path("versions")));
    } catch (error) {
      byId("versions-said").textContent = `They cannot be shown: ${error.message}`;
    }
  }

  #path(what) { return `/models/${encodeURIComponent(this.slug)}/${what}`; }

  #draw(known) {
    const newest = [...known.versions].reverse();
    const current = newest.find((version) => version.current);
    byId("versions-state").textContent = known.pinned ? `Pinned: ${short(known.current)} stays current, whatever is learned.`
      : known.held_since !== null ? `New versions have been worse than the current one since ${moment(known.held_since / 1000)} and are held back (${count(known.held_back)} so far).`
      : "New versions become current, unless they are worse.";
    show("versions-unpin", known.pinned);
    byId("versions-body").replaceChildren(...newest.map((version) => this.#row(version, current)));
    this.#plot(known.versions, newest[0]);
  }

  #row(version, current) {
    const marks = [version.current && "current", version.held && "held back"].filter(Boolean);
    const name = `version ${short(version.digest)} of ${moment(version.at / 1000)}`;
    const buttons = [];
    if (!version.current) {
      const text = version.at < current.at ? "Roll back" : "Make current";
      buttons.push(this.#button(text, `${text} to ${name}`, () => this.#confirm(`${text} to ${short(version.digest)}?`,
        `The ${name} becomes current, and is pinned: no other version replaces it before the pin is taken away. ` +
        `Its error was ${this.#said(version)}; that of the current one is ${this.#said(current)}.`, text, "rollback", this.#post(version))));
    } else {
      buttons.push(this.#button("Pin", `Pin ${name}`, () => this.#confirm(`Pin ${short(version.digest)}?`,
        `The ${name} stays current, whatever is learned, until the pin is taken away.`, "Pin", "pin", this.#post(version))));
    }
    return element("tr", version.current ? { class: "current" } : {},
      element("th", { scope: "row" }, element("span", { class: "name" }, moment(version.at / 1000)), element("span", { class: "soft" }, ago(version.at / 1000)),
        ...marks.map((mark) => element("span", { class: "mark" }, mark))),
      cell(version.wrong ? [percent(version.wrong.percent), element("span", { class: "soft" }, `${watts(version.wrong.watts)} of ${version.wrong.component}`)] : "–", "number"),
      cell(count(version.samples), "number wide"),
      cell(element("code", {}, short(version.digest)), "wide"),
      cell(buttons));
  }

  #plot(versions, newest) {
    const component = newest.wrong?.component ?? Object.keys(newest.errors)[0];
    const of = (version, key) => version.errors[component]?.[key]?.mape ?? null;
    this.lines.set([versions.map((version) => version.at / 1000), ...HORIZONS.map(([key]) => versions.map((version) => of(version, key)))]);
    byId("versions-legend").replaceChildren(element("span", { class: "plain" }, `Error of ${component} in percent of its power, by the age of the model:`),
      ...HORIZONS.map(([, name], i) => element("span", { class: `h${i}` }, name)));
    this.lines.describe(`Error of ${component} by version: ${HORIZONS.map(([key, name]) => `${name} ${percent(of(newest, key))}`).join(", ")} now`);
  }

  #said(version) { return version.wrong ? `${percent(version.wrong.percent)} of ${version.wrong.component}` : "not known"; }
  #post(version) { return { method: "POST", body: JSON.stringify({ version: version.digest }) }; }

  #button(text, label, act) {
    const made = element("button", { type: "button", "aria-label": label }, text);
    made.addEventListener("click", act);
    return made;
  }

  #confirm(title, text, act, path, request) {
    this.asked = [path, request];
    byId("confirm-title").textContent = title;
    byId("confirm-text").textContent = text;
    byId("confirm-yes").textContent = act;
    byId("confirm-said").textContent = "";
    byId("confirm").showModal();
    byId("confirm-no").focus();
  }

  async #act() {
    byId("confirm-yes").disabled = true;
    setToken(byId("token").value);
    try {
      this.#draw(await ask(this.#path(this.asked[0]), this.asked[1]));
      byId("confirm").close();
      byId("versions-said").textContent = "Done. It is served within seconds.";
      this.changed();
    } catch (error) {
      byId("confirm-said").textContent = `It was not done: ${error.message}`;
      if (error instanceof Refusal && error.status === 401) {
        show("token-field", true);
        byId("token").focus();
      }
    } finally {
      byId("confirm-yes").disabled = false;
    }
  }
}
