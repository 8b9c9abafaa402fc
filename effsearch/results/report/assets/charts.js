// What each chart draws; the front's stands by itself, since the table follows it.

const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x"];
const seriesColours = () => ["accent", "second", "third", "fourth", "muted"].map(colour);

function layoutOf(changes = {}) {
  const axis = {
    gridcolor: colour("line"), linecolor: colour("line"), zeroline: false, automargin: true,
    title: { standoff: 10 }, tickfont: { color: colour("muted") },
  };
  const layout = {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("ink") },
    margin: { l: 52, r: 14, t: 12, b: 46 },
    hovermode: "closest",
    hoverlabel: {
      bgcolor: colour("surface"), bordercolor: colour("muted"), font: { color: colour("ink"), size: 13 }, align: "left",
    },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12.5 } },
    dragmode: isTouch ? false : "zoom",
    ...changes,
  };
  for (const name of ["xaxis", "yaxis", "xaxis2", "yaxis2"]) {
    if (name === "xaxis" || name === "yaxis" || changes[name]) {
      const own = changes[name] || {};
      layout[name] = { ...axis, ...own, title: { ...axis.title, ...(own.title || {}) } };
    }
  }
  return layout;
}

const CONFIG = {
  responsive: true,
  displaylogo: false,
  displayModeBar: isTouch ? false : "hover",
  modeBarButtonsToRemove: ["autoScale2d", "hoverClosestCartesian", "hoverCompareCartesian", "toggleSpikelines"],
};

// A logarithmic axis of plotly's own either names every digit or one in a decade.
function costTicks(costs) {
  const ratio = Math.max(...costs) / Math.min(...costs);
  return ratio > 3 ? { tickformat: "~s", dtick: isNarrow() && ratio > 30 ? 1 : "D2" } : { tickformat: "~s", nticks: isNarrow() ? 4 : 10 };
}

function progressChart(rungs) {
  const traces = [];
  rungs.forEach((rung, index) => {
    const shade = seriesColours()[index % 5];
    const last = Math.max(...rungs.map((one) => one.steps.at(-1)[0]));
    const line = [...rung.records, [last, rung.records.at(-1)[1]]];
    traces.push({
      type: "scatter", mode: "markers", name: plain(rung.name, isNarrow() ? 34 : 60), legendgroup: rung.name,
      x: rung.steps.map((one) => one[0]), y: rung.steps.map((one) => one[1]),
      hovertext: rung.steps.map((one) => `<b>${plain(one[2])}</b>, ${plain(one[3])}<br>${one[1].toFixed(1)}% after ${one[0].toFixed(1)} min`),
      hoverinfo: "text",
      marker: { color: shade, symbol: SYMBOLS[index % 7], size: 8, opacity: 0.65 },
    });
    traces.push({
      type: "scatter", mode: "lines", legendgroup: rung.name, showlegend: false, hoverinfo: "skip",
      x: line.map((one) => one[0]), y: line.map((one) => one[1]), line: { shape: "hv", color: shade, width: 1.8 },
    });
  });
  return [traces, layoutOf({
    xaxis: { title: { text: "Minutes of work" }, rangemode: "tozero" }, yaxis: { title: { text: "Accuracy (%)" } },
  })];
}

function lossChart(losses) {
  return [[{
    type: "scatter", mode: "lines+markers", x: losses.map((one) => one[0] + 1), y: losses.map((one) => one[1]),
    hovertemplate: "round %{x}: %{y:.3f}<extra></extra>", line: { color: colour("accent"), width: 1.8 }, marker: { size: 5 },
  }], layoutOf({ xaxis: { title: { text: "Round" } }, yaxis: { title: { text: "Training loss" } } })];
}

function curvesChart(one) {
  const colours = seriesColours();
  const traces = one.lines.map(([name, values], index) => ({
    type: "scatter", mode: one.x.length > 60 ? "lines" : "lines+markers", name: plain(name), x: one.x, y: values,
    hovertemplate: `epoch %{x}: ${one.format}<extra>${plain(name)}</extra>`, marker: { size: 5 },
    line: { color: colours[index], width: 1.8, dash: ["solid", "dash", "dot", "dashdot"][index], shape: one.is_stepped ? "hvh" : "linear" },
  }));
  return [traces, layoutOf({
    xaxis: { title: { text: "Epoch" }, dtick: one.x.length < 12 ? 1 : undefined }, yaxis: { title: { text: one.title } },
    showlegend: one.lines.length > 1, hovermode: "x",
  })];
}

function agreementChart(one) {
  const hover = one.points.map(([x, y, name, cost]) => `<b>${plain(name)}</b><br>${count(cost)} FLOPs<br>${x.toFixed(2)} and then ${y.toFixed(1)}%`);
  const [choice, best] = [one.points[one.choice], one.points[one.best]];
  const mark = (point, name, look, index) => ({
    type: "scatter", mode: "markers", name, x: [point[0]], y: [point[1]], hovertext: [hover[index]], hoverinfo: "text", marker: look,
  });
  return [[
    {
      type: "scatter", mode: "lines", name: "regret", hoverinfo: "skip", x: [choice[0], choice[0], best[0]],
      y: [choice[1], best[1], best[1]], line: { color: colour("muted"), dash: "dash", width: 1.5 },
    },
    {
      type: "scatter", mode: "markers", name: "networks", x: one.points.map((p) => p[0]), y: one.points.map((p) => p[1]), hovertext: hover,
      hoverinfo: "text", marker: { color: colour("accent"), size: 9, opacity: 0.8 },
    },
    mark(choice, "its choice", { color: colour("second"), symbol: "square", size: 13, line: { width: 1, color: colour("ink") } }, one.choice),
    mark(best, "best of the longer", { color: colour("gold"), symbol: "star", size: 17, line: { width: 1, color: colour("ink") } }, one.best),
  ], layoutOf({ xaxis: { title: { text: one.x_title } }, yaxis: { title: { text: one.y_title } } })];
}

function growthChart(growth) {
  const between = growth.between;
  const traces = between.length ? [{
    type: "scatter", mode: "lines", name: "built, in small steps", hoverinfo: "skip", x: between.map((one) => one[0]),
    y: between.map((one) => one[2]), line: { color: colour("accent-pale"), width: 1.5 },
  }] : [];
  traces.push({
    type: "scatter", mode: "lines", name: "promised", x: growth.phis, y: growth.nominal, line: { color: colour("muted"), dash: "dash", width: 1.5 },
    hovertemplate: "phi %{x}: %{y:.4s} promised<extra></extra>",
  }, {
    type: "scatter", mode: "markers", name: "the family as built", x: growth.phis, y: growth.built,
    marker: { color: colour("accent"), symbol: "diamond", size: 10 }, hovertemplate: "phi %{x}: %{y:.4s} built<extra></extra>",
  });
  return [traces, layoutOf({
    xaxis: { title: { text: "phi" } }, yaxis: { type: "log", title: { text: "FLOPs" }, ...costTicks([...growth.nominal, ...growth.built]) },
  })];
}

function surfaceChart(surface) {
  const trained = surface.points.filter((one) => one[4]);
  const others = surface.points.filter((one) => !one[4]);
  const hover = (some) => some.map((one) => `beta ${one[0]}, gamma ${one[1]}, alpha ${one[2]}<br>expected ${one[3].toFixed(1)}%${one[5] ? "<br>cannot be told apart from the winner" : ""}`);
  const dots = (some, name, symbol) => ({
    type: "scatter", mode: "markers", name, x: some.map((one) => one[0]), y: some.map((one) => one[1]), hovertext: hover(some), hoverinfo: "text",
    marker: {
      symbol, size: 13, color: some.map((one) => one[3]), coloraxis: "coloraxis",
      line: { color: colour("ink"), width: some.map((one) => (one[5] ? 1.6 : 0)) },
    },
    showlegend: false, // a legend cannot show a scale; the text above the chart says what the shapes are
  });
  const [beta, gamma] = surface.winner;
  const traces = [
    {
      type: "scatter", mode: "markers", name: "cost missed", hoverinfo: "skip", x: surface.left_out.map((one) => one[0]),
      y: surface.left_out.map((one) => one[1]), marker: { symbol: "x-thin", size: 6, line: { color: colour("muted"), width: 1 } },
    },
    dots(others, "never trained", "diamond"),
    dots(trained, "trained", "circle"),
    {
      type: "scatter", mode: "markers", name: "winner, with its intervals", x: [beta], y: [gamma], hoverinfo: "skip",
      marker: { symbol: "star", size: 17, color: colour("gold"), line: { color: colour("ink"), width: 1 } },
      error_x: { type: "data", symmetric: false, array: [surface.beta_interval[1] - beta], arrayminus: [beta - surface.beta_interval[0]], color: colour("muted") },
      error_y: { type: "data", symmetric: false, array: [surface.gamma_interval[1] - gamma], arrayminus: [gamma - surface.gamma_interval[0]], color: colour("muted") },
    },
  ];
  if (surface.paper) {
    traces.push({
      type: "scatter", mode: "markers", name: "the paper's", x: [surface.paper[0]], y: [surface.paper[1]], hoverinfo: "name",
      marker: { symbol: "cross-thin", size: 18, line: { color: colour("second"), width: 3 } },
    });
  }
  return [traces, layoutOf({
    xaxis: { title: { text: "beta (width)" } }, yaxis: { title: { text: "gamma (resolution)" } },
    coloraxis: { colorscale: "Viridis", colorbar: { title: { text: "expected (%)", side: "right" }, thickness: 12, outlinewidth: 0 } },
    margin: { l: 52, r: 4, t: 12, b: 46 },
  })];
}

function ablationChart(ablation) {
  const traces = ablation.series.map((series, index) => ({
    type: "scatter", mode: series.points.length > 1 ? "lines+markers" : "markers", name: plain(series.name, 30),
    x: series.points.map((one) => one[0]), y: series.points.map((one) => one[1]),
    hovertext: series.points.map((one) => `<b>${plain(series.name)}</b> × ${one[4]}<br>${one[1].toFixed(1)}% (${one[2].toFixed(1)} to ${one[3].toFixed(1)}), ${one[5]} seeds<br>${count(one[0])} FLOPs as trained`),
    hoverinfo: "text",
    marker: { color: seriesColours()[index % 5], symbol: SYMBOLS[index % 7], size: 10 },
    error_y: { type: "data", symmetric: false, array: series.points.map((one) => one[3] - one[1]), arrayminus: series.points.map((one) => one[1] - one[2]), thickness: 1.5 },
  }));
  return [traces, layoutOf({
    xaxis: { type: "log", title: { text: "FLOPs, as trained" }, ...costTicks(ablation.series.flatMap((series) => series.points.map((one) => one[0]))) }, yaxis: { title: { text: "Accuracy (%)" } },
  })];
}
