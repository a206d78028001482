/** The commands by their names. */

export const Commands = {
  show: "dspex-lab:show",
  openPools: "dspex-lab:open-pools",
  openMetrics: "dspex-lab:show-metrics",
  startPools: "dspex-lab:start-pools",
  startPool: "dspex-lab:start-pool",
  resizePool: "dspex-lab:resize-pool",
  restartPool: "dspex-lab:restart-pool",
  stopHost: "dspex-lab:stop-pools",
  openRun: "dspex-lab:open-run",
  answerRun: "dspex-lab:answer-run",
  cancelRun: "dspex-lab:cancel-run",
  openTrace: "dspex-lab:open-trace",
  newNotebook: "dspex-lab:new-notebook",
} as const;
