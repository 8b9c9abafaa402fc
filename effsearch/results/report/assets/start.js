// Puts the page together: the table at once, the charts when their library is unpacked.

const table = makeTable(data.table);
let picked = null;

function pick(numbers) {
  picked = numbers && numbers.size ? numbers : null;
  table.pick(picked);
  const chart = find('[data-chart="front"]');
  if (chart && chart.data) showPicked(chart, picked);
  const line = find("[data-selection]");
  if (line) {
    const several = picked && picked.size > 1;
    line.textContent = picked ? `${picked.size} network${several ? "s" : ""} picked: the table of trainings keeps to ${several ? "them" : "it"}.` : "";
  }
}

if (table.clearButton) table.clearButton.addEventListener("click", () => pick(null));
for (const button of findAll("[data-show]")) {
  button.addEventListener("click", () => {
    pick(new Set([Number(button.dataset.show)]));
    find("#trainings").scrollIntoView();
    find("[data-filter]").focus({ preventScroll: true });
  });
}

const DRAWN = {
  front: frontChart, progress: progressChart, losses: lossChart, growth: growthChart, surface: surfaceChart, ablation: ablationChart,
};

function drawAll() {
  for (const place of findAll("[data-chart]")) {
    const key = place.dataset.chart;
    const draw = DRAWN[key] || (key.startsWith("curve-") ? curvesChart : agreementChart);
    const [traces, layout] = draw(data.charts[key]);
    const isNew = !place.data;
    if (isNew) place.replaceChildren();
    window.Plotly.react(place, traces, layout, CONFIG);
    if (key === "front") {
      if (isNew) watchFront(place, pick);
      if (picked) showPicked(place, picked);
    }
  }
}

async function unpackLibrary() {
  const packed = find("#library");
  if (!packed || typeof DecompressionStream === "undefined") return;
  const bytes = Uint8Array.from(atob(packed.textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text(); // its hash is in the page's policy
  document.head.append(script);
  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  matchMedia("print").addEventListener("change", drawAll);
  let wasNarrow = isNarrow();
  window.addEventListener("resize", () => {
    if (wasNarrow !== isNarrow()) { wasNarrow = isNarrow(); drawAll(); }
  });
  document.documentElement.dataset.ready = "true";
}

unpackLibrary();
