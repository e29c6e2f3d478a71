"use strict";
// Two tables, "results" and "jobs", made from the JSON in the page. Whatever comes from a result is
// put in as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const filters = {};

function element(tag, text, parent) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function shown(value, digits) {
  if (value === null || value === undefined || value === "") return "–";
  return typeof value === "number" && digits !== undefined ? value.toFixed(digits) : String(value);
}

// What is missing comes last whichever way the column is sorted.
function compare(a, b, down) {
  const lacks = (x) => x === null || x === undefined || x === "";
  if (lacks(a) || lacks(b)) return lacks(a) - lacks(b);
  const order = typeof a === "number" && typeof b === "number" ? a - b : a < b ? -1 : a > b ? 1 : 0;
  return down ? -order : order;
}

function table(id, columns, rows, decorate) {
  const body = element("tbody");
  const head = element("tr");
  const count = document.getElementById(id + "-count");
  for (const row of rows) {
    row.line = element("tr");
    for (const column of columns) {
      const cell = element("td", shown(row[column.key], column.digits), row.line);
      if (column.text) cell.textContent = column.text(row);
    }
    decorate(row);
  }
  function place() {
    body.replaceChildren(...rows.flatMap((row) => (row.more ? [row.line, row.more] : [row.line])));
  }
  columns.forEach((column) => {
    const header = element("th", undefined, head);
    const button = element("button", column.name, header);
    button.type = "button";
    button.addEventListener("click", () => {
      const down = header.getAttribute("aria-sort") === "ascending";
      for (const other of head.children) other.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", down ? "descending" : "ascending");
      rows.sort((a, b) => compare(a[column.key], b[column.key], down));
      place();
    });
  });
  place();
  const whole = element("table");
  element("thead", undefined, whole).append(head);
  whole.append(body);
  document.getElementById(id).append(whole);
  return () => {
    let visible = 0;
    for (const row of rows) {
      const keep = Object.values(filters).every((wanted) => wanted(row));
      row.line.hidden = !keep;
      if (row.more) row.more.hidden = !keep;
      visible += keep;
    }
    count.textContent = `${visible} of ${rows.length} rows`;
  };
}

function curve(text, parent) {
  const points = JSON.parse(text);
  const names = Object.keys(points).filter((name) => name !== "updates" && name !== "seconds");
  const updates = points.updates || [];
  if (updates.length < 2 || !names.length) return;
  const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#56b4e9", "#e69f00"];
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  picture.setAttribute("viewBox", "0 0 420 120");
  picture.setAttribute("width", "420");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", "training curve");
  names.forEach((name, i) => {
    const known = points[name].filter((value) => value !== null);
    const low = Math.min(...known), high = Math.max(...known);
    const line = document.createElementNS(space, "polyline");
    const last = updates[updates.length - 1];
    line.setAttribute("points", updates.flatMap((x, k) => points[name][k] === null ? [] :
      [`${(415 * x / last + 2).toFixed(1)},${(115 - 110 * (points[name][k] - low) / (high - low || 1)).toFixed(1)}`]).join(" "));
    line.setAttribute("fill", "none");
    line.setAttribute("stroke", colours[i % colours.length]);
    picture.append(line);
    const label = element("div", `${name}: ${low} to ${high}`, parent);
    label.style.color = colours[i % colours.length];
  });
  parent.append(picture);
}

function open(row) {
  if (row.more) { row.more.remove(); row.more = undefined; return; }
  row.more = element("tr");
  row.more.className = "more";
  const cell = element("td", undefined, row.more);
  cell.colSpan = row.line.children.length;
  for (const [name, value] of Object.entries(row.facts)) {
    if (value) element("pre", `${name}: ${value}`, cell);
  }
  if (row.reason) element("pre", `failure: ${row.reason}`, cell).className = "failed";
  if (row.traceback) element("pre", row.traceback, cell).className = "failed";
  curve(row.curve, cell);
  row.line.after(row.more);
}

const results = table("results", [
  { name: "method", key: "method" },
  { name: "task", key: "task" },
  { name: "limit", key: "limit" },
  { name: "of maximum", key: "fraction", text: (r) => r.fraction === null ? "–" : `${+(100 * r.fraction).toPrecision(6)}%` },
  { name: "reward", key: "reward", digits: 3 },
  { name: "± reward", key: "reward_std", digits: 3 },
  { name: "cost", key: "cost", digits: 3 },
  { name: "± cost", key: "cost_std", digits: 3 },
  { name: "safe", key: "safe", text: (r) => r.safe === null ? "–" : r.safe ? "✓" : "✗" },
  { name: "seeds", key: "seeds" },
  { name: "status", key: "status" },
], data.results, (row) => {
  if (row.safe === false) row.line.className = "unsafe";
  if (row.best) row.line.className = "best";
  if (row.status === "failed") row.line.className = "failed";
});

const jobs = table("jobs", [
  { name: "method", key: "method" },
  { name: "task", key: "task" },
  { name: "seed", key: "seed" },
  { name: "trained for", key: "limit", text: (r) => r.limit === null ? "all limits" : String(r.limit) },
  { name: "status", key: "status" },
  { name: "updates", key: "updates" },
  { name: "training s", key: "train_seconds", digits: 1 },
  { name: "updates/s", key: "speed", digits: 1 },
  { name: "evaluation s", key: "evaluation_seconds", digits: 1 },
  { name: "memory MB", key: "memory", digits: 0 },
], data.jobs, (row) => {
  row.line.classList.add("job");
  if (row.status === "failed") row.line.classList.add("failed");
  row.line.tabIndex = 0;
  row.line.addEventListener("click", () => open(row));
  row.line.addEventListener("keydown", (event) => {
    if (event.key === "Enter") open(row);
  });
});

function refresh() { results(); jobs(); }

function chooser(id, key, numeric) {
  const select = document.getElementById("filter-" + id);
  const values = [...new Set([...data.results, ...data.jobs].map((row) => row[key]))]
    .filter((value) => value !== null && value !== undefined);
  values.sort((a, b) => (numeric ? a - b : a < b ? -1 : 1));
  for (const value of values) element("option", String(value), select).value = String(value);
  select.addEventListener("change", () => {
    const wanted = select.value;
    // a job trained for all limits serves any
    filters[id] = (row) => !wanted || String(row[key]) === wanted || (id === "limit" && row[key] === null);
    refresh();
  });
}
chooser("task", "task");
chooser("limit", "limit", true);
chooser("method", "method");
chooser("status", "status");
document.getElementById("filter-text").addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  filters.text = (row) => [row.method, row.task, row.reason].some((text) => (text || "").toLowerCase().includes(wanted));
  refresh();
});
refresh();
