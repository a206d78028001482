/** The lab's signs. */

import { LabIcon } from "@jupyterlab/ui-components";

/** Steps that part and meet, as a pipeline does. */
const SVG = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="16">
<g class="jp-icon3" fill="none" stroke="#616161" stroke-width="1.8" stroke-linecap="round">
<path class="jp-icon3" d="M7.2 10.7 C9.5 9 10.5 6 14 6 M7.2 13.3 C9.5 15 10.5 18 14 18" />
</g>
<g class="jp-icon3" fill="#616161">
<circle cx="5" cy="12" r="3" /><circle cx="17" cy="6" r="3" /><circle cx="17" cy="18" r="3" />
</g>
</svg>`;

// The theme fills whatever has both its class and a colour to fill with.
const CHART = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="16">
<g fill="none"><path class="jp-icon3" stroke="#616161" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"
d="M4 4 V20 H20 M8 15 L12 10 L15 13 L20 6" /></g>
</svg>`;

export const metricsIcon = new LabIcon({ name: "dspex-lab:metrics", svgstr: CHART });

export const labIcon = new LabIcon({ name: "dspex-lab:lab", svgstr: SVG });
