/**
 * plotly's script in the page: asked for in parts, once for all panels, and only when something is to be drawn. Knows
 * nothing of charts or widgets.
 *
 * @typedef {{ react(node: HTMLElement, data: any[], layout: any, config: any): Promise<any>, purge(node: HTMLElement): void }} PlotlyLike
 */

/** What is kept for the other panels of the page. */
const PROMISE = "__dspexLabPlotly";

/**
 * plotly, from the page if another output has brought it along, else from `ask`.
 * @param {(part: number) => Promise<{ value: { parts: number }, buffers: DataView[] }>} ask for a part of the script, gzipped
 * @returns {Promise<PlotlyLike>}
 */
export function loadPlotly(ask) {
  const page = /** @type {any} */ (globalThis);
  if (page.Plotly?.react) return Promise.resolve(page.Plotly);
  page[PROMISE] ??= fetchScript(ask)
    .then(runScript)
    .catch((error) => {
      delete page[PROMISE]; // the next panel may try again
      throw error;
    });
  return page[PROMISE];
}

/** @param {(part: number) => Promise<{ value: { parts: number }, buffers: DataView[] }>} ask */
async function fetchScript(ask) {
  const first = await ask(0);
  const parts = [...first.buffers];
  for (let part = 1; part < first.value.parts; part++) parts.push(...(await ask(part)).buffers);
  const packed = new Blob(parts.map((part) => new Uint8Array(part.buffer, part.byteOffset, part.byteLength)));
  return new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

/** Run the script as one that asks for a module: pages with a loader of their own keep theirs. @param {string} source */
function runScript(source) {
  const page = /** @type {any} */ (globalThis);
  const holder = "__dspexLabModule";
  page[holder] = { exports: {} };
  const url = URL.createObjectURL(
    new Blob([`(function (module, exports, define) {${source}\n})(${holder}, ${holder}.exports);`], { type: "text/javascript" }),
  );
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.addEventListener("load", () => {
      const { exports } = page[holder];
      delete page[holder];
      resolve(exports.react ? exports : page.Plotly);
    });
    script.addEventListener("error", () => reject(new Error("The page does not let plotly's script run.")));
    document.head.append(script);
    script.addEventListener("load", () => (URL.revokeObjectURL(url), script.remove()));
  });
}
