// A small line of events per second over the last five minutes.

import { html, useEffect, useRef, useState } from "../../lib.js";
import { colourOf, drawing } from "../../parts/drawing.js";
import { t } from "../../strings.js";

const HEIGHT = 64;

/** @param {{tail: import("./tail.js").Tail}} props */
export function Rate({ tail }) {
  const element = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [said, say] = useState({ now: 0, most: 0 });

  useEffect(() => {
    /** @type {import("uplot") | null} */
    let plot = null;
    let gone = false;
    const host = /** @type {HTMLDivElement} */ (element.current);

    function update() {
      if (document.hidden) return;
      const data = tail.rate(Date.now());
      say({ now: data[1].at(-1) ?? 0, most: Math.max(...data[1]) });
      plot?.setData(data);
    }

    drawing().then((Plot) => {
      if (gone) return;
      plot = new Plot({
        width: host.clientWidth, height: HEIGHT, legend: { show: false }, cursor: { show: false }, padding: [4, 0, 0, 0],
        scales: { y: { range: (_, __, most) => [0, Math.max(1, most)] } },
        axes: [{ show: false }, { show: false }],
        series: [{}, { stroke: colourOf(host, ".admin-rate-line"), width: 1.5, points: { show: false } }],
      }, tail.rate(Date.now()), host);
      // What is drawn is said in words beside it.
      plot.root.setAttribute("aria-hidden", "true");
    }, () => {}); // without the line, its words stay
    const timer = setInterval(update, 1000);
    const sizes = new ResizeObserver(() => plot?.setSize({ width: host.clientWidth, height: HEIGHT }));
    sizes.observe(host);
    return () => {
      gone = true;
      clearInterval(timer);
      sizes.disconnect();
      plot?.destroy();
    };
  }, [tail]);

  return html`<figure class="admin-rate">
    <div ref=${element} class="admin-rate-canvas"><span class="admin-rate-line" hidden></span></div>
    <figcaption class="muted">${t("admin.events.rate", said)}</figcaption>
  </figure>`;
}
