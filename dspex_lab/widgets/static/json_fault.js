/**
 * Where a text stops being JSON, in the same words in every browser. Pure.
 *
 * @typedef {{ line: number, column: number, message: string }} JsonFault
 */

const LITERAL = /(?:true|false|null)(?![\w$])/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])/y;
const SPACE = /[ \t\n\r]*/y;
const WORD = /[A-Za-z_$][\w$]*/y;

class Broken extends Error {
  /** @param {number} at @param {string} message */
  constructor(at, message) {
    super(message);
    this.at = at;
  }
}

/** @param {string} text */
export function findJsonFault(text) {
  try {
    const end = jsonSkip(text, jsonValue(text, jsonSkip(text, 0), 0));
    if (end < text.length) throw new Broken(end, "There is something after the value.");
    return null;
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    const before = text.slice(0, error.at).split("\n");
    return { line: before.length, column: (before.at(-1) ?? "").length + 1, message: error.message };
  }
}

/** @param {RegExp} pattern @param {string} text @param {number} at */
function jsonMatch(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

/** @param {string} text @param {number} at */
const jsonSkip = (text, at) => at + (jsonMatch(SPACE, text, at) ?? "").length;

/** The end of the value that begins at `at`. @param {string} text @param {number} at @param {number} depth @returns {number} */
function jsonValue(text, at, depth) {
  if (depth > 500) throw new Broken(at, "It is nested too deep.");
  const first = text[at];
  if (first === undefined) throw new Broken(at, "A value is missing at the end.");
  if (first === "{") return jsonSeveral(text, at, depth, "}");
  if (first === "[") return jsonSeveral(text, at, depth, "]");
  if (first === '"') return jsonString(text, at);
  const found = jsonMatch(LITERAL, text, at) ?? jsonMatch(NUMBER, text, at);
  if (found) return at + found.length;
  if (first === "'") throw new Broken(at, 'Text stands in double quotes: "…".');
  const word = jsonMatch(WORD, text, at);
  const known = word && { True: "true", False: "false", None: "null", undefined: "null" }[word];
  if (known) throw new Broken(at, `JSON writes ${known}, not ${word}.`);
  if (word) throw new Broken(at, `Text stands in double quotes: "${word}".`);
  throw new Broken(at, first === "}" || first === "]" || first === "," ? `A value is missing before ${first}` : "No value begins like this.");
}

/** What stands in brackets, after each other. @param {string} text @param {number} open @param {number} depth @param {string} close */
function jsonSeveral(text, open, depth, close) {
  let at = jsonSkip(text, open + 1);
  if (text[at] === close) return at + 1;
  for (;;) {
    if (close === "}") at = jsonKey(text, at);
    at = jsonSkip(text, jsonValue(text, at, depth + 1));
    if (text[at] === close) return at + 1;
    if (text[at] === undefined) throw new Broken(at, `${text[open]} is not closed: ${close} is missing.`);
    if (text[at] !== ",") throw new Broken(at, `A comma or ${close} is missing.`);
    const comma = at;
    at = jsonSkip(text, at + 1);
    if (text[at] === close) throw new Broken(comma, `There is a comma too much before ${close}`);
  }
}

/** A name and its colon; where its value begins. @param {string} text @param {number} at */
function jsonKey(text, at) {
  if (text[at] === undefined) throw new Broken(at, "{ is not closed: } is missing.");
  if (text[at] !== '"') throw new Broken(at, 'A name in double quotes is missing: "name".');
  const end = jsonSkip(text, jsonString(text, at));
  if (text[end] !== ":") throw new Broken(end, "A colon is missing after the name.");
  return jsonSkip(text, end + 1);
}

/** @param {string} text @param {number} at */
function jsonString(text, at) {
  for (let end = at + 1; end < text.length; end += 1) {
    const one = text[end] ?? "";
    if (one === '"') return end + 1;
    if (one === "\n") throw new Broken(end, 'The text is not closed on its line: " is missing. A line break is written \\n.');
    if (one < " ") throw new Broken(end, "A control character stands in the text: write \\t for a tab.");
    if (one !== "\\") continue;
    end += 1;
    if (text[end] === "u" && /^[\da-fA-F]{4}$/.test(text.slice(end + 1, end + 5))) end += 4;
    else if (!'"\\/bfnrt'.includes(text[end] ?? " ")) throw new Broken(end - 1, "No such character is written with a backslash.");
  }
  throw new Broken(text.length, 'The text is not closed: " is missing.');
}
