/** Commands about pools: start, resize, restart, stop. What must not happen by chance asks first. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { Dialog, ICommandPalette, InputDialog, Notification, showDialog } from "@jupyterlab/apputils";
import { refreshIcon, runIcon, stopIcon } from "@jupyterlab/ui-components";
import { Commands } from "../commands.js";
import type { LabModel } from "../models/lab_model.js";
import { ILabModel } from "../tokens.js";

/** Show what became of an order while it is under way, and what went wrong. */
export function told(order: Promise<unknown>, pending: string, done: string): Promise<unknown> {
  Notification.promise(
    order.then(() => null),
    {
      pending: { message: pending, options: { autoClose: false } },
      success: { message: () => done, options: { autoClose: 3_000 } },
      error: { message: (reason) => (reason instanceof Error ? reason.message : String(reason)) },
    },
  );
  return order.catch(() => undefined);
}

export const poolCommandsPlugin: JupyterFrontEndPlugin<void> = {
  id: "dspex-lab:pool-commands",
  description: "Start, resize, restart and stop pools.",
  autoStart: true,
  requires: [ILabModel],
  optional: [ICommandPalette],
  activate: ({ commands }: JupyterFrontEnd, model: LabModel, palette: ICommandPalette | null) => {
    const hasHost = () => Boolean(model.get("pools").host);
    const poolOf = async (args: { name?: unknown }, title: string): Promise<string | null> => {
      if (typeof args.name === "string") return args.name;
      const items = model.get("pools").pools?.map((pool) => pool.name) ?? [];
      return items.length ? (await InputDialog.getItem({ title, items })).value : null;
    };

    commands.addCommand(Commands.startPools, {
      label: "Start Pools",
      caption: "Start the pool host, and every pool that keeps workers ready",
      icon: runIcon,
      execute: () => told(model.startPools(), "Starting the pools…", "The pools are there."),
    });
    commands.addCommand(Commands.startPool, {
      label: "Start a Pool…",
      isEnabled: hasHost,
      execute: async (args) => {
        const name = await poolOf(args, "Start which pool?");
        if (name) await told(model.startPool(name), `Starting ${name}…`, `The pool ${name} is there.`);
      },
    });
    commands.addCommand(Commands.resizePool, {
      label: "Resize a Pool…",
      isEnabled: hasHost,
      execute: async (args) => {
        const name = await poolOf(args, "Resize which pool?");
        const pool = model.get("pools").pools?.find((one) => one.name === name);
        if (!pool) return;
        const title = `How many workers may ${pool.name} have?`;
        const { value } = await InputDialog.getNumber({ title, value: pool.size, okLabel: "Resize" });
        if (value === null) return;
        await told(
          model.resizePool(pool.name, Math.round(value)),
          "Resizing…",
          `${pool.name} may have ${value} workers.`,
        );
      },
    });
    commands.addCommand(Commands.restartPool, {
      label: "Restart a Pool…",
      caption: "Replace its workers, each when it has finished its calls",
      icon: refreshIcon,
      isEnabled: hasHost,
      execute: async (args) => {
        const name = await poolOf(args, "Restart which pool?");
        if (name) await told(model.restartPool(name), `Restarting ${name}…`, `The workers of ${name} are replaced.`);
      },
    });
    commands.addCommand(Commands.stopHost, {
      label: "Stop Pools…",
      caption: "End the pool host with all its workers and calls",
      icon: stopIcon,
      isEnabled: hasHost,
      execute: async () => {
        const busy = model.get("pools").host?.in_flight ?? 0;
        const body = busy
          ? `${busy} call${busy === 1 ? "" : "s"} of all notebooks will end with an error.`
          : "No call is under way. The next call of a notebook starts the pools again.";
        const stop = Dialog.warnButton({ label: "Stop" });
        const { button } = await showDialog({ title: "Stop all pools?", body, buttons: [Dialog.cancelButton(), stop] });
        if (button.accept) await told(model.stopHost(), "Stopping the pools…", "The pools have ended.");
      },
    });
    const { startPools, startPool, resizePool, restartPool, stopHost } = Commands;
    for (const command of [startPools, startPool, resizePool, restartPool, stopHost]) {
      palette?.addItem({ command, category: "DSPex Lab" });
    }
    model.changed.connect((_, what) => what === "pools" && commands.notifyCommandChanged());
  },
};
