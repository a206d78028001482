/**
 * A control that takes a file too: chosen, dropped on it, or a value that was given in Python. What it holds goes before
 * what is typed; it can be let go of again.
 *
 * @typedef {import("./form_fields.js").FormField} FormField
 * @typedef {import("./form_fields.js").FieldControl} FieldControl
 * @typedef {(field: string, file: File) => Promise<{ upload: string, summary: string }>} Upload
 */

import { element, keepKeys, makeButton, setText } from "./elements.js";

/** @param {number} bytes */
export const sizeText = (bytes) =>
  bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1000).toFixed(bytes < 1e4 ? 1 : 0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

/** @implements {FieldControl} */
export class FileControl {
  /** What is held in the kernel: the id of an upload. @type {string | null} */
  held = null;
  /** The file that is on its way now; an older one that arrives late is nobody's. @type {File | null} */
  coming = null;

  /** @param {FormField} field @param {FieldControl} inner @param {Upload} upload @param {AbortSignal} signal */
  constructor(field, inner, upload, signal) {
    this.field = field;
    this.inner = inner;
    this.upload = upload;
    this.node = element("div", "file");
    this.node.append(inner.node);
    this.chip = this.node.appendChild(element("div", "chip"));
    this.picture = /** @type {HTMLImageElement} */ (this.chip.appendChild(element("img", "thumb")));
    this.picture.alt = "";
    this.about = this.chip.appendChild(element("span", "chip-text"));
    this.about.setAttribute("role", "status");
    this.drop = makeButton("button small quiet", "✕", () => this.letGo(), signal);
    this.drop.setAttribute("aria-label", `Remove the file of ${field.name}`);
    this.chip.append(this.drop);
    const foot = inner.foot ?? this.node.appendChild(element("div", "file-foot"));
    if (inner.foot) this.node.insertBefore(this.chip, inner.node);
    this.input = /** @type {HTMLInputElement} */ (foot.appendChild(element("input")));
    this.input.type = "file";
    this.input.hidden = true;
    this.input.accept = field.accept === "*/*" ? "" : field.accept;
    this.input.tabIndex = -1;
    this.choose = makeButton("button small", "Choose a file…", () => this.input.click(), signal);
    this.choose.setAttribute("aria-label", `Choose a file for ${field.name}`);
    this.choose.hidden = !field.accept;
    foot.append(this.choose, element("span", "faint drop-hint", field.accept && field.kind !== "lines" ? "or drop it here" : ""));
    this.fault = foot.appendChild(element("span", "fault"));
    this.fault.setAttribute("role", "alert");
    this.input.addEventListener("change", () => this.input.files?.[0] && this.take(this.input.files[0]), { signal });
    this.listen(signal);
    keepKeys(this.node);
    if (field.held) this.hold("held", field.held);
    else this.show();
  }

  /** @param {AbortSignal} signal */
  listen(signal) {
    const over = (/** @type {DragEvent} */ event, /** @type {boolean} */ isOver) => {
      if (!this.field.accept || !event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      event.stopPropagation(); // a notebook would make an attachment of it
      this.node.classList.toggle("dspex-over", isOver);
    };
    this.node.addEventListener("dragover", (event) => over(event, true), { signal });
    this.node.addEventListener("dragleave", (event) => over(event, false), { signal });
    this.node.addEventListener(
      "drop",
      (event) => {
        over(event, false);
        const file = event.dataTransfer?.files[0];
        if (file) this.take(file);
      },
      { signal },
    );
  }

  /** @param {File} file */
  async take(file) {
    this.coming = file;
    setText(this.fault, "");
    this.hold(null, `${file.name} · ${sizeText(file.size)} · on its way…`);
    this.choose.focus();
    try {
      const { upload, summary } = await this.upload(this.field.name, file);
      if (this.coming !== file) return;
      this.hold(upload, [file.name, sizeText(file.size), summary].filter(Boolean).join(" · "));
      if (file.type.startsWith("image/")) this.picture.src = URL.createObjectURL(file);
      this.show();
    } catch (error) {
      if (this.coming !== file) return;
      this.letGo();
      setText(this.fault, error instanceof Error ? error.message : String(error));
    }
    this.input.value = "";
  }

  /** @param {string | null} held @param {string} text */
  hold(held, text) {
    this.held = held;
    setText(this.about, text);
    this.show();
  }

  letGo() {
    this.coming = null;
    if (this.picture.src) URL.revokeObjectURL(this.picture.src);
    this.picture.removeAttribute("src");
    this.hold(null, "");
    this.inner.focus();
  }

  show() {
    const has = Boolean(this.about.textContent);
    this.chip.hidden = !has;
    if (this.inner.conceal) this.inner.conceal(has);
    else this.inner.node.hidden = has;
    this.picture.hidden = !this.picture.src;
    setText(this.choose, has ? "Choose another…" : "Choose a file…");
  }

  focus() {
    if (this.about.textContent) this.choose.focus();
    else this.inner.focus();
  }

  read() {
    if (this.held !== null) return { upload: this.held };
    return this.about.textContent ? undefined : this.inner.read();
  }

  local() {
    if (this.about.textContent) return this.held === null ? "The file is still on its way." : "";
    return this.inner.local?.() ?? "";
  }

  /** @param {string} ids */
  describe(ids) {
    this.inner.describe(ids);
    this.choose.setAttribute("aria-describedby", ids);
  }

  /** @param {boolean} isInvalid */
  setInvalid(isInvalid) {
    this.inner.setInvalid(isInvalid);
    this.chip.classList.toggle("dspex-invalid", isInvalid);
  }
}
