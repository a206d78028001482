/** Pools, runs and traces of all notebooks, one below the other. */

import { CommandToolbarButton, SidePanel } from "@jupyterlab/ui-components";
import type { CommandRegistry } from "@lumino/commands";
import { Commands } from "../commands.js";
import type { LabModel } from "../models/lab_model.js";
import { labIcon } from "./icon.js";
import { makePoolList } from "./pool_list.js";
import { makeRunList } from "./run_list.js";
import { Section } from "./section.js";
import { makeTraceList } from "./trace_list.js";

export function makeSidePanel(model: LabModel, commands: CommandRegistry): SidePanel {
  const panel = new SidePanel();
  panel.id = "dspex-lab-side";
  panel.addClass("dspex-side");
  panel.title.icon = labIcon;
  panel.title.caption = "DSPex Lab: pools, runs and traces";
  panel.node.setAttribute("role", "region");
  panel.node.setAttribute("aria-label", "DSPex Lab");
  const pools = new Section(
    "Pools",
    "pools",
    model,
    makePoolList(() => void commands.execute(Commands.openPools)),
    () => model.get("pools").pools ?? [],
    () => "No pool host runs. The first call of a notebook starts one.",
  );
  for (const id of [Commands.openMetrics, Commands.startPools, Commands.stopHost]) {
    pools.toolbar.addItem(id, new CommandToolbarButton({ commands, id, label: "" }));
  }
  panel.addWidget(pools);
  const runs = makeRunList({
    open: (run) => void commands.execute(Commands.openRun, { run_id: run.run_id }),
    answer: (run) => void commands.execute(Commands.answerRun, { run_id: run.run_id }),
    cancel: (run) => model.cancelRun(run.run_id),
  });
  const runsOf = () => model.get("runs").runs ?? [];
  panel.addWidget(new Section("Runs", "runs", model, runs, runsOf, () => "No notebook has run a pipeline yet."));
  const traces = makeTraceList(
    (trace) => void commands.execute(Commands.openTrace, { trace_id: trace.trace_id, name: trace.name }),
  );
  const tracesOf = () => model.get("traces").traces ?? [];
  panel.addWidget(new Section("Traces", "traces", model, traces, tracesOf, () => "No call has left a trace yet."));
  return panel;
}
