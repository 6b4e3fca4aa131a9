// Charts: drawn by Vega as SVG, without running text as code (ast), in the page's colours.

const asked = { ast: true, renderer: "svg", actions: false, defaultStyle: false, tooltip: { disableDefaultStyle: true } };

async function chart(spec, note, choose) {
  const place = element("div", { class: "chart" });
  const figure = element("figure", {}, place, note ? element("figcaption", { text: note }) : null);
  const { view } = await window.vegaEmbed(place, spec, asked);
  if (choose) view.addSignalListener("range", (_, value) => choose(value.low || value.high || null));
  return figure;
}
