/**
 * What is known of one span: its times, what went in and came out, its error, everything else. Text of models and users
 * is only ever set as text.
 *
 * @typedef {import("./trace_rows.js").TraceSpan} TraceSpan
 * @typedef {import("./trace_rows.js").TraceNode} TraceNode
 */

import { cost, element, seconds, setText } from "./elements.js";

/** What is shown first, and by which name. @type {[attribute: string, title: string][]} */
const VALUES = [
  ["dspex.inputs", "Inputs"],
  ["gen_ai.system_instructions", "Instructions"],
  ["gen_ai.input.messages", "Messages in"],
  ["gen_ai.output.messages", "Messages out"],
  ["dspex.outputs", "Outputs"],
];
/** @type {[attribute: string, title: string, as: (value: any) => string][]} */
const FACTS = [
  ["gen_ai.request.model", "Model", String],
  ["gen_ai.usage.input_tokens", "Tokens in", (value) => Number(value).toLocaleString("en")],
  ["gen_ai.usage.output_tokens", "Tokens out", (value) => Number(value).toLocaleString("en")],
  ["dspex.cost_usd", "Cost", cost],
  ["dspex.cache.hit", "Cache", (value) => (value ? "hit" : "miss")],
  ["dspex.retries", "Retries", String],
  ["dspex.first_token_s", "First token", seconds],
  ["dspex.queue_s", "In the queue", seconds],
  ["dspex.route", "Route", String],
  ["dspex.pool", "Pool", String],
  ["dspex.worker", "Worker", String],
  ["error.type", "Error", String],
];

/** The time of a span in which nothing below it ran, in seconds. @param {TraceNode} node @param {TraceNode[]} nodes */
export function selfTime(node, nodes) {
  const children = nodes.slice(node.index + 1, node.end).filter((one) => one.depth === node.depth + 1);
  const end = node.span.start_s + node.span.duration_s;
  let until = node.span.start_s;
  let busy = 0;
  for (const { span } of children) {
    const to = Math.min(end, span.start_s + span.duration_s);
    busy += Math.max(0, to - Math.max(until, span.start_s));
    until = Math.max(until, to);
  }
  return Math.max(0, node.span.duration_s - busy);
}

/**
 * The messages of a conversation, or null where `text` is none.
 * @param {any} text
 * @returns {{ role: string, text: string }[] | null}
 */
export function conversation(text) {
  if (typeof text !== "string" || !text.trimStart().startsWith("[")) return null;
  /** @type {any} */
  let messages;
  try {
    messages = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(messages) || !messages.length || !messages.every((one) => typeof one?.role === "string")) return null;
  return messages.map((one) => ({ role: one.role, text: contentText(one.content ?? one.tool_calls ?? "") }));
}

/** What a message says; of several parts those that are text, the others as JSON. @param {any} content */
function contentText(content) {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return JSON.stringify(content, null, 2);
  return content.map((part) => (typeof part?.text === "string" ? part.text : JSON.stringify(part))).join("\n");
}

/** JSON as people read it; other text as it is. @param {any} value */
export function readable(value) {
  if (typeof value !== "string") return String(value);
  if (!/^\s*[[{]/.test(value) || value.endsWith("…")) return value;
  try {
    return JSON.stringify(JSON.parse(value), null, 2);
  } catch {
    return value;
  }
}

export class TraceDetails {
  /** @param {() => void} onClose @param {AbortSignal} signal */
  constructor(onClose, signal) {
    this.node = element("section", "tv-details");
    this.node.setAttribute("role", "region");
    this.node.hidden = true;
    const head = this.node.appendChild(element("header", "tv-details-head"));
    this.dot = head.appendChild(element("span", "tv-dot"));
    this.name = head.appendChild(element("strong", "tv-details-name"));
    this.kind = head.appendChild(element("span", "tv-badge"));
    this.status = head.appendChild(element("span", "tv-status"));
    const button = /** @type {HTMLButtonElement} */ (head.appendChild(element("button", "button tv-close", "Close")));
    button.type = "button";
    button.addEventListener("click", onClose, { signal });
    this.facts = this.node.appendChild(element("dl", "tv-facts"));
    this.message = this.node.appendChild(element("div", "tv-message"));
    this.values = this.node.appendChild(element("div", "tv-values"));
  }

  /** @param {TraceNode} node @param {TraceNode[]} nodes @param {Record<string, any>} [attributes] all of them, when the span's are cut */
  set(node, nodes, attributes = node.span.attributes) {
    const { span } = node;
    this.node.hidden = false;
    this.node.className = `dspex-tv-details dspex-kind-${span.kind} dspex-span-${span.status}`;
    this.node.setAttribute("aria-label", `Details of ${span.name}`);
    setText(this.name, span.name);
    setText(this.kind, span.kind);
    setText(this.status, span.status === "ok" ? "" : span.status);
    setText(this.message, span.message);
    this.message.hidden = !span.message;
    /** @type {[string, string][]} */
    const facts = [
      ["Began at", seconds(span.start_s) || "0 ms"],
      ["Took", span.status === "running" ? "still running" : seconds(span.duration_s)],
    ];
    if (node.end > node.index + 1) facts.push(["Of it itself", seconds(selfTime(node, nodes))]);
    const told = new Set();
    for (const [name, title, as] of FACTS) {
      if (attributes[name] === undefined || attributes[name] === null) continue;
      told.add(name);
      const text = as(attributes[name]);
      if (text) facts.push([title, text]);
    }
    this.facts.replaceChildren(...facts.map(([title, text]) => fact(title, text)));
    const values = VALUES.filter(([name]) => attributes[name] !== undefined);
    for (const [name] of values) told.add(name);
    const rest = Object.keys(attributes).filter((name) => !told.has(name));
    this.values.replaceChildren(
      ...values.map(([name, title]) => valueBox(title, attributes[name])),
      ...rest.map((name) => valueBox(name, attributes[name])),
    );
  }

  hide() {
    this.node.hidden = true;
  }
}

/** @param {string} title @param {string} text */
function fact(title, text) {
  const node = element("div", "tv-fact");
  node.append(element("dt", "", title), element("dd", "", text));
  return node;
}

/** @param {string} title @param {any} value */
function valueBox(title, value) {
  const messages = conversation(value);
  if (messages) {
    const talk = element("div", "tv-value tv-value-long");
    talk.append(element("div", "tv-value-name", title));
    for (const { role, text } of messages) {
      const said = talk.appendChild(element("div", "tv-message-box"));
      said.append(element("div", "tv-role", role), textBox(`${title}, ${role}`, text));
    }
    return talk;
  }
  const text = readable(value);
  const node = element("div", text.length > 60 || text.includes("\n") ? "tv-value tv-value-long" : "tv-value");
  node.append(element("div", "tv-value-name", title), textBox(title, text));
  return node;
}

/** @param {string} title @param {string} text */
function textBox(title, text) {
  const box = element("pre", "tv-value-text", text);
  box.tabIndex = text.length > 400 ? 0 : -1;
  if (box.tabIndex === 0) {
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", title);
  }
  return box;
}
