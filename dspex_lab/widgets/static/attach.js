/**
 * A live view in the place of the static form that a notebook stores: as long as its model lives, the page shows it
 * instead. What is saved is always the static form, so that nothing is missing where there is no kernel.
 *
 * The view stands in a shadow root: neither the notebook's styles for HTML reach it, nor its own the notebook.
 */

import { element, keepKeys } from "./elements.js";

/**
 * @param {string} anchor the place is marked with the class `dspex-live-ANCHOR`
 * @param {string} style
 * @param {(root: HTMLElement, signal: AbortSignal) => void} render
 * @param {AbortSignal} signal
 */
export function attach(anchor, style, render, signal) {
  const found = document.getElementsByClassName(`dspex-live-${anchor}`);
  /** @type {Map<Element, HTMLElement>} */
  const hosts = new Map();

  const look = () => {
    for (const place of Array.from(found)) {
      if (hosts.has(place)) continue;
      // A place that was drawn anew gets the view that stood there: what one has typed stays.
      const left = Array.from(hosts).find(([old]) => !old.isConnected);
      if (left) hosts.delete(left[0]);
      const host = left ? left[1] : make();
      hosts.set(place, host);
      put(host, place);
    }
  };

  const make = () => {
    const host = element("div", "host");
    keepKeys(host);
    const shadow = host.attachShadow({ mode: "open" });
    const sheet = document.createElement("style");
    sheet.textContent = style;
    const root = document.createElement("div");
    shadow.append(sheet, root);
    render(root, signal);
    return host;
  };

  /** @param {HTMLElement} host @param {Element} place */
  const put = (host, place) => {
    const focused = /** @type {HTMLElement | null} */ (host.shadowRoot?.activeElement ?? null);
    for (const child of place.children) hide(child, true);
    place.append(host);
    focused?.focus({ preventScroll: true });
  };

  /** @param {Element} child @param {boolean} isHidden */
  const hide = (child, isHidden) => {
    if (!(child instanceof HTMLElement)) return;
    if (isHidden) child.style.setProperty("display", "none", "important");
    else child.style.removeProperty("display");
  };

  const observer = new MutationObserver(look);
  observer.observe(document.body, { childList: true, subtree: true });
  signal.addEventListener(
    "abort",
    () => {
      observer.disconnect();
      for (const [place, host] of hosts) {
        host.remove();
        for (const child of place.children) hide(child, false);
      }
    },
    { once: true },
  );
  look();
}
