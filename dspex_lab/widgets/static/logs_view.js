/**
 * The last words of the host and its workers: a choice of files, and the end of the chosen one. Knows the DOM and texts
 * by path.
 */

import { element, setText } from "./elements.js";

/** What tells a path from the others: its last two parts. @param {string} path */
export const logName = (path) => path.split("/").slice(-2).join("/");

export class LogsView {
  /** @type {Record<string, string>} */
  texts = {};

  /** @param {() => Promise<any>} ask gives texts by path, or has them set @param {AbortSignal} signal */
  constructor(ask, signal) {
    this.ask = ask;
    this.node = /** @type {HTMLDetailsElement} */ (element("details", "logs"));
    this.node.append(element("summary", "", "Logs"));
    const line = this.node.appendChild(element("div", "logs-line"));
    this.choice = /** @type {HTMLSelectElement} */ (line.appendChild(element("select", "input logs-choice")));
    this.choice.setAttribute("aria-label", "Log file");
    this.again = /** @type {HTMLButtonElement} */ (line.appendChild(element("button", "button", "Refresh")));
    this.again.type = "button";
    this.box = this.node.appendChild(element("pre", "logs-text"));
    this.box.tabIndex = 0;
    this.box.setAttribute("role", "region");
    this.box.setAttribute("aria-label", "Log");
    this.choice.addEventListener("change", () => this.show(), { signal });
    this.again.addEventListener("click", () => this.refresh(), { signal });
    this.node.addEventListener("toggle", () => this.node.open && this.refresh(), { signal });
  }

  /** Show the log of a worker. @param {string} worker */
  open(worker) {
    this.wanted = worker;
    if (this.node.open) this.refresh();
    else this.node.open = true;
  }

  async refresh() {
    this.again.disabled = true;
    try {
      const texts = await this.ask();
      if (texts && typeof texts === "object") this.set(texts);
    } catch (error) {
      setText(this.box, /** @type {Error} */ (error).message);
    } finally {
      this.again.disabled = false;
    }
  }

  /** @param {Record<string, string>} texts by path */
  set(texts) {
    this.texts = texts;
    const paths = Object.keys(texts);
    const chosen = this.wanted ? (paths.find((path) => path.includes(this.wanted ?? "")) ?? "") : this.choice.value;
    this.choice.replaceChildren(...paths.map((path) => new Option(logName(path), path)));
    this.choice.value = paths.includes(chosen) ? chosen : (paths[0] ?? "");
    if (this.wanted) this.node.scrollIntoView({ block: "nearest" });
    this.wanted = undefined;
    this.show();
  }

  show() {
    const text = this.texts[this.choice.value];
    setText(this.box, text === undefined ? "There is no log yet." : text.trimEnd() || "(empty)");
    this.box.scrollTop = this.box.scrollHeight;
  }
}
