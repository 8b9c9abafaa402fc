// What the page was handed, and how it looks now.

const data = JSON.parse(document.getElementById("data").textContent);

const find = (selector, from = document) => from.querySelector(selector);
const findAll = (selector, from = document) => [...from.querySelectorAll(selector)];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// plotly reads markup and entities in every text: what comes from a run is only ever text.
function plain(text, limit = 70) {
  let line = String(text).replace(/\s+/g, " ");
  if (line.length > limit) line = `${line.slice(0, limit - 1)}…`;
  return line.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function count(value) {
  if (typeof value !== "number") return "-";
  for (const [size, suffix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= size) return `${Number((value / size).toPrecision(4))}${suffix}`;
  }
  return String(value);
}

const isNarrow = () => window.innerWidth < 700;
const isTouch = matchMedia("(pointer: coarse)").matches;
