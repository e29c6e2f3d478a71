// The buttons for limits and robots. They govern every table and the figure of the overall table.

const chosen = { limits: "all", robot: "all" };
const original = {};
for (const table of document.querySelectorAll("main table[id]")) original[table.id] = [...table.tBodies[0].rows];

// As `hypertext.html_cell`: a text, or [text, CSS class, number to sort by].
function cellOf(content, first) {
  const [text, css, value] = typeof content === "string" ? [content] : content;
  const cell = element(first ? "th" : "td");
  if (first) cell.scope = "row";
  if (css) cell.className = css;
  if (value !== undefined) cell.dataset.v = value;
  const detail = /\bname\b/.test(css || "") ? null : text.match(/^(.*?) ([[±(†].*)$/);
  cell.textContent = detail ? detail[1] + " " : text;
  if (detail) element("small", detail[2], cell);
  if (looks[text] && looks[text][2] !== text) cell.title = looks[text][2];
  return cell;
}

function rows(key, view) {
  const table = document.getElementById("table-" + key);
  if (!table) return;
  table.tBodies[0].replaceChildren(...(view ? view[key].map(([setting, ...cells]) => {
    const row = element("tr");
    if (setting) row.dataset.s = setting;
    row.append(...cells.map((cell, i) => cellOf(cell, i === 0)));
    return row;
  }) : original[table.id]));
  sortAgain(table);
}

function apply() {
  const { limits, robot } = chosen;
  const settings = limits === "all" ? null : data.choices.limits[limits];
  const hides = (setting) => Boolean(settings && setting && !settings.includes(setting));
  const part = limits !== "all" || robot !== "all";
  for (const key of ["overall", "against", "both-safe"]) {
    rows(key, part ? data.views[`${limits} ${robot}`] : null);
  }
  for (const key of ["averages", "recommendation"]) {
    rows(key, robot === "all" ? null : data.views[`* ${robot}`]);
  }
  for (const section of document.querySelectorAll("section[data-robot]")) {
    section.hidden = robot !== "all" && section.dataset.robot !== robot;
    const link = document.querySelector(`nav a[href="#${section.id}"]`);
    if (link) link.parentElement.hidden = section.hidden;
  }
  for (const table of document.querySelectorAll("main table")) {
    for (const cell of table.tHead.querySelectorAll("th[data-s]")) cell.hidden = hides(cell.dataset.s);
    const hidden = headers(table).map((header) => header.hidden);
    for (const row of table.tBodies[0].rows) {
      if (row.dataset.s) row.hidden = hides(row.dataset.s);
      if (row.cells.length === hidden.length) [...row.cells].forEach((cell, i) => { cell.hidden = hidden[i]; });
    }
  }
  filters.limits = (row) => !hides(row.setting);
  filters.robot = (row) => robot === "all" || row.robot === robot;
  document.body.classList.toggle("part", part);
  refresh();
  chart(part ? data.views[`${limits} ${robot}`].figure : data.figure);
}

function group(kind, name, keys) {
  if (keys.length < 2) return;
  const line = element("div", undefined, document.getElementById("choices"));
  line.setAttribute("role", "group");
  line.setAttribute("aria-label", name);
  element("span", name, line);
  for (const key of keys) {
    const button = element("button", key, line);
    button.type = "button";
    button.dataset[kind] = key;
    button.setAttribute("aria-pressed", String(key === "all"));
    button.addEventListener("click", () => {
      chosen[kind] = key;
      for (const other of line.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
      apply();
    });
  }
}

group("limits", "limits", Object.keys(data.choices.limits));
group("robot", "robots", data.choices.robot);
apply();
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details")) one.open = true;
});
