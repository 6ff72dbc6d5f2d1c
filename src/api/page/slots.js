"use strict";
// The results of the slots of the last 24 hours and 30 days: recorded, or missed with a reason.

const REASONS = ["exchange_timeout", "exchange_error", "bad_answer", "price_rejected", "too_late", "worker_lost",
  "no_worker", "redis_away", "paused", "not_scheduled"];
const GAPS_A_PAGE = 1000;
const MOST_PAGES = 5;
const slots = { first: null, gaps: [], complete: true, day: null, month: null, timer: null };

async function loadSlots() {
  await update("slots", async () => {
    const month = dayStart(29);
    const [gaps, day, all] = await Promise.all([
      loadGaps(month), request("api/coverage/?since=-24h"), request(`api/coverage/?since=${month}`),
    ]);
    Object.assign(slots, gaps, { day, month: all });
    showSlots();
  });
}

/** Returns the gaps since a Unix second, newest first. If there are too many, the oldest are left out. */
async function loadGaps(since) {
  const gaps = [];
  for (let page = 1; page <= MOST_PAGES; page += 1) {
    const response = await request(`api/gaps/?since=${since}&order=desc&page_size=${GAPS_A_PAGE}&page=${page}`);
    gaps.push(...response.results);
    if (!response.next) return { gaps, complete: true };
  }
  return { gaps, complete: false };
}

function slotsHaveNews() {
  if (document.hidden) return;
  slots.timer ??= setTimeout(() => { slots.timer = null; loadSlots(); }, 2000);
}

/** Returns the start of the day `daysAgo` days ago, in Unix seconds, in the time zone of this device. */
function dayStart(daysAgo, hour = 0) {
  const today = new Date();
  return new Date(today.getFullYear(), today.getMonth(), today.getDate() - daysAgo, hour).getTime() / 1000;
}

/** Returns 24 columns of one hour with 12 rows of 5 minutes; the last column is the current hour. */
function dayCells() {
  const hour = Math.floor(new Date().setMinutes(0, 0, 0) / 1000);
  return Array.from({ length: 288 }, (_, at) => {
    const since = hour - 23 * 3600 + at * 300;
    return { since, until: since + 300, column: Math.floor(at / 12), row: at % 12 };
  });
}

/** Returns 30 columns of one day with 24 rows of one hour; the last column is today. */
function monthCells() {
  return Array.from({ length: 720 }, (_, at) => {
    const [column, row] = [Math.floor(at / 24), at % 24];
    const since = dayStart(29 - column, row);
    return { since, until: since + 3600, column, row };
  });
}

/** Adds the number of missed slots to each cell, in total and by reason. */
function addGaps(cells) {
  for (const cell of cells) Object.assign(cell, { missed: 0, seconds: 0, reasons: {} });
  for (const gap of slots.gaps) {
    const end = gap.until + 1;
    let low = 0;
    let high = cells.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (cells[middle].until <= gap.since) low = middle + 1; else high = middle;
    }
    for (; low < cells.length && cells[low].since < end; low += 1) {
      const cell = cells[low];
      const seconds = Math.min(cell.until, end) - Math.max(cell.since, gap.since);
      const share = seconds / (end - gap.since);
      cell.seconds += seconds;
      cell.missed += gap.slots * share;
      for (const [reason, count] of Object.entries(gap.reasons)) {
        if (count > 0) cell.reasons[reason] = (cell.reasons[reason] ?? 0) + count * share;
      }
    }
  }
}

function stateOf(cell) {
  if (cell.since > apiNow() || slots.first == null || cell.until <= slots.first) return "empty";
  if (!slots.complete && cell.since < slots.gaps.at(-1).since) return "unknown";
  return cell.missed > 0 ? "missed" : "recorded";
}

function byCount(reasons) {
  return Object.entries(reasons).filter(([, count]) => count > 0).sort(([, a], [, b]) => b - a);
}

function reasonsText(reasons) {
  return byCount(reasons).map(([reason, count]) => `${word("reason", reason)} ${number(Math.max(1, Math.round(count)))}`).join(", ");
}

function describe(cell) {
  const time = `${dayTime(cell.since)} – ${when(cell.until, { timeStyle: "short" })}`;
  const names = { empty: "cellEmpty", unknown: "cellUnknown", recorded: "cellRecorded", missed: "cellMissed" };
  const missed = `${number(Math.max(1, Math.round(cell.missed)))} (${reasonsText(cell.reasons)})`;
  return t(names[stateOf(cell)], { time, missed });
}

const CELL = { width: 20, height: 20, gap: 2 };

/** Draws a grid of cells. The missed part is filled from below, so that it is visible without colours. */
function drawGrid(id, cells, coverage, labels) {
  addGaps(cells);
  const { width, height, gap } = CELL;
  const [columns, rows] = [cells.at(-1).column + 1, cells.at(-1).row + 1];
  const scale = 12 / rows;
  const shapes = cells.flatMap((cell) => {
    const [x, y, tall] = [cell.column * (width + gap), cell.row * (height + gap) * scale, (height + gap) * scale - gap];
    const state = stateOf(cell);
    const base = svgElement("rect", { x, y, width, height: tall, class: `cell ${state}` });
    const text = describe(cell);
    base.append(svgElement("title", {}, text));
    if (state !== "missed") return [base];
    const part = tall * Math.min(1, Math.max(0.4, cell.seconds / (cell.until - cell.since)));
    const [[reason]] = byCount(cell.reasons);
    return [base, svgElement("rect", { x, y: y + tall - part, width, height: part, class: `cell ${reason}` },
      svgElement("title", {}, text))];
  });
  const box = `0 0 ${columns * (width + gap) - gap} ${rows * (height + gap) * scale - gap}`;
  const drawing = svgElement("svg", { viewBox: box, role: "img", "aria-label": summaryOf(coverage), preserveAspectRatio: "none" }, shapes);
  const mark = (side, [at, text]) => {
    const node = element("span", {}, text);
    node.style[side] = `${100 * at}%`;
    return node;
  };
  byId(id).replaceChildren(
    element("div", { class: "rows", "aria-hidden": "true" }, labels.rows.map((label) => mark("top", label))),
    drawing,
    element("div", { class: "axis", "aria-hidden": "true" }, labels.columns.map((label) => mark("left", label))),
  );
}

function summaryOf(coverage) {
  return t("slotsSummary", { share: percent(coverage.share), expected: number(coverage.expected),
    missed: number(coverage.missed), reasons: reasonsText(coverage.reasons) });
}

function showSlots() {
  if (!slots.day) return;
  const [day, month] = [dayCells(), monthCells()];
  const hours = [0, 4, 8, 12, 16, 20].map((at) => [(at + 0.5) / 24, when(day[at * 12].since, { timeStyle: "short" })]);
  const days = [0, 5, 10, 15, 20, 25].map((at) => [(at + 0.5) / 30, when(month[at * 24].since, { day: "numeric", month: "short" })]);
  const minutes = [0, 6].map((at) => [(at + 0.5) / 12, `:${String(5 * at).padStart(2, "0")}`]);
  const clock = [0, 6, 12, 18].map((at) => [(at + 0.5) / 24, `${String(at).padStart(2, "0")} h`]);
  drawGrid("slots-day", day, slots.day, { columns: hours, rows: minutes });
  drawGrid("slots-month", month, slots.month, { columns: days, rows: clock });
  showLegend();
  showTable("gaps", "gaps", [
    ["since", (gap) => fullTime(gap.since)], ["until", (gap) => fullTime(gap.until)],
    ["count", (gap) => number(gap.slots), "number"], ["reasons", (gap) => reasonsText(gap.reasons)],
  ], slots.gaps.slice(0, 20), { key: (gap) => gap.since, none: "noGaps" });
}

function showLegend() {
  const { day, month } = slots;
  const count = (outcome) => [day, month].map((of) => (outcome === "recorded" ? of.recorded : of.reasons[outcome] ?? 0));
  const names = new Set([...REASONS, ...Object.keys(month.reasons)]);
  const outcomes = ["recorded", ...names].map((outcome) => ({ outcome, counts: count(outcome) }));
  const shown = outcomes.filter(({ outcome, counts }) => outcome === "recorded" || counts[1] + counts[0] > 0);
  const label = (outcome) => (outcome === "recorded" ? t("recorded") : word("reason", outcome));
  const others = [["empty", true], ["unknown", !slots.complete]].filter(([, is]) => is).map(([state]) =>
    element("li", {}, swatch(state), element("span", {}, t(state))));
  byId("slots-legend").replaceChildren(...shown.map(({ outcome, counts: [hours, days] }) => element("li", {}, swatch(outcome),
    element("span", {}, label(outcome)), element("span", { class: "muted" },
      `${t("hours24")}: ${number(hours)} · ${t("days30")}: ${number(days)}`))), ...others);
}

function swatch(outcome) {
  return svgElement("svg", { viewBox: "0 0 10 10", class: "swatch", "aria-hidden": "true" },
    svgElement("rect", { x: 0.5, y: 0.5, width: 9, height: 9, rx: 2, class: `cell ${outcome}` }));
}

/** Shows the text of the cell under the pointer below the grids, since phones show no titles. */
function startSlots() {
  for (const id of ["slots-day", "slots-month"]) {
    for (const kind of ["pointerover", "click"]) {
      byId(id).addEventListener(kind, (event) => {
        const title = event.target.querySelector?.("title");
        if (title && event.target.localName === "rect") setText("slot-detail", title.textContent);
      });
    }
  }
}
