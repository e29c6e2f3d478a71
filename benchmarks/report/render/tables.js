"use strict";
// Every table: sorted by a click on a header, best first, and downloaded as CSV as it is shown.

function element(tag, text, parent) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function headers(table) { return [...table.tHead.rows[table.tHead.rows.length - 1].cells]; }

// A cell's number, its text in a column of words, null where there is nothing.
function worth(cell, words) {
  if (!cell) return null;
  if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
  const text = cell.textContent.trim();
  if (text === "" || text === "–") return null;
  if (words) return text.toLowerCase();
  const found = text.match(/-?\d+(\.\d+)?/);
  return found ? Number(found[0]) : null;
}

// What is missing comes last whichever way a column is sorted.
function compare(a, b, down) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = a < b ? -1 : a > b ? 1 : 0;
  return down ? -order : order;
}

function sort(table, index, down) {
  const body = table.tBodies[0];
  const rows = [...body.rows].filter((row) => !row.classList.contains("more"));
  const better = headers(table)[index].dataset.better;
  const numbers = rows.every((row) => /^(–|[-\d.]+)?$/.test(row.cells[index].textContent.trim()));
  const keyed = rows.map((row) => [worth(row.cells[index], !better && !numbers), row]);
  keyed.sort((a, b) => compare(a[0], b[0], down));
  body.replaceChildren(...keyed.flatMap(([, row]) => (row.more ? [row, row.more] : [row])));
}

function sortable(table) {
  headers(table).forEach((header, index) => {
    const button = element("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const first = header.dataset.better === "more" ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const next = header.getAttribute("aria-sort") === first ? other : first;
      for (const one of headers(table)) one.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", next);
      sort(table, index, next === "descending");
    });
  });
}

// After new rows: the order that the reader chose.
function sortAgain(table) {
  headers(table).forEach((header, index) => {
    const order = header.getAttribute("aria-sort");
    if (order) sort(table, index, order === "descending");
  });
}

function csv(table) {
  const heads = headers(table);
  const shown = heads.map((_, i) => i).filter((i) => !heads[i].hidden);
  const over = [];
  if (table.tHead.rows.length > 1) {
    for (const cell of table.tHead.rows[0].cells) {
      for (let i = 0; i < cell.colSpan; i++) over.push(cell.textContent.trim());
    }
  }
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = [shown.map((i) => [over[i], heads[i].textContent.trim()].filter(Boolean).join(" "))];
  for (const row of table.tBodies[0].rows) {
    if (row.hidden || row.classList.contains("more")) continue;
    lines.push(shown.map((i) => row.cells[i].textContent.trim()));
  }
  return lines.map((line) => line.map(quoted).join(",") + "\n").join("");
}

function downloadable(table, name) {
  const tools = element("div");
  tools.className = "tools";
  const button = element("button", "Download CSV", tools);
  button.type = "button";
  button.className = "csv";
  button.setAttribute("aria-label", `Download ${table.caption.textContent} as CSV`);
  button.addEventListener("click", () => {
    const link = element("a");
    link.href = URL.createObjectURL(new Blob([csv(table)], { type: "text/csv" }));
    link.download = `${name}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  table.closest(".scroll").before(tools);
}

function prepare(table) {
  sortable(table);
  downloadable(table, table.closest("section").id);
}

for (const table of document.querySelectorAll("main table")) prepare(table);
