// The table of trainings: sorted, searched and turned over here, since it may have thousands of rows.

function makeTable(content) {
  const table = find("[data-trainings]");
  if (!table) return { pick: () => {}, clearButton: null };
  const { columns, rows, trainings, choices, screening } = content;
  const at = Object.fromEntries(columns.map((column, index) => [column.key, index]));
  const numberAt = columns.length;
  const shown = columns.filter((column) => rows.some((row) => {
    const cell = row[at[column.key]];
    return cell !== null && cell !== "" && !(Array.isArray(cell) && !cell.length);
  }));
  const state = { sort: null, isDown: false, words: [], kind: null, page: 0, size: 25, picked: null };
  const [filter, kinds, size, clear] = ["filter", "kinds", "size", "clear"].map((name) => find(`[data-${name}]`));

  const words = rows.map((row) => [
    row[at.name], row[at.kind], row[at.remark], trainings[row[at.training]], row[at.seed], ...row[at.choices].map((index) => choices[index].join("=")),
  ].join(" ").toLowerCase());

  const inOrder = [...new Set(rows.map((row) => row[at.kind]))];
  const hasBoth = inOrder.includes(screening) && inOrder.length > 1;
  const offers = [...(hasBoth ? [["trainings", (kind) => kind !== screening]] : []), ["everything", () => true],
    ["failures", null], ...inOrder.map((kind) => [kind, (other) => other === kind])];
  offers.forEach(([name], index) => kinds.add(new Option(name, String(index))));

  function matching() {
    const test = offers[Number(kinds.value)][1];
    let found = rows.map((_, index) => index).filter((index) => {
      const row = rows[index];
      if (test ? !test(row[at.kind]) : row[at.accuracy] !== null || !row[at.remark].startsWith("failed")) return false;
      if (state.picked && !state.picked.has(row[numberAt])) return false;
      return state.words.every((word) => words[index].includes(word));
    });
    if (state.sort) {
      const cell = at[state.sort];
      const compare = new Intl.Collator(undefined, { numeric: true }).compare;
      found = found.map((index) => [rows[index][cell], index]).sort(([a, i], [b, j]) => {
        if (a === b) return i - j;
        if (a === null || a === "") return 1; // what is missing stands last, either way
        if (b === null || b === "") return -1;
        const order = typeof a === "number" ? a - b : compare(a, b);
        return (state.isDown ? -order : order) || i - j;
      }).map(([, index]) => index);
    }
    return found;
  }

  function cellOf(row, column) {
    const value = row[at[column.key]];
    const cell = document.createElement(column.key === "name" ? "th" : "td");
    if (column.key === "name") cell.scope = "row";
    if (["percent", "number", "count"].includes(column.type)) cell.className = "n";
    else if (["seed", "ended", "kind", "training"].includes(column.key)) cell.className = "plain";
    if (column.type === "choices") {
      if (value.length) cell.append(choicesOf(value));
    } else if (value === null) cell.textContent = "-";
    else if (column.type === "percent") cell.textContent = `${(100 * value).toFixed(1)}%`;
    else if (column.type === "number") cell.textContent = value.toFixed(value < 10 ? 2 : 1);
    else if (column.type === "count") cell.textContent = count(value);
    else if (column.type === "shared") cell.textContent = trainings[value];
    else cell.textContent = value;
    return cell;
  }

  function choicesOf(indices) {
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = `${indices.length}`;
    summary.setAttribute("aria-label", `${indices.length} choices`);
    const list = document.createElement("dl");
    for (const index of indices) {
      choices[index].forEach((text, part) => {
        const item = document.createElement(part ? "dd" : "dt");
        item.textContent = text;
        list.append(item);
      });
    }
    details.append(summary, list);
    return details;
  }

  function heading(column) {
    const cell = document.createElement("th");
    cell.scope = "col";
    if (["percent", "number", "count"].includes(column.type)) cell.className = "n";
    if (column.type === "choices") {
      cell.textContent = column.label;
      return cell;
    }
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.sort = column.key;
    button.textContent = column.label;
    button.addEventListener("click", () => {
      const isNumber = !["text", "shared"].includes(column.type);
      state.isDown = state.sort === column.key ? !state.isDown : isNumber;
      state.sort = column.key;
      state.page = 0;
      show();
    });
    cell.append(button);
    return cell;
  }

  function show() {
    const found = matching();
    const numPages = Math.max(1, Math.ceil(found.length / state.size));
    state.page = Math.min(state.page, numPages - 1);
    const start = state.page * state.size;
    const body = document.createElement("tbody");
    for (const index of found.slice(start, start + state.size)) {
      const line = document.createElement("tr");
      line.append(...shown.map((column) => cellOf(rows[index], column)));
      body.append(line);
    }
    table.tBodies[0].replaceWith(body);
    for (const cell of findAll("thead th", table)) {
      const button = find("button", cell);
      if (button && button.dataset.sort === state.sort) cell.setAttribute("aria-sort", state.isDown ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
      if (button) {
        const column = columns[at[button.dataset.sort]];
        button.textContent = column.label + (column.key === state.sort ? (state.isDown ? " ↓" : " ↑") : "");
      }
    }
    const end = Math.min(found.length, start + state.size);
    find("[data-found]").textContent = found.length
      ? `Rows ${(start + 1).toLocaleString("en")} to ${end.toLocaleString("en")} of ${found.length.toLocaleString("en")}`
        + `${found.length < rows.length ? ` (${rows.length.toLocaleString("en")} in all)` : ""}; trials.csv of the run has all.`
      : "No row matches.";
    find("[data-page]").textContent = `Page ${state.page + 1} of ${numPages}`;
    find("[data-previous]").disabled = state.page === 0;
    find("[data-next]").disabled = state.page === numPages - 1;
    clear.hidden = !state.picked;
  }

  find("[data-tools]").addEventListener("submit", (event) => event.preventDefault());
  filter.addEventListener("input", () => {
    state.words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    state.page = 0;
    show();
  });
  kinds.addEventListener("change", () => { state.page = 0; show(); });
  size.addEventListener("change", () => { state.size = Number(size.value); state.page = 0; show(); });
  find("[data-previous]").addEventListener("click", () => { state.page -= 1; show(); });
  find("[data-next]").addEventListener("click", () => { state.page += 1; show(); });
  const head = document.createElement("tr");
  head.append(...shown.map(heading));
  table.tHead.append(head);
  show();
  return { pick(numbers) { state.picked = numbers; state.page = 0; show(); }, clearButton: clear };
}
