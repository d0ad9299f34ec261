// Which node is shown: the worst of them to choose from, all of them to be found.

import { ask } from "./asking.js";
import { byId, count, element, percent, show } from "./dom.js";

export class Nodes {
  // chosen: is called with a node's name when another is chosen.
  constructor(chosen) {
    this.known = { total: 0, nodes: [] };
    this.name = "";
    byId("node").addEventListener("change", () => { this.name = byId("node").value; chosen(this.name); });
    byId("node-search").addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.#find(), 250);
    });
  }

  // What type of machine the node is, as far as it is known.
  get type() { return this.known.nodes.find((node) => node.name === this.name)?.node_type; }

  set(news) {
    show("node-choice", news.total > 1);
    show("node-name", news.total < 2); // where there is a choice it says it
    show("node-find", news.total > news.nodes.length);
    byId("node-count").textContent = `of ${count(news.total)}`;
    if (!byId("node-search").value) this.#offer(news);
  }

  showing(name) {
    this.name = name;
    this.#offer(this.known);
  }

  async #find() {
    const search = byId("node-search").value.trim();
    const news = await ask(`/nodes?limit=50&search=${encodeURIComponent(search)}`).catch(() => undefined); // its list stays as it was
    if (news && search === byId("node-search").value.trim()) this.#offer(news);
  }

  #offer(news) {
    this.known = news;
    const choice = byId("node");
    if (document.activeElement === choice) return; // an open list must not change under the hand
    const names = news.nodes.map((node) => [node.name, `${node.name} (${percent(node.error * 100)} off)`]);
    if (this.name && !names.some(([name]) => name === this.name)) names.unshift([this.name, this.name]);
    choice.replaceChildren(...names.map(([value, text]) => element("option", { value }, text)));
    choice.value = this.name;
  }
}
