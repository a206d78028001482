/** What is coloured in our cells beside what Python's own colours do. Pure: from a text to places in it. */

import { kindOf } from "./cell_kind.js";

export type MarkKind = "magic" | "name" | "flag" | "arrow" | "field";

export interface Mark {
  from: number;
  to: number;
  kind: MarkKind;
}

/** The marks of a cell's text, in their order; none in cells that are not ours. */
export function marksOf(text: string): Mark[] {
  const kind = kindOf(text);
  if (!kind) return [];
  const end = text.indexOf("\n");
  const first = end < 0 ? text : text.slice(0, end);
  const marks = firstLine(first);
  if (kind === "signature" && end >= 0) marks.push(...fields(text, end + 1));
  return marks;
}

function firstLine(line: string): Mark[] {
  const magic = /^%%\w+/.exec(line)?.[0] ?? "";
  const marks: Mark[] = [{ from: 0, to: magic.length, kind: "magic" }];
  const name = /^\s+([^\W\d]\w*)/u.exec(line.slice(magic.length));
  if (name?.[1]) {
    const to = magic.length + name[0].length;
    marks.push({ from: to - name[1].length, to, kind: "name" });
  }
  for (const flag of withoutTexts(line).matchAll(/(?<=\s)--[\w-]+/g)) {
    marks.push({ from: flag.index, to: flag.index + flag[0].length, kind: "flag" });
  }
  return marks;
}

/** Fields stand at the beginning of a line that goes on no bracket and no text; the arrow parts them. */
function fields(text: string, start: number): Mark[] {
  const marks: Mark[] = [];
  let depth = 0;
  let offset = start;
  for (const line of withoutTexts(text.slice(start)).split("\n")) {
    if (depth === 0) {
      const field = /^\s*([^\W\d]\w*)(?=\s*(?:[:=,]|$))/u.exec(line);
      if (field?.[1]) {
        const to = offset + field[0].length;
        marks.push({ from: to - field[1].length, to, kind: "field" });
      }
    }
    for (const sign of line.matchAll(/->|[([{]|[)\]}]/g)) {
      if (sign[0] === "->") {
        if (depth === 0) marks.push({ from: offset + sign.index, to: offset + sign.index + 2, kind: "arrow" });
      } else depth = Math.max(0, depth + ("([{".includes(sign[0]) ? 1 : -1));
    }
    offset += line.length + 1;
  }
  return marks;
}

/** The text with what stands in quotes and behind `#` as dots: as long as before, and with the same lines. */
const withoutTexts = (text: string): string =>
  text.replace(/("""|''')[\s\S]*?(?:\1|$)|(["'])(?:\\.|(?!\2)[^\\\n])*(?:\2|(?=\n)|$)|#[^\n]*/g, (found) =>
    found.replace(/[^\n]/g, "."),
  );
