// Draws what the kernel sends (sample.py, page) and adds no figure of its own. Nothing is loaded from anywhere.

const HELLO_MS = 300_000; // the kernel gives a view up after three of these (gauge.py, LEASE_SECONDS)
const LATE_MS = 3_500; // readings come every second
const WINDOW_SECONDS = 60;
const GAP_SECONDS = 2.5; // a curve does not bridge a time without readings
const STATES = {
  live: "",
  late: "No new reading: the kernel is busy in code that lets nothing else run, or was stopped (then run the cell again).",
  orphan: "Kernel restarted: run the cell again.",
};
const SVG = "http://www.w3.org/2000/svg";

function make(tag, className, parent) {
  const node = document.createElement(tag);
  node.className = className;
  parent.append(node);
  return node;
}

function build(root) {
  const head = make("div", "cg-head", root);
  const part = {
    title: make("span", "cg-title", head),
    used: make("span", "cg-used", head),
    bar: make("div", "cg-bar", root),
    legend: make("ul", "cg-legend", root),
    facts: make("ul", "cg-facts", root),
    charts: make("div", "cg-charts", root),
    status: make("div", "cg-status", root),
  };
  part.message = make("span", "", part.status);
  part.age = make("span", "", part.status);
  part.age.setAttribute("aria-hidden", "true"); // it changes every second, and must not be read out every second
  part.bar.setAttribute("role", "meter");
  part.bar.setAttribute("aria-label", "memory used, in GiB");
  part.bar.setAttribute("aria-valuemin", "0");
  part.status.setAttribute("role", "status");
  return part;
}

// Nodes are kept from one reading to the next, so that a screen reader or a selection does not lose its place.
function children(parent, items, create, update) {
  while (parent.children.length > items.length) parent.lastChild.remove();
  items.forEach((item, i) => update(parent.children[i] ?? create(parent), item, i));
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// The first part is this kernel's, the last is free, and what lies between belongs to others.
function kind(i, count) {
  return i === count - 1 ? "free" : ["kernel", "others"][i];
}

function drawBar(bar, page) {
  const count = page.parts.length;
  const pieces = page.budget && page.budget.share < 1 ? [...page.parts, page.budget] : page.parts;
  children(bar, pieces, (parent) => make("div", "", parent), (node, piece, i) => {
    node.className = `cg-piece cg-${i < count ? kind(i, count) : "budget"}`;
    node.style.width = i < count ? `${piece.share * 100}%` : "";
    node.style.left = i < count ? "" : `${piece.share * 100}%`;
  });
  bar.setAttribute("aria-valuemax", page.total);
  bar.setAttribute("aria-valuenow", page.filled);
  bar.setAttribute("aria-valuetext", page.line);
}

function drawLegend(legend, page) {
  const items = page.budget ? [...page.parts, page.budget] : page.parts;
  const create = (parent) => {
    const item = make("li", "", parent);
    make("i", "", item);
    make("span", "cg-name", item);
    make("b", "", item);
    return item;
  };
  children(legend, items, create, (item, one, i) => {
    item.children[0].className = `cg-key cg-${i < page.parts.length ? kind(i, page.parts.length) : "budget"}`;
    say(item.children[1], one.name);
    say(item.children[2], one.text);
  });
}

function drawFacts(facts, page) {
  const create = (parent) => {
    const pair = make("li", "", parent);
    make("span", "cg-name", pair);
    make("b", "", pair);
    return pair;
  };
  children(facts, page.facts, create, (pair, [label, text]) => {
    say(pair.children[0], label);
    say(pair.children[1], text);
  });
}

// Runs of readings without a gap; a reading that is missing (null) ends a run as well.
function runs(points, column) {
  const found = [];
  let last = null;
  for (const point of points) {
    const x = WINDOW_SECONDS + point[0];
    if (point[column] === null) {
      last = null;
      continue;
    }
    if (last === null || x - last > GAP_SECONDS) found.push([]);
    found.at(-1).push([x, 1 - Math.min(1, point[column])]);
    last = x;
  }
  return found;
}

function outline(run) {
  return run.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(4)}`).join("");
}

function area(run) {
  return `${outline(run)}V1H${run[0][0].toFixed(2)}Z`;
}

function drawCurves(svg, chart) {
  const paths = [];
  for (let column = 1; column < chart.points[0].length; column++) {
    const found = runs(chart.points, column);
    paths.push([`cg-area cg-area${column}`, found.map(area).join("")]);
    paths.push([`cg-line cg-line${column}`, found.map(outline).join("")]);
  }
  const create = (parent) => parent.appendChild(document.createElementNS(SVG, "path"));
  children(svg, paths, create, (node, [className, d]) => {
    node.setAttribute("class", className);
    node.setAttribute("d", d);
  });
}

function drawCharts(charts, page) {
  const create = (parent) => {
    const chart = make("div", "cg-chart", parent);
    const caption = make("div", "cg-caption", chart);
    make("span", "", caption);
    make("span", "cg-range", caption);
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${WINDOW_SECONDS} 1`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true"); // the caption says its range in words
    chart.append(svg);
    return chart;
  };
  children(charts, page.charts, create, (chart, one) => {
    say(chart.firstChild.children[0], `${one.label}, last 60 s`);
    say(chart.firstChild.children[1], one.range);
    drawCurves(chart.lastChild, one);
  });
}

function draw(part, page) {
  say(part.title, page.title);
  say(part.used, page.used);
  drawBar(part.bar, page);
  drawLegend(part.legend, page);
  drawFacts(part.facts, page);
  drawCharts(part.charts, page);
}

function render({ model, el }) {
  const root = make("section", "course-gauge", el);
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Gauge: memory and load of this machine");
  const part = build(root);
  const view = crypto.getRandomValues(new Uint32Array(2)).join("-");
  let newest = performance.now();

  let isOrphan = false;
  let isHelloDue = true;

  function tell(shown) {
    isHelloDue = false;
    if (!isOrphan) model.send({ view, shown });
  }

  function watch() {
    const late = performance.now() - newest;
    const state = isOrphan ? "orphan" : late > LATE_MS ? "late" : "live";
    root.dataset.state = state;
    say(part.message, STATES[state]);
    say(part.age, state === "late" ? ` Last reading ${Math.round(late / 1000)} s ago.` : "");
    // JupyterLab takes the answer to any message for the end of the cell that runs, and shows the
    // kernel as idle. So this waits for the cell's end, unless no reading comes that could tell it.
    if (isHelloDue && (state === "late" || !model.get("page").cell_runs)) tell(true);
  }

  function update() {
    newest = performance.now();
    draw(part, model.get("page"));
    watch();
  }

  function remind() {
    isHelloDue = true;
  }

  const leave = () => tell(false);
  const clock = setInterval(watch, 1000);
  const reminder = setInterval(remind, HELLO_MS);
  model.on("change:page", update);
  // A model is told so once, when its kernel restarts; it never comes back to life.
  model.on("comm_live_update", () => {
    isOrphan = true;
    watch();
  });
  addEventListener("pagehide", leave);
  addEventListener("pageshow", remind);
  update();

  return () => {
    clearInterval(clock);
    clearInterval(reminder);
    removeEventListener("pagehide", leave);
    removeEventListener("pageshow", remind);
    leave();
  };
}

export default { render };
