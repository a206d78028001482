// The package's modules carry no package.json that would say that they are modules: they are loaded as text.
import { readFileSync } from "node:fs";

const folder = new URL("../../dspex_lab/widgets/static/", import.meta.url);
const asUrl = (text) => `data:text/javascript;base64,${Buffer.from(text).toString("base64")}`;
const urlOf = (name) =>
  asUrl(
    readFileSync(new URL(name, folder), "utf8").replace(/from "\.\/(\w+\.js)"/g, (_, one) => `from "${urlOf(one)}"`),
  );

export const load = (name) => import(urlOf(name));
