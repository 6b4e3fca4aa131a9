// What the page does: objects of all images, one image at a time, the gallery's filter, printing.

const MOST_PRINTED = 40; // images with all their details; of more, the gallery alone

const [held, specs] = await Promise.all([unpacked("data"), unpacked("charts")]);
const cards = Array.from(document.querySelectorAll(".card"));
const overview = document.getElementById("overview");
const single = document.getElementById("single");

function thumbnailOf(at) {
  const shown = cards[at] && cards[at].querySelector("img");
  return shown ? shown.src : "";
}

// --- objects of all images

const objects = document.getElementById("objects-shown");
const chooser = document.getElementById("objects-table");
for (const [name, table] of Object.entries(held.tables)) {
  chooser.append(element("option", { value: name, text: `${name} (${table.rows})` }));
}

// A range to be typed: what dragging over a histogram does for the mouse.
function rangeInputs(title, choose) {
  const [low, high] = ["from", "to"].map((end) =>
    element("input", { type: "number", step: "any", "aria-label": `${title} ${end}` }));
  const told = () => {
    const range = [low.value === "" ? -Infinity : Number(low.value), high.value === "" ? Infinity : Number(high.value)];
    choose(low.value === "" && high.value === "" ? null : range);
  };
  [low, high].forEach((input) => input.addEventListener("change", told));
  return {
    place: element("p", { class: "filter range" }, "rows from ", low, " to ", high),
    show: (range) => { [low.value, high.value] = range ? range.map((end) => Number(end.toPrecision(4))) : ["", ""]; },
  };
}

async function showObjects(name) {
  const table = held.tables[name];
  const ranges = new Map();
  const rows = Array.from(table.at.keys());
  const kept = (row) => Array.from(ranges).every(([one, [low, high]]) => {
    const own = value(table, one, row);
    return typeof own === "number" && own >= low && own <= high;
  });
  const made = objectTable(held, name, rows, { withImage: true, choose: (row) => go(table.at[row], name, row) });
  const charts = element("div", { class: "charts" });
  for (const one of specs.tables.filter((spec) => spec.table === name)) {
    const choose = (range) => {
      if (range) ranges.set(one.column, range);
      else ranges.delete(one.column);
      made.table.search.fixed("range", ranges.size ? (_, row) => kept(row) : null).draw();
    };
    const ends = rangeInputs(one.title, choose);
    const figure = await chart(one.spec, one.note, (range) => {
      const sorted = range ? [Math.min(...range), Math.max(...range)] : null;
      ends.show(sorted);
      choose(sorted);
    });
    figure.append(ends.place);
    charts.append(figure);
  }
  const fewer = table.at.length < table.rows ? `${table.at.length} of ${table.rows} rows; all are in the data files. ` : "";
  objects.replaceChildren(charts, element("p", { class: "note",
    text: `${fewer}${table.meaning} Choose a row to see it in its image; drag over a histogram, or type, to see the rows of a range.` }), made.place);
}

if (chooser.options.length) {
  chooser.addEventListener("change", () => showObjects(chooser.value));
  const images = (name) => new Set(held.tables[name].at).size;
  chooser.value = Object.keys(held.tables).reduce((best, name) => (images(name) > images(best) ? name : best));
  await showObjects(chooser.value);
} else {
  document.getElementById("objects-part").hidden = true;
}

for (const one of specs.summaries) {
  for (const kind of ["survival", "effects"]) {
    const place = document.getElementById(`${kind}-${one.measurement}`);
    if (place && one[kind]) place.append(await chart(one[kind], place.dataset.note));
  }
}

// --- one image; the address says which, so that it can be gone back from and linked

function go(at, table, row) {
  location.hash = `image=${at}${table ? `&row=${table}:${row}` : ""}`;
}

function route() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const at = Number(asked.get("image") ?? NaN);
  const one = Boolean(held.images[at]);
  overview.hidden = one;
  single.hidden = !one;
  if (!one) { single.querySelector(".body").replaceChildren(); return; }
  const [table, row] = (asked.get("row") || "").split(":");
  const known = held.tables[table] && held.tables[table].at[Number(row)] === at;
  const part = imagePart(held, at, thumbnailOf(at), known ? { table, row: Number(row) } : null,
    (name, index) => history.replaceState(null, "", `#image=${at}&row=${name}:${index}`));
  single.querySelector(".body").replaceChildren(part);
  document.getElementById("before").disabled = at === 0;
  document.getElementById("after").disabled = at === held.images.length - 1;
  document.getElementById("place").textContent = `${at + 1} of ${held.images.length}`;
  part.querySelector("h2").focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

function step(by) {
  go(Number(new URLSearchParams(location.hash.slice(1)).get("image")) + by);
}
document.getElementById("before").addEventListener("click", () => step(-1));
document.getElementById("after").addEventListener("click", () => step(1));
window.addEventListener("hashchange", route);
route();

// --- the gallery's filter

const filter = document.getElementById("filter");
if (filter) {
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    let shown = 0;
    for (const card of cards) {
      card.hidden = !card.textContent.toLowerCase().includes(wanted);
      shown += !card.hidden;
    }
    document.getElementById("shown").textContent = wanted ? `${shown} of ${cards.length}` : "";
  });
}

// --- light and dark, for the tables, which are told by a class

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const tell = () => document.documentElement.classList.toggle("dark", dark.matches);
dark.addEventListener("change", tell);
tell();

// --- printing

const printed = document.getElementById("printed");
window.addEventListener("beforeprint", () => {
  document.documentElement.classList.remove("dark");
  document.querySelectorAll("img[loading]").forEach((image) => { image.loading = "eager"; });
  if (overview.hidden || held.images.length > MOST_PRINTED) return;
  printed.replaceChildren(...held.images.map((_, at) => imagePart(held, at, thumbnailOf(at), null, () => {})));
});
window.addEventListener("afterprint", () => { printed.replaceChildren(); tell(); });
document.documentElement.dataset.ready = "yes";
