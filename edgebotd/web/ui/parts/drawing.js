// The drawing library and its stylesheet, taken only where something is drawn.

export async function drawing() {
  const href = new URL("../vendor/uplot.css", import.meta.url).href;
  if (!document.querySelector(`link[href="${href}"]`)) {
    document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href }));
  }
  return (await import("../vendor/uplot.js")).default;
}

/** What the stylesheet makes of a colour: a canvas knows no custom properties. @param {Element} host @param {string} selector */
export const colourOf = (host, selector) => () => getComputedStyle(/** @type {Element} */ (host.querySelector(selector))).color;
