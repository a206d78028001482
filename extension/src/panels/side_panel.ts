/** Pools, runs and traces of all notebooks, one below the other. */

import { SidePanel } from "@jupyterlab/ui-components";
import type { Run, Trace } from "../api/shapes.js";
import type { LabModel } from "../models/lab_model.js";
import { labIcon } from "./icon.js";
import { makePoolList } from "./pool_list.js";
import { makeRunList } from "./run_list.js";
import { Section } from "./section.js";
import { makeTraceList } from "./trace_list.js";

export interface SideActions {
  openRun(run: Run): void;
  cancelRun(run: Run): Promise<unknown>;
  openTrace(trace: Trace): void;
}

export function makeSidePanel(model: LabModel, actions: SideActions): SidePanel {
  const panel = new SidePanel();
  panel.id = "dspex-lab-side";
  panel.addClass("dspex-side");
  panel.title.icon = labIcon;
  panel.title.caption = "DSPex Lab: pools, runs and traces";
  panel.node.setAttribute("role", "region");
  panel.node.setAttribute("aria-label", "DSPex Lab");
  const runs = makeRunList({ open: actions.openRun, cancel: actions.cancelRun });
  panel.addWidget(
    new Section(
      "Pools",
      "pools",
      model,
      makePoolList(),
      () => model.get("pools").pools ?? [],
      () => "No pool host runs. The first call of a notebook starts one.",
    ),
  );
  panel.addWidget(
    new Section(
      "Runs",
      "runs",
      model,
      runs,
      () => model.get("runs").runs ?? [],
      () => "No notebook has run a pipeline yet.",
    ),
  );
  panel.addWidget(
    new Section(
      "Traces",
      "traces",
      model,
      makeTraceList(actions.openTrace),
      () => model.get("traces").traces ?? [],
      () => "No call has left a trace yet.",
    ),
  );
  return panel;
}
