/** What the plugins hand to one another. */

import { Token } from "@lumino/coreutils";
import type { LabModel } from "./models/lab_model.js";

export const ILabModel = new Token<LabModel>(
  "dspex-lab:ILabModel",
  "What is known of the pools, runs and traces of DSPex Lab, and orders to them.",
);
