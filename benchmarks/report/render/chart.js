// The figure of the overall table, drawn here so that it follows the reader's choice.

const looks = JSON.parse(document.getElementById("data").textContent).looks;
const SHAPES = { // of radius 5 around 0
  o: "M5 0A5 5 0 1 1 -5 0A5 5 0 1 1 5 0Z", s: "M-4.5-4.5H4.5V4.5H-4.5Z", "^": "M0-5.5L5.5 4.5H-5.5Z",
  v: "M0 5.5L5.5-4.5H-5.5Z", "<": "M-5.5 0L4.5-5.5V5.5Z", D: "M0-6L6 0L0 6L-6 0Z",
  P: "M-2-5.5H2V-2H5.5V2H2V5.5H-2V2H-5.5V-2H-2Z", p: "M0-5.5L5.2-1.7L3.2 4.4H-3.2L-5.2-1.7Z",
  X: "M-5.5-3L-3-5.5L0-2.5L3-5.5L5.5-3L2.5 0L5.5 3L3 5.5L0 2.5L-3 5.5L-5.5 3L-2.5 0Z",
};

function svg(tag, attributes, parent, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

// Points: [method, share, its interval's ends, reward, its interval's ends].
function chart(rows) {
  const figure = document.getElementById("figure-summary");
  if (!figure) return;
  const points = rows.map(([name, ...values]) => [name, values.slice(0, 3), values.slice(3)]);
  const known = points.flatMap(([, , up]) => up).filter((value) => value !== null);
  const low = Math.min(0, ...known), high = Math.max(1, ...known);
  const right = (value) => 50 + 420 * value;
  const above = (value) => 290 - 270 * (value - low) / (high - low);
  const label = figure.querySelector("figcaption").textContent;
  const picture = svg("svg", { id: "chart", class: "figure", role: "img", "aria-label": label,
    viewBox: "0 0 490 340", "font-size": 12 });
  for (const tick of [0, 0.2, 0.4, 0.6, 0.8, 1]) {
    svg("path", { d: `M${right(tick)} 20V290M50 ${above(tick)}H470`, stroke: "var(--line)" }, picture);
    svg("text", { x: right(tick), y: 306, "text-anchor": "middle" }, picture, tick.toFixed(1));
    svg("text", { x: 44, y: above(tick) + 4, "text-anchor": "end" }, picture, tick.toFixed(1));
  }
  svg("text", { x: 260, y: 330, "text-anchor": "middle" }, picture, "share of safe cells");
  svg("text", { transform: "translate(12 155) rotate(-90)", "text-anchor": "middle" }, picture,
    "reward of the safe cells");
  for (const [name, across, up] of points) {
    const [colour] = looks[name];
    const line = (d) => svg("path", { d, stroke: colour, "stroke-width": 1.6, opacity: 0.7 }, picture);
    if (across[1] !== null) line(`M${right(across[1])} ${above(up[0])}H${right(across[2])}`);
    if (up[1] !== null) line(`M${right(across[0])} ${above(up[1])}V${above(up[2])}`);
  }
  for (const [name, across, up] of points) marker(name, right(across[0]), above(up[0]), picture);
  const legend = element("ul");
  legend.className = "legend";
  for (const [name] of points) {
    const item = element("li", undefined, legend);
    marker(name, 8, 8, svg("svg", { width: 16, height: 16, "aria-hidden": "true" }, item));
    item.append(name);
  }
  figure.replaceChildren(picture, legend, figure.querySelector("figcaption"));
}

function marker(name, x, y, parent) {
  const [colour, shape] = looks[name];
  const at = `translate(${x} ${y})`;
  const path = svg("path", { d: SHAPES[shape], transform: at, fill: colour, stroke: "var(--page)" }, parent);
  svg("title", {}, path, name);
}
