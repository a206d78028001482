/** Tabs for the pools, the metrics, a run or a trace, and orders to runs; which one is asked where it is not said. */

import { ILabShell, type JupyterFrontEnd, type JupyterFrontEndPlugin } from "@jupyterlab/application";
import { ICommandPalette, InputDialog, MainAreaWidget } from "@jupyterlab/apputils";
import type { Widget } from "@lumino/widgets";
import { isUnderWay, isWaiting, type Run } from "../api/shapes.js";
import { Commands } from "../commands.js";
import type { LabModel } from "../models/lab_model.js";
import { ago } from "../panels/figures.js";
import { labIcon, metricsIcon } from "../panels/icon.js";
import { MetricsPanel } from "../panels/metrics_panel.js";
import { PoolsPanel } from "../panels/pools_panel.js";
import { RunPanel } from "../panels/run_panel.js";
import { TracePanel } from "../panels/trace_panel.js";
import { ILabModel } from "../tokens.js";
import { told } from "./pool_commands.js";

/** The one of `items` that the reader picks; the only one without being asked. */
async function pick<T>(title: string, items: readonly T[], text: (item: T) => string): Promise<T | undefined> {
  if (items.length <= 1) return items[0];
  const texts = items.map((item, index) => `${index + 1}. ${text(item)}`);
  const { value } = await InputDialog.getItem({ title, items: texts });
  return value === null ? undefined : items[texts.indexOf(value)];
}

const runText = (run: Run) => `${run.pipeline || "run"}, ${run.status}, ${ago(run.started_at, Date.now() / 1_000)}`;

export const runCommandsPlugin: JupyterFrontEndPlugin<void> = {
  id: "dspex-lab:run-commands",
  description: "Open runs, traces and metrics, answer and cancel runs.",
  autoStart: true,
  requires: [ILabModel],
  optional: [ICommandPalette, ILabShell],
  activate: (
    { commands, shell }: JupyterFrontEnd,
    model: LabModel,
    palette: ICommandPalette | null,
    labShell: ILabShell | null,
  ) => {
    const runs = () => model.get("runs").runs ?? [];
    const traces = () => model.get("traces").traces ?? [];

    /** Show a tab: the one that is there, or one that `make` makes. */
    const open = (id: string, make: () => Widget): Widget | undefined => {
      const there = [...shell.widgets("main")].find((widget) => widget.id === id);
      if (!there) {
        const content = make();
        const tab = new MainAreaWidget({ content });
        tab.id = id;
        tab.title.label = content.title.label;
        tab.title.icon = content.title.icon;
        tab.title.closable = true;
        tab.toolbar.hide();
        shell.add(tab, "main");
      }
      shell.activateById(id);
      const shown = [...shell.widgets("main")].find((widget) => widget.id === id);
      return shown instanceof MainAreaWidget ? shown.content : shown;
    };
    const openRun = ({ run_id, pipeline }: Pick<Run, "run_id" | "pipeline">) =>
      open(
        `dspex-lab-run-${run_id}`,
        () => new RunPanel(model, run_id, pipeline, (begun) => openRun({ run_id: begun, pipeline })),
      );

    commands.addCommand(Commands.openPools, {
      label: "Open Pools",
      icon: labIcon,
      isVisible: () => labShell !== null,
      execute: () => void open("dspex-lab-pools", () => new PoolsPanel(model)),
    });
    commands.addCommand(Commands.openRun, {
      label: "Open a Run…",
      isVisible: () => labShell !== null,
      execute: async (args) => {
        const id = args.run_id;
        const run = id ? runs().find((one) => one.run_id === id) : await pick("Open which run?", runs(), runText);
        if (run) openRun(run);
      },
    });
    commands.addCommand(Commands.openTrace, {
      label: "Open a Trace…",
      isVisible: () => labShell !== null,
      execute: async (args) => {
        const text = (one: { name: string; start: number }) => `${one.name}, ${ago(one.start, Date.now() / 1_000)}`;
        const trace =
          typeof args.trace_id === "string"
            ? { trace_id: args.trace_id, name: String(args.name ?? "trace") }
            : await pick("Open which trace?", traces(), text);
        if (trace) open(`dspex-lab-trace-${trace.trace_id}`, () => new TracePanel(model, trace.trace_id, trace.name));
      },
    });
    commands.addCommand(Commands.openMetrics, {
      label: "Show Metrics",
      caption: "Show the metrics: latency, throughput, errors and tokens of all calls; runs to compare",
      icon: metricsIcon,
      isVisible: () => labShell !== null,
      execute: () => void open("dspex-lab-metrics", () => new MetricsPanel(model.client)),
    });
    commands.addCommand(Commands.answerRun, {
      label: "Answer a Run…",
      isVisible: () => labShell !== null,
      isEnabled: () => runs().some(isWaiting),
      execute: async (args) => {
        const waiting = runs().filter(isWaiting);
        const run = args.run_id
          ? waiting.find((one) => one.run_id === args.run_id)
          : await pick("Answer which run?", waiting, runText);
        const panel = run && openRun(run);
        if (panel instanceof RunPanel) panel.goToQuestion();
      },
    });
    commands.addCommand(Commands.cancelRun, {
      label: "Cancel a Run…",
      isEnabled: () => runs().some(isUnderWay),
      execute: async (args) => {
        const going = runs().filter(isUnderWay);
        const run = args.run_id
          ? going.find((one) => one.run_id === args.run_id)
          : await pick("Cancel which run?", going, runText);
        if (run)
          await told(model.cancelRun(run.run_id), "Cancelling…", `${run.pipeline || "The run"} was told to stop.`);
      },
    });
    const { openPools, openMetrics, openRun: openOne, openTrace, answerRun, cancelRun } = Commands;
    for (const command of [openPools, openMetrics, openOne, openTrace, answerRun, cancelRun]) {
      palette?.addItem({ command, category: "DSPex Lab" });
    }
    model.changed.connect((_, what) => what === "runs" && commands.notifyCommandChanged());
  },
};
