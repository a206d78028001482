/** Which cells are ours, and offsets as Python counts them. Pure. */

export type CellKind = "signature" | "pipeline";

/** What kind of cell a text is, or null where it is not ours. */
export const kindOf = (text: string): CellKind | null =>
  (/^%%(signature|pipeline)(?!\w)/.exec(text)?.[1] as CellKind | undefined) ?? null;

/** The offset in UTF-16 units of the place that is `points` characters into `text`, as Python counts them. */
export function fromPython(text: string, points: number): number {
  let offset = 0;
  for (let index = 0; index < points && offset < text.length; index++) {
    offset += (text.codePointAt(offset) ?? 0) > 0xffff ? 2 : 1;
  }
  return offset;
}

/** The inverse: how many characters of Python's `text` has. */
export const pythonLength = (text: string): number => [...text].length;
