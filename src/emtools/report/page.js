"use strict";
// Sorting, filtering, opening what a link points at, and printing what is folded.
(function () {
  function key(row, column) {
    const cell = row.cells[column];
    return cell.dataset.v === undefined ? cell.textContent.trim() : cell.dataset.v;
  }

  function sort(table, column, ascending) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows).map((row) => [key(row, column), row]);
    const numeric = rows.every(([value]) => value === "" || isFinite(Number(value)));
    rows.sort(([a], [b]) => {
      if (a === "" || b === "") return (a === "") - (b === ""); // what is missing stays last
      const order = numeric ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true });
      return ascending ? order : -order;
    });
    body.append(...rows.map(([, row]) => row));
    for (const [index, head] of Array.from(table.tHead.rows[0].cells).entries()) {
      if (index === column) head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("table.sortable th button");
    if (!button) return;
    const head = button.closest("th");
    sort(head.closest("table"), head.cellIndex, head.getAttribute("aria-sort") !== "ascending");
  });

  function open() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const details = target && target.closest("details.image");
    if (!details) return;
    details.hidden = false;
    details.open = true;
    details.scrollIntoView();
    details.querySelector("summary").focus({ preventScroll: true });
  }
  window.addEventListener("hashchange", open);
  // The same link once more changes no hash, but is meant.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#image-']");
    if (link && link.hash === location.hash) open();
  });
  open();

  const filter = document.getElementById("filter");
  if (filter) {
    const cards = Array.from(document.querySelectorAll(".card"));
    const sections = document.querySelectorAll("details.image");
    filter.addEventListener("input", () => {
      const wanted = filter.value.trim().toLowerCase();
      let shown = 0;
      cards.forEach((card, index) => {
        const match = card.textContent.toLowerCase().includes(wanted);
        card.hidden = sections[index].hidden = !match;
        shown += match;
      });
      document.getElementById("shown").textContent = wanted ? `${shown} of ${cards.length}` : "";
    });
  }

  // A few images are printed with all their details, many as the gallery they are.
  const most = 40;
  let opened = [];
  window.addEventListener("beforeprint", () => {
    const folded = Array.from(document.querySelectorAll("details:not([open])"));
    opened = document.querySelectorAll("details.image").length > most ? [] : folded;
    opened.forEach((details) => { details.open = true; });
    document.querySelectorAll("img[loading]").forEach((image) => { image.loading = "eager"; });
  });
  window.addEventListener("afterprint", () => {
    opened.forEach((details) => { details.open = false; });
    opened = [];
  });
})();
