// Unpacking what the page carries, numbers as text, and elements without markup from outside.

async function unpacked(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

// Text is only ever set as text: names and metadata of files are somebody else's.
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else if (name === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function drawn(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// As the program writes it: one digit of the uncertainty, two if it starts with a 1.
function measured(value, err) {
  if (value === null || value === undefined) return "";
  if (typeof value === "boolean") return value ? "yes" : "";
  if (typeof value !== "number") return String(value);
  if (!(err > 0)) return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
  const exponent = Math.floor(Math.log10(err));
  const leading = Math.round((err / 10 ** exponent) * 10) / 10;
  const decimals = -exponent + (leading < 2 ? 1 : 0);
  if (decimals >= 0) return `${value.toFixed(decimals)} ± ${err.toFixed(decimals)}`;
  const step = 10 ** -decimals;
  return `${Math.round(value / step) * step} ± ${Math.round(err / step) * step}`;
}
