// Accuracy against FLOPs; networks that are picked here are those that the table keeps to.

function frontHover(one) {
  const lines = [
    `<b>${plain(one.name)}</b>${one.is_winner ? ", winner" : one.role === "anchor" ? ", anchor" : ""}`,
    `${one.accuracy.toFixed(1)}%${one.seeds > 1 ? ` ± ${one.deviation.toFixed(1)} over ${one.seeds} seeds` : ", one seed"}`,
    [[one.multiply_adds, "FLOPs"], [one.params, "params"], [one.activations, "activations"]]
      .filter(([value]) => value !== null).map(([value, name]) => `${count(value)} ${name}`).join(", "),
  ];
  if (!one.is_full) lines.push("a shorter training: not ranked");
  let line = "";
  for (const [name, value] of one.choices) {
    const word = plain(`${name} ${value}`, 44);
    if (line && line.length + word.length > (isNarrow() ? 34 : 64)) { lines.push(line); line = ""; }
    line = line ? `${line}, ${word}` : word;
    if (lines.length > 12) { line = "…"; break; }
  }
  if (line) lines.push(line);
  return lines.join("<br>");
}

function frontChart(front) {
  const strips = front.families.filter((family) => family.members.length);
  const grown = strips.flatMap((family) => family.members.filter((one) => one[2] !== null).map((one) => [family.name, ...one]));
  const select = (test) => front.networks.filter(test);
  const dots = (some, name, marker) => ({
    type: "scatter", mode: "markers", name, x: some.map((one) => one.multiply_adds), y: some.map((one) => one.accuracy),
    customdata: some.map((one) => one.number), hovertext: some.map(frontHover), hoverinfo: "text", marker,
    unselected: { marker: { opacity: 0.18 } }, selected: { marker: { opacity: 1 } },
    error_y: {
      type: "data", array: some.map((one) => (one.seeds > 1 ? one.deviation : NaN)), color: colour("muted"), thickness: 1, width: 3,
    },
  });
  const traces = [
    {
      type: "scatter", mode: "lines", name: "Pareto front", hoverinfo: "skip", x: front.front.map((one) => one[0]),
      y: front.front.map((one) => one[1]), line: { shape: "hv", color: colour("accent"), width: 1.8 },
    },
    dots(select((one) => one.role === "trial" && one.is_full && !one.is_winner), "networks", { color: colour("accent"), size: 9, opacity: 0.75 }),
    dots(select((one) => one.role === "trial" && !one.is_full && !one.is_winner), "shorter trainings", {
      color: "rgba(0,0,0,0)", size: 7, opacity: 0.9, line: { color: colour("accent-pale"), width: 1.4 },
    }),
    dots(select((one) => one.role === "anchor" && !one.is_winner), "anchors", {
      color: colour("second"), symbol: "square", size: 11, opacity: 1, line: { color: colour("ink"), width: 1 },
    }),
    dots(select((one) => one.is_winner), "winner", {
      color: colour("gold"), symbol: "star", size: 18, opacity: 1, line: { color: colour("ink"), width: 1.2 },
    }),
  ].filter((trace) => trace.x.length);
  if (grown.length) {
    traces.push({
      type: "scatter", mode: "markers", name: "family, trained", x: grown.map((one) => one[2]), y: grown.map((one) => one[3]),
      hovertext: grown.map((one) => `<b>${plain(one[0])}</b><br>phi ${one[1]}, ${count(one[2])} FLOPs, ${one[3].toFixed(1)}%`), hoverinfo: "text",
      marker: { symbol: "diamond", size: 10, color: colour("third") },
    });
  }
  strips.forEach((family, index) => traces.push({
    type: "scatter", mode: "markers+text", name: "family", legendgroup: "family", showlegend: index === 0, xaxis: "x2", yaxis: "y2",
    x: family.members.map((one) => one[1]), y: family.members.map(() => -index),
    text: family.members.map((one) => String(one[0])), textposition: "top center", textfont: { size: 11, color: colour("muted") },
    hovertext: family.members.map((one) => `<b>${plain(family.name)}</b><br>phi ${one[0]}, ${count(one[1])} FLOPs`), hoverinfo: "text",
    marker: { symbol: "diamond", size: 10, color: colour("third"), line: { color: colour("ink"), width: 0.8 } },
  }));

  // The largest budgets' names would cover each other where budgets are near: every second stands lower.
  const shapes = front.budgets.map((budget) => ({
    type: "line", x0: budget, x1: budget, yref: "y domain", y0: 0, y1: 1, line: { color: colour("muted"), width: 1.2, dash: "dot" },
  }));
  const annotations = front.budgets.map((budget, index) => ({
    x: Math.log10(budget), y: 0.01 + 0.06 * (index % 3), yref: "y domain", yanchor: "bottom", xanchor: "right", showarrow: false, text: `budget ${count(budget)}`,
    font: { size: 12, color: colour("muted") },
  }));
  // A phone has no room for the anchors' names; their table has them.
  const named = select((network) => network.is_winner || (network.role === "anchor" && !isNarrow()));
  named.sort((one, other) => one.multiply_adds - other.multiply_adds);
  named.forEach((one, index) => {
    annotations.push({
      x: Math.log10(one.multiply_adds), y: one.accuracy, text: plain(one.name.replace(" (shorter training)", ""), isNarrow() ? 26 : 44), showarrow: true, arrowhead: 0, arrowwidth: 0.8,
      arrowcolor: colour("muted"), ax: isNarrow() ? -30 : -40, ay: one.is_winner ? -26 : 24 + 18 * (index % 3), font: { size: 12 },
    });
  });
  const axes = {
    xaxis: { type: "log", title: { text: "FLOPs (multiply-adds)" }, ...costTicks(front.networks.map((one) => one.multiply_adds)) },
    yaxis: { title: { text: "Accuracy (%)" }, domain: strips.length ? [0.3, 1] : [0, 1] },
  };
  if (strips.length) {
    axes.xaxis = { ...axes.xaxis, title: { text: "" }, anchor: "y" };
    axes.xaxis2 = { type: "log", title: { text: "FLOPs; below, the family by phi" }, anchor: "y2", ...costTicks(strips.flatMap((family) => family.members.map((one) => one[1]))) };
    axes.yaxis2 = { domain: [0, 0.13], visible: false, range: [-strips.length + 0.4, 0.9], fixedrange: true };
  }
  return [traces, layoutOf({ ...axes, shapes, annotations, dragmode: isTouch ? false : "select", clickmode: "event" })];
}

function watchFront(chart, onPick) {
  const numbersOf = (event) => new Set(event.points.map((point) => point.customdata).filter((number) => typeof number === "number"));
  chart.on("plotly_selected", (event) => { if (event && event.points) onPick(numbersOf(event)); });
  chart.on("plotly_click", (event) => onPick(numbersOf(event)));
  chart.on("plotly_deselect", () => onPick(null));
}

function showPicked(chart, picked) {
  const selected = chart.data.map((trace) => {
    if (!picked || !trace.customdata) return null;
    return trace.customdata.flatMap((number, index) => (picked.has(number) ? [index] : []));
  });
  window.Plotly.restyle(chart, { selectedpoints: selected });
  if (!picked) window.Plotly.relayout(chart, { selections: [] });
}
