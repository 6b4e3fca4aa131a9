// Tables of objects: sorted, filtered, and each row a way to its image.

const DataTable = window.emtoolsTables;

function titles(columns) {
  return columns.map((column) => element(
    "th", { scope: "col", title: column.meaning }, column.words,
    column.unit ? element("small", { text: ` ${column.unit}` }) : null));
}

// DataTables takes text for markup, also where it only sorts or filters: it is given none.
function escaped(text) {
  return element("span", { text }).innerHTML.replaceAll('"', "&quot;");
}

// What a column shows of a row, and what it is sorted and filtered by.
function cellOf(column) {
  return (row, type) => {
    const value = column.values[row];
    if ((type === "sort" || type === "type") && typeof value === "number") return value;
    return value === null ? "" : escaped(measured(value, column.errors && column.errors[row]));
  };
}

// rows: places in the table; choose(row): what a click or Enter on a row does.
function objectTable(held, name, rows, { withImage, choose }) {
  const { images, tables } = held;
  const source = tables[name];
  const grouped = withImage && images.some((image) => image.group);
  const lead = withImage ? [{ words: "image", unit: "", meaning: "where it was found" }] : [];
  if (grouped) lead.push({ words: "group", unit: "", meaning: "that the image belongs to" });
  const node = element("table", { class: "objects", "aria-label": `${name}: ${source.meaning}` },
    element("thead", {}, element("tr", {}, ...titles([...lead, ...source.columns]))));
  const columns = source.columns.map((column) => ({ data: null, render: cellOf(column),
    className: typeof column.values.find((value) => value !== null) === "number" ? "num" : "" }));
  if (grouped) columns.unshift({ data: null, render: (row) => escaped(images[source.at[row]].group) });
  if (withImage) columns.unshift({ data: null, render: (row) => escaped(images[source.at[row]].name) });
  const place = element("div", { class: "scroll" }, node);
  const table = new DataTable(node, {
    data: rows.map((row) => row), columns, order: [], deferRender: true, autoWidth: false,
    pageLength: 10, lengthMenu: [10, 25, 100, { label: "all", value: -1 }],
    paging: rows.length > 10, info: rows.length > 10, searching: withImage,
    // The first cell is the way in for the keyboard.
    createdRow: (line, row) => {
      const first = line.cells[0];
      first.replaceChildren(element("button", { type: "button", class: "link", text: first.textContent || "show" }));
      line.addEventListener("click", () => choose(row));
    },
    language: { search: "contains", info: "_START_ to _END_ of _TOTAL_", infoFiltered: "(filtered from _MAX_)",
      lengthMenu: "_MENU_ rows", emptyTable: "nothing found", zeroRecords: "nothing matches" },
  });
  return { place, table };
}
