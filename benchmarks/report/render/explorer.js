// Two tables, "results" and "jobs", made from the JSON in the page. Whatever comes from a result is
// put in as text, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const filters = {};

function records({ columns, rows }) {
  return rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i]])));
}

function explorer(id, columns, rows, decorate) {
  const table = element("table");
  element("caption", document.querySelector(`#${id} h2`).firstChild.textContent.trim(), table);
  const head = element("tr", undefined, element("thead", undefined, table));
  for (const column of columns) {
    const header = element("th", column.name, head);
    header.scope = "col";
    if (column.better) header.dataset.better = column.better;
  }
  const body = element("tbody", undefined, table);
  for (const row of rows) {
    row.line = element("tr", undefined, body);
    columns.forEach((column, i) => {
      const value = row[column.key];
      const lacks = value === null || value === undefined || value === "";
      const number = typeof value === "number" && column.digits !== undefined;
      const cell = element(i ? "td" : "th", lacks ? "–" : number ? value.toFixed(column.digits) : String(value), row.line);
      if (!i) cell.scope = "row";
      if (number) cell.dataset.v = value;
      if (column.text) cell.textContent = column.text(row);
    });
    decorate(row);
  }
  document.getElementById(id + "-table").append(table);
  prepare(table);
  const count = document.getElementById(id + "-count");
  return () => {
    let visible = 0;
    for (const row of rows) {
      const keep = Object.values(filters).every((wanted) => wanted(row));
      row.line.hidden = !keep;
      if (row.line.more) row.line.more.hidden = !keep;
      visible += keep;
    }
    count.textContent = `${visible} of ${rows.length} rows`;
  };
}

// [last update, index of the names, then of each line: lowest, highest, heights from "0" on]
function curve([last, index, ...lines], parent) {
  if (last === undefined) return;
  const colours = ["#0072b2", "#d55e00", "#00875f", "#b8558f", "#7a6fd8", "#8a7a00", "#c8372d"];
  const picture = svg("svg", { viewBox: "0 0 420 80", width: 420, role: "img", "aria-label": "training curve" });
  data.losses[index].split("\n").forEach((name, i) => {
    const [low, high, heights] = lines.slice(3 * i, 3 * i + 3);
    const colour = colours[i % colours.length];
    const step = 416 / (heights.length - 1 || 1);
    const points = [...heights].flatMap((c, k) => (c === " " ? [] :
      [`${(step * k + 2).toFixed(1)},${75 - (c.charCodeAt(0) - 48)}`]));
    svg("polyline", { points: points.join(" "), fill: "none", stroke: colour }, picture);
    element("div", `${name}: ${low} to ${high}, until update ${last}`, parent).style.color = colour;
  });
  parent.append(picture);
}

function open(row, button) {
  const closing = row.line.more;
  button.setAttribute("aria-expanded", String(!closing));
  if (closing) { closing.remove(); row.line.more = undefined; return; }
  const line = row.line.more = element("tr");
  line.className = "more";
  const cell = element("td", undefined, line);
  cell.colSpan = row.line.children.length;
  const inside = element("div", undefined, cell);
  element("pre", `key: ${row.key}`, inside);
  Object.entries(data.facts).forEach(([name, values], i) => {
    const value = values[row.facts[i]];
    if (value) element("pre", `${name}: ${value}`, inside);
  });
  if (row.reason) element("pre", `failure: ${row.reason}`, inside).className = "failed";
  if (row.traceback) element("pre", row.traceback, inside).className = "failed";
  curve(row.curve, inside);
  row.line.after(line);
}

const results = explorer("results", [
  { name: "method", key: "method" },
  { name: "task", key: "task" },
  { name: "limit", key: "limit" },
  { name: "reward", key: "reward", digits: 3, better: "more" },
  { name: "± reward", key: "reward_std", digits: 3, better: "less" },
  { name: "cost", key: "cost", digits: 3, better: "less" },
  { name: "± cost", key: "cost_std", digits: 3, better: "less" },
  { name: "safe", key: "safe", text: (r) => (r.safe === null ? "–" : r.safe ? "✓" : "✗") },
  { name: "seeds", key: "seeds" },
  { name: "status", key: "status" },
], records(data.results), (row) => {
  if (row.safe === false) row.line.className = "unsafe";
  if (row.best) row.line.className = "best";
  if (row.status === "failed") row.line.className = "failed";
});

const jobs = explorer("jobs", [
  { name: "method", key: "method" },
  { name: "task", key: "task" },
  { name: "seed", key: "seed" },
  { name: "trained for", key: "limit" },
  { name: "status", key: "status" },
  { name: "updates", key: "updates" },
  { name: "training s", key: "train_seconds", digits: 1, better: "less" },
  { name: "updates/s", key: "speed", digits: 1, better: "more" },
  { name: "evaluation s", key: "evaluation_seconds", digits: 1, better: "less" },
  { name: "memory MB", key: "memory", digits: 0, better: "less" },
], records(data.jobs), (row) => {
  row.line.classList.add("job");
  if (row.status === "failed") row.line.classList.add("failed");
  const button = element("button");
  button.type = "button";
  button.setAttribute("aria-expanded", "false");
  button.append(...row.line.cells[0].childNodes);
  row.line.cells[0].append(button);
  button.addEventListener("click", () => open(row, button));
});

function refresh() { results(); jobs(); }

for (const id of ["task", "method", "status"]) {
  const select = document.getElementById("filter-" + id);
  const both = [data.results, data.jobs].flatMap(({ columns, rows }) => rows.map((row) => row[columns.indexOf(id)]));
  for (const value of [...new Set(both)].sort()) element("option", value, select).value = value;
  select.addEventListener("change", () => {
    filters[id] = (row) => !select.value || row[id] === select.value;
    refresh();
  });
}
document.getElementById("filter-text").addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  filters.text = (row) => [row.method, row.task, row.reason].some((text) => (text || "").toLowerCase().includes(wanted));
  refresh();
});
