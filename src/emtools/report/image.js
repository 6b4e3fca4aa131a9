// One image: its picture with what was found in it, its tables, and where it comes from.

const POINT = 0.012; // radius of what has a place but no size, of the picture's larger side

function column(table, name) {
  return table && table.columns.find((one) => one.name === name);
}

function value(table, name, row) {
  const found = column(table, name);
  return found ? found.values[row] : undefined;
}

function course(held, at, chain) {
  const { courses } = held;
  const index = courses.at.findIndex((one, i) => one === at && courses.chain[i] === chain);
  return index < 0 ? null : courses.points[index];
}

function line(points) {
  let path = "";
  for (let i = 0; i < points.length; i += 2) path += `${path ? "L" : "M"}${points[i + 1]} ${points[i]}`;
  return drawn("path", { d: path });
}

function circle(y, x, radius) {
  return drawn("circle", { cx: x, cy: y, r: radius });
}

// The same grain in another table of the image, for what has no place of its own.
function grainPlace(held, at, grain) {
  const table = held.tables["lattice.grains"];
  const row = table ? table.at.findIndex((one, i) => one === at && value(table, "grain", i) === grain) : -1;
  return row < 0 ? null : { table, row };
}

// Where an object is, in the image's own unit; null if its rows do not say.
function mark(held, name, row) {
  const table = held.tables[name];
  const at = table.at[row];
  const { unit, extent } = held.images[at];
  if (!extent) return null;
  const size = Math.max(extent[0], extent[1]);
  const y = value(table, `y_${unit}`, row);
  const x = value(table, `x_${unit}`, row);
  if (typeof y === "number" && typeof x === "number") {
    const area = value(table, `area_${unit}2`, row);
    const across = value(table, `diameter_${unit}`, row) || (area ? 2 * Math.sqrt(area / Math.PI) : 0);
    return circle(y, x, across ? across / 2 : POINT * size);
  }
  const region = /^chain (\d+)$/.exec(value(table, "region", row) || "");
  const chain = region ? Number(region[1]) : value(table, "chain", row);
  const points = chain ? course(held, at, chain) : null;
  if (points) return line(points);
  const grain = grainPlace(held, at, value(table, "grain", row));
  if (!grain) return null;
  const angle = (value(table, "angle_deg", row) * Math.PI) / 180;
  const body = mark(held, "lattice.grains", grain.row);
  if (!body || Number.isNaN(angle)) return body;
  const [cy, cx] = [value(grain.table, `y_${unit}`, grain.row), value(grain.table, `x_${unit}`, grain.row)];
  const reach = 0.12 * size;
  const [dy, dx] = [-Math.sin(angle) * reach, Math.cos(angle) * reach];
  return drawn("g", {}, body, line([cy - dy, cx - dx, cy + dy, cx + dx]));
}

function niceLength(length) {
  const power = 10 ** Math.floor(Math.log10(length));
  return power * [5, 2, 1].find((step) => step * power <= length);
}

function scaleBar([height, width], unit) {
  const length = niceLength(width / 4);
  const [x, y] = [0.05 * width, 0.94 * height];
  const text = drawn("text", { x: x + length / 2, y: y - 0.025 * height, "font-size": 0.05 * height, "text-anchor": "middle" });
  text.textContent = `${length} ${unit}`;
  return drawn("g", { class: "bar" }, drawn("rect", { x, y, width: length, height: 0.012 * height }), text);
}

function picture(held, at, thumbnail, chosen) {
  const image = held.images[at];
  if (!image.extent) return thumbnail ? element("img", { src: thumbnail, alt: image.name, class: "plain" }) : null;
  const [height, width, stepY, stepX] = image.extent;
  // Places are of pixels' centres: the picture begins half a pixel before the first one.
  const [top, left] = [-stepY / 2, -stepX / 2];
  const svg = drawn("svg", { viewBox: `${left} ${top} ${width} ${height}`, role: "img", class: "picture" });
  svg.setAttribute("aria-label", `${image.name}${chosen ? ", the chosen object marked" : ""}`);
  if (thumbnail) svg.append(drawn("image", { href: thumbnail, x: left, y: top, width, height, preserveAspectRatio: "none" }));
  const all = drawn("g", { class: "all" });
  held.courses.at.forEach((one, i) => { if (one === at) all.append(line(held.courses.points[i])); });
  const grains = held.tables["lattice.grains"];
  if (grains) grains.at.forEach((one, row) => { if (one === at) { const body = mark(held, "lattice.grains", row); if (body) all.append(body); } });
  svg.append(all);
  if (["nm", "1/nm"].includes(image.unit)) svg.append(drawn("g", { transform: `translate(${left} ${top})` }, scaleBar([height, width], image.unit)));
  const marked = chosen ? mark(held, chosen.table, chosen.row) : null;
  if (marked) svg.append(drawn("g", { class: "chosen" }, marked));
  return svg;
}

function facts(pairs) {
  return element("dl", { class: "facts" }, ...pairs.map(([name, said]) =>
    element("div", {}, element("dt", { text: name }), element("dd", {}, element("bdi", { text: said })))));
}

function measurementPart(held, at, measurement, choose) {
  const part = element("section", {}, element("h3", { text: measurement.name }),
    element("p", { text: measurement.outcome }), facts(measurement.facts));
  for (const [name, table] of Object.entries(held.tables)) {
    if (!name.startsWith(`${measurement.name}.`)) continue;
    const rows = [];
    table.at.forEach((one, row) => { if (one === at) rows.push(row); });
    if (!rows.length) continue;
    part.append(element("h4", { text: name.split(".")[1] }), element("p", { class: "note", text: table.meaning }),
      objectTable(held, name, rows, { withImage: false, choose: (row) => choose(name, row) }).place);
  }
  if (measurement.pictures.length) {
    part.append(element("p", {}, "Full pictures: ", ...measurement.pictures.flatMap(([kind, address], i) =>
      [i ? ", " : "", element("a", { href: address, text: kind })])));
  }
  part.append(element("details", {}, element("summary", { text: "parameters" }), facts(measurement.parameters)));
  return part;
}

function imagePart(held, at, thumbnail, chosen, choose) {
  const image = held.images[at];
  const shown = element("div", { class: "shown" });
  const mark = (now) => {
    const said = now ? `${now.table.split(".")[1]}: ${held.tables[now.table].columns.slice(0, 6)
      .map((one) => `${one.words} ${measured(one.values[now.row], one.errors && one.errors[now.row])}${one.unit ? ` ${one.unit}` : ""}`).join(", ")}` : "";
    shown.replaceChildren(...[picture(held, at, thumbnail, now), said ? element("p", { class: "note", role: "status", text: said }) : null].filter(Boolean));
  };
  mark(chosen);
  const part = element("article", { class: "image" },
    element("h2", { tabindex: "-1" }, element("bdi", { text: image.name })),
    image.group ? element("p", { class: "note", text: `group ${image.group}${image.sample ? `, sample ${image.sample}` : ""}` }) : null,
    shown,
    image.audit.length ? element("ul", { class: "audit" }, ...image.audit.map((text) => element("li", { text }))) : null);
  for (const measurement of image.measurements) {
    part.append(measurementPart(held, at, measurement, (table, row) => { mark({ table, row }); choose(table, row); }));
  }
  for (const [name, reason] of image.skipped) part.append(element("p", { class: "note", text: `${name} not measured: ${reason}` }));
  part.append(element("h3", { text: "Image and calibration" }), facts(image.facts),
    element("p", { class: "note", text: `took ${measured(image.seconds)} s` }));
  return part;
}
