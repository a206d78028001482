/**
 * The theme's colours as plain `rgba(…)`, for what cannot read variables, and word of their change. Knows the DOM only.
 */

/** The attributes by which front ends say that their theme changed. */
const THEME_ATTRIBUTES = ["class", "style", "data-jp-theme-name", "data-jp-theme-light", "data-vscode-theme-id", "theme"];

/** @type {CanvasRenderingContext2D | null | undefined} */
let painter;

/**
 * What `expression` (as `var(--fg)`) comes to at `node`.
 * @param {HTMLElement} node @param {string} expression
 */
export function colourOf(node, expression) {
  const probe = node.appendChild(document.createElement("span"));
  probe.style.color = expression;
  const computed = getComputedStyle(probe).color;
  probe.remove();
  if (painter === undefined) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 1;
    painter = canvas.getContext("2d", { willReadFrequently: true });
  }
  if (!painter) return computed;
  painter.clearRect(0, 0, 1, 1);
  painter.fillStyle = computed;
  painter.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = painter.getImageData(0, 0, 1, 1).data;
  return `rgba(${r},${g},${b},${(a / 255).toFixed(3)})`;
}

/** Call `changed` when the theme was changed, once its style sheets are there. @param {() => void} changed @param {AbortSignal} signal */
export function onThemeChange(changed, signal) {
  let timer = 0;
  const observer = new MutationObserver(() => {
    clearTimeout(timer);
    timer = window.setTimeout(() => signal.aborted || changed(), 250);
  });
  observer.observe(document.body, { attributes: true, attributeFilter: THEME_ATTRIBUTES });
  observer.observe(document.documentElement, { attributes: true, attributeFilter: THEME_ATTRIBUTES });
  signal.addEventListener("abort", () => observer.disconnect(), { once: true });
}
