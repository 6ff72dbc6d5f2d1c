"use strict";
// The chart: the SVG image from the API, its range, and the price at the pointer.

const RANGES = { hour: "-1h", day: "-24h", week: "-7d", month: "-30d", year: "-365d", all: null };
const SHORTEST_RANGE = 60;
const chart = {
  range: "day", since: null, until: null, kind: "line",
  /** The edges of the current image, in Unix seconds and pixels. */
  view: null,
  /** The range of the current image. */
  shown: null,
  loading: null, loadedAt: 0, timer: null, lookup: null, lookupTimer: null, drag: null,
};

function startChart() {
  onPress("ranges", (range) => show({ range }));
  onPress("kinds", (kind) => show({ kind }));
  onPress("moves", moveChart);
  addEventListener("hashchange", () => { readHash(); loadChart(); });
  let size = "";
  let timer = null;
  new ResizeObserver(([entry]) => {
    const now = `${Math.round(entry.contentRect.width)}x${Math.round(entry.contentRect.height)}`;
    if (now === size) return;
    clearTimeout(timer);
    timer = setTimeout(loadChart, size === "" ? 0 : 200);
    size = now;
  }).observe(byId("chart"));
  startPointer();
}

// The range is stored in the URL, so that it is kept when the page is reloaded.

function readHash() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const [since, until] = [Number(wanted.get("since")), Number(wanted.get("until"))];
  if (since > 0 && until > since) Object.assign(chart, { range: null, since, until });
  else chart.range = Object.hasOwn(RANGES, wanted.get("chart") ?? "") ? wanted.get("chart") : "day";
  chart.kind = wanted.get("kind") === "candles" ? "candles" : "line";
  showChartButtons();
}

function show(change) {
  if ("range" in change) Object.assign(change, change.range ? { since: null, until: null } : {});
  Object.assign(chart, change);
  const range = chart.range ? { chart: chart.range } : { since: chart.since, until: chart.until };
  history.replaceState(null, "", `#${new URLSearchParams({ ...range, kind: chart.kind })}`);
  showChartButtons();
  loadChart();
}

function showChartButtons() {
  press("ranges", chart.range);
  press("kinds", chart.kind);
}

function showRange(since, until) {
  const now = Math.ceil(apiNow());
  if (until > now) { since -= until - now; until = now; }
  if (until - since < SHORTEST_RANGE) until = since + SHORTEST_RANGE;
  show({ range: null, since: Math.max(1, Math.round(since)), until: Math.round(until) });
}

function moveChart(way) {
  if (!chart.view) return;
  const { since, until } = chart.view;
  const span = until - since;
  if (way === "earlier") showRange(since - span / 2, until - span / 2);
  if (way === "later") showRange(since + span / 2, until + span / 2);
  if (way === "in") showRange(since + span / 4, until - span / 4);
  if (way === "out") showRange(since - span / 2, until + span / 2);
}

function rangeParameters() {
  if (chart.range === "all") return {};
  return chart.range ? { since: RANGES[chart.range] } : { since: chart.since, until: chart.until };
}

async function loadChart() {
  clearTimeout(chart.timer);
  chart.timer = null;
  chart.loading?.abort();
  const loading = new AbortController();
  chart.loading = loading;
  chart.loadedAt = Date.now();
  const { clientWidth: width, clientHeight: height } = byId("chart");
  const range = rangeParameters();
  const wanted = new URLSearchParams({ ...range, width, height, kind: chart.kind, theme: shownTheme(), time_zone: zone() });
  try {
    const signal = loading.signal;
    const [drawing, summary] = await Promise.all([
      request(`api/chart.svg?${wanted}`, { signal, type: "text" }),
      request(`api/summary/?${new URLSearchParams(range)}`, { signal }).catch(() => null),
    ]);
    if (signal.aborted) return;
    draw(drawing);
    summarize(summary);
    chart.shown = JSON.stringify(range);
    setHidden("chart-message", true);
  } catch (error) {
    if (loading.signal.aborted) return;
    // A chart of the same range stays visible; the banner shows why it is not updated.
    if (chart.shown === JSON.stringify(range)) return;
    setText("chart-message", t("chartFailed", { error: error.message }));
    setHidden("chart-message", false);
  }
}

function draw(text) {
  const root = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  if (root.localName !== "svg") throw new Error("SVG");
  // Removes scripts, event handlers and links: only shapes are needed.
  for (const node of [root, ...root.querySelectorAll("*")]) {
    if (["script", "foreignObject"].includes(node.localName)) node.remove();
    for (const { name } of [...node.attributes]) if (/^on|href$/i.test(name)) node.removeAttribute(name);
  }
  const edge = (name) => Number(root.dataset[name]);
  const [, , width, height] = (root.getAttribute("viewBox") ?? "0 0 1 1").split(/[ ,]+/).map(Number);
  chart.view = { since: edge("since"), until: edge("until"), left: edge("left"), right: edge("right"),
    top: edge("top"), bottom: edge("bottom"), width, height };
  root.setAttribute("width", "100%");
  root.setAttribute("height", "100%");
  root.setAttribute("aria-hidden", "true");
  byId("drawing").replaceChildren(document.adoptNode(root));
}

/** Shows a summary of the chart below it and as its label for screen readers. */
function summarize(summary) {
  const { since, until } = chart.view;
  let text = t("noPrices", { since: dayTime(since), until: dayTime(until) });
  if (summary?.count > 0) {
    text = t("chartSummary", {
      since: dayTime(since), until: dayTime(until), low: pesos(summary.min.price), high: pesos(summary.max.price),
      mean: pesos(summary.mean), change: summary.change_percent == null ? DASH : `${signed(summary.change_percent)} %`,
    });
  }
  if (summary) setText("chart-summary", text);
  byId("drawing").setAttribute("aria-label", `${t("chart")}. ${text}`);
}

/** Reloads a chart that ends now: after 5 to 60 seconds, the longer the more time a pixel covers. */
function chartChanged() {
  if (!chart.range || chart.timer || document.hidden || chart.drag) return;
  const { since, until, width } = chart.view ?? { since: 0, until: 0, width: 1 };
  const pause = 1000 * Math.min(60, Math.max(5, (until - since) / width));
  chart.timer = setTimeout(loadChart, Math.max(0, chart.loadedAt + pause - Date.now()));
}

// The pointer: it shows the price at its position, and dragging selects a range.

function startPointer() {
  const box = byId("chart");
  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !chart.view) return;
    box.setPointerCapture(event.pointerId);
    chart.drag = { from: pixel(event) };
  });
  box.addEventListener("pointermove", (event) => {
    if (!chart.view) return;
    if (chart.drag) showSelection(chart.drag.from, pixel(event));
    showPriceAt(pixel(event));
  });
  box.addEventListener("pointerup", (event) => {
    const from = chart.drag?.from;
    endDrag();
    if (from == null) return;
    const [left, right] = [from, pixel(event)].sort((a, b) => a - b);
    if (right - left > 8) showRange(timeAt(left), timeAt(right));
    else showPriceAt(pixel(event));
  });
  box.addEventListener("pointercancel", endDrag);
  box.addEventListener("pointerleave", hidePrice);
  addEventListener("keydown", (event) => { if (event.key === "Escape") { endDrag(); hidePrice(); } });
}

function endDrag() {
  chart.drag = null;
  setHidden("selection", true);
}

/** Returns the horizontal position of the pointer in the plot, in pixels of the chart. */
function pixel(event) {
  const box = byId("chart").getBoundingClientRect();
  const { left, right, width } = chart.view;
  const scale = box.width / width;
  return Math.min(Math.max(event.clientX - box.left, left * scale), right * scale);
}

function timeAt(x) {
  const { since, until, left, right, width } = chart.view;
  const position = (x * width) / byId("chart").clientWidth;
  return since + ((position - left) / (right - left)) * (until - since);
}

function showSelection(from, to) {
  const selection = byId("selection");
  selection.hidden = Math.abs(to - from) < 3;
  selection.style.left = `${Math.min(from, to)}px`;
  selection.style.width = `${Math.abs(to - from)}px`;
}

function showPriceAt(x) {
  const second = Math.round(timeAt(x));
  const { since, until, width } = chart.view;
  const time = until - since > 3 * 86400 ? dayTime(second) : fullTime(second);
  const cursor = byId("cursor");
  cursor.style.left = `${x}px`;
  cursor.hidden = false;
  showTip(x, time);
  clearTimeout(chart.lookupTimer);
  chart.lookup?.abort();
  chart.lookupTimer = setTimeout(async () => {
    const lookup = new AbortController();
    chart.lookup = lookup;
    const maxAge = Math.max(60, Math.ceil((2 * (until - since)) / width));
    try {
      const found = await request(`api/price/?at=${second}&max_age=${maxAge}s`, { signal: lookup.signal });
      showTip(x, `${time} · ${pesos(found.price)}`);
    } catch (error) {
      if (!lookup.signal.aborted) showTip(x, `${time} · ${error.status === 404 ? t("noPriceThere") : DASH}`);
    }
  }, 60);
}

function showTip(x, text) {
  const tip = byId("tip");
  setText("tip", text);
  tip.hidden = false;
  const limit = byId("chart").clientWidth - tip.offsetWidth - 4;
  tip.style.left = `${Math.max(4, Math.min(x + 10 > limit ? x - tip.offsetWidth - 10 : x + 10, limit))}px`;
}

function hidePrice() {
  clearTimeout(chart.lookupTimer);
  chart.lookup?.abort();
  setHidden("cursor", true);
  setHidden("tip", true);
}
