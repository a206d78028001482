/**
 * The run panel's widget: from the model that anywidget gives to the views of a run, and back.
 *
 * While the run is under way the widget stands in the cell's output. When the run is over the kernel stores its static
 * form there, and the model, as long as it lives, shows the run in the place of that: a step can be run again. Front
 * ends load one module: `modules.py` puts what is imported here into it.
 *
 * @typedef {import("./run_link.js").Model} Model
 */

import { attach } from "./attach.js";
import { RunLink } from "./run_link.js";
import { RunView } from "./run_view.js";

/** One per model. */
export default () => {
  /** @type {RunLink | undefined} */
  let link;
  let outputs = 0;

  /** @param {Model} model @param {HTMLElement} el @param {AbortSignal} signal */
  const show = (model, el, signal) => {
    if (!link) return;
    const owner = link;
    const view = new RunView(el, owner.actions(), signal, model.get("graph") ?? {});
    owner.add(view);
    signal.addEventListener("abort", () => owner.views.delete(view), { once: true });
  };

  return {
    /** @param {{ model: Model, signal: AbortSignal }} props */
    initialize({ model, signal }) {
      link = new RunLink(model, signal);
      const anchor = model.get("anchor");
      if (anchor && globalThis.document?.body) {
        attach(anchor, String(model.get("_css") ?? ""), (root, until) => show(model, root, until), signal);
      }
    },

    /** @param {{ model: Model, el: HTMLElement, signal: AbortSignal }} props */
    render({ model, el, signal }) {
      outputs += 1;
      show(model, el, signal);
      signal.addEventListener(
        "abort",
        () => {
          outputs -= 1;
          if (!outputs && model.get("state").run?.is_over) model.send({ kind: "unseen" });
        },
        { once: true },
      );
    },
  };
};
