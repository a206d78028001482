/** JSON set in order, token by token: a number keeps all its digits, which a browser's own numbers would not. Pure. */

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
/** @type {Record<string, string>} */
const CLOSING = { "{": "}", "[": "]" };

/** A value on each line, two blanks for each bracket around it. @param {string} text that is JSON */
export function formatJson(text) {
  const tokens = text.match(TOKEN) ?? [];
  let made = "";
  let depth = 0;
  const newLine = () => `\n${"  ".repeat(depth)}`;
  tokens.forEach((token, index) => {
    const closing = CLOSING[token];
    if (closing) {
      depth += 1;
      made += token + (tokens[index + 1] === closing ? "" : newLine());
    } else if (token === "}" || token === "]") {
      depth -= 1;
      made += (CLOSING[tokens[index - 1] ?? ""] === token ? "" : newLine()) + token;
    } else if (token === ",") made += token + newLine();
    else made += token === ":" ? ": " : token;
  });
  return made;
}
