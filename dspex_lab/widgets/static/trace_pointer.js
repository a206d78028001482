/**
 * The mouse on a trace: drag over the rows or the strip to look closer, drag what is seen in the strip to move it, turn
 * the wheel with Ctrl to zoom, sideways to move along.
 *
 * @typedef {import("./trace_view.js").TraceView} TraceViewType
 */

import { panned, within, zoomed } from "./trace_rows.js";

/** Less than this many pixels is a click. */
const DRAG_PX = 4;

/** The part of the rows where the bars are. @param {TraceViewType} view */
const trackBox = (view) => view.overview.scale.getBoundingClientRect();

/** @param {TraceViewType} view @param {AbortSignal} signal */
export function dragging(view, signal) {
  const { overview, list, marked } = view;
  /** @type {{ from: number, box: DOMRect, isMove: boolean, isStrip: boolean, seen: { from: number, to: number } } | null} */
  let drag = null;

  const start = (/** @type {PointerEvent} */ event, /** @type {boolean} */ isStrip) => {
    const box = isStrip ? overview.node.getBoundingClientRect() : trackBox(view);
    if (event.button || event.clientX < box.left || event.clientX > box.right || !view.total) return;
    const at = (view.total * (event.clientX - box.left)) / box.width;
    const isZoomed = view.seen.to - view.seen.from < view.total * 0.999;
    const isMove = isStrip && isZoomed && at >= view.seen.from && at <= view.seen.to;
    drag = { from: event.clientX, box, isMove, isStrip, seen: view.seen };
  };
  overview.node.addEventListener("pointerdown", (event) => start(event, true), { signal });
  list.node.addEventListener("pointerdown", (event) => start(event, false), { signal });

  window.addEventListener(
    "pointermove",
    (event) => {
      if (!drag || (Math.abs(event.clientX - drag.from) < DRAG_PX && marked.hidden && !drag.isMove)) return;
      event.preventDefault();
      const { box, seen } = drag;
      if (drag.isMove) {
        const by = (view.total * (event.clientX - drag.from)) / box.width;
        view.zoom(within({ from: seen.from + by, to: seen.to + by }, view.total));
        return;
      }
      const from = Math.max(box.left, Math.min(drag.from, event.clientX));
      const to = Math.min(box.right, Math.max(drag.from, event.clientX));
      const around = drag.isStrip ? overview.node : view.body;
      const place = around.getBoundingClientRect();
      if (marked.parentElement !== around) around.append(marked);
      marked.hidden = false;
      marked.style.left = `${from - place.left}px`;
      marked.style.width = `${to - from}px`;
    },
    { signal },
  );

  window.addEventListener(
    "pointerup",
    (event) => {
      if (drag && !marked.hidden) {
        const { box, isStrip, seen } = drag;
        const whole = isStrip ? { from: 0, to: view.total } : seen;
        const at = (/** @type {number} */ x) =>
          whole.from + ((whole.to - whole.from) * (Math.max(box.left, Math.min(box.right, x)) - box.left)) / box.width;
        view.zoom({ from: at(Math.min(drag.from, event.clientX)), to: at(Math.max(drag.from, event.clientX)) });
        // The click that follows, if one does, is none.
        const swallow = (/** @type {Event} */ click) => click.stopPropagation();
        window.addEventListener("click", swallow, { capture: true, once: true });
        setTimeout(() => window.removeEventListener("click", swallow, { capture: true }), 0);
      }
      drag = null;
      marked.hidden = true;
    },
    { signal },
  );
  marked.hidden = true;
}

/** @param {TraceViewType} view @param {AbortSignal} signal */
export function wheeling(view, signal) {
  const turn = (/** @type {WheelEvent} */ event, /** @type {DOMRect} */ box) => {
    if (!view.total || !box.width) return;
    if (event.ctrlKey || event.metaKey) {
      const share = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
      const at = view.seen.from + share * (view.seen.to - view.seen.from);
      view.zoom(zoomed(view.seen, Math.exp(Math.max(-100, Math.min(100, event.deltaY)) * 0.004), at, view.total));
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || (event.shiftKey && event.deltaY)) {
      view.zoom(panned(view.seen, (event.deltaX || event.deltaY) / box.width, view.total));
    } else return;
    event.preventDefault();
  };
  const options = { signal, passive: false };
  view.list.node.addEventListener("wheel", (event) => turn(event, trackBox(view)), options);
  view.overview.node.addEventListener("wheel", (event) => turn(event, trackBox(view)), options);
}
