"use strict";
// Starts the page and keeps it up to date. This script runs last, since it uses what the others define.

const POLL_EVERY = 5000;
const POLL_WHILE_AWAY = 2000;
const SLOTS_EVERY = 60000;
const settings = {
  language: stored("language", ["es", "en"]) ?? (navigator.language.startsWith("es") ? "es" : "en"),
  theme: stored("theme", ["light", "dark"]) ?? "auto",
};
const dark = matchMedia("(prefers-color-scheme: dark)");

/** Returns a stored setting, or null. Browsers may deny access to the storage. */
function stored(name, allowed) {
  try {
    const value = localStorage.getItem(`cotiza.${name}`);
    return allowed.includes(value) ? value : null;
  } catch {
    return null;
  }
}

function store(name, value) {
  settings[name] = value;
  try {
    localStorage.setItem(`cotiza.${name}`, value);
  } catch {
    // The setting is lost when the page is closed.
  }
}

const shownTheme = () => (settings.theme === "auto" ? (dark.matches ? "dark" : "light") : settings.theme);

function showTheme() {
  document.documentElement.dataset.theme = settings.theme;
  press("themes", settings.theme);
}

/** Shows all texts in the selected language. */
function showLanguage() {
  document.documentElement.lang = settings.language;
  press("languages", settings.language);
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of document.querySelectorAll("[data-t-label]")) {
    node.setAttribute("aria-label", t(node.dataset.tLabel));
    if (node.localName === "button") node.title = t(node.dataset.tLabel);
  }
  for (const node of document.querySelectorAll("[data-t-title]")) node.title = t(node.dataset.tTitle);
  tables.clear();
  showJobFilters();
  for (const show of [showPrice, showStatus, showSlots, showSources, showProcesses, showJobs, showConnection]) show();
}

let polling = false;
let pollTimer = null;

/** Requests the data that the stream does not contain. Hidden pages send no requests. */
async function poll() {
  clearTimeout(pollTimer);
  if (document.hidden || polling) return;
  polling = true;
  // Without events, the price and whether it is stale come from /api/latest/.
  if (price.latest && apiNow() - price.latest.timestamp > 10) loadLatest();
  try {
    await Promise.all([
      update("queues", loadStatus), update("sources", loadSources),
      update("processes", loadProcesses), update("jobs", loadJobs),
    ]);
  } finally {
    polling = false;
    pollTimer = setTimeout(poll, connection.lostAt == null ? POLL_EVERY : POLL_WHILE_AWAY);
  }
}

function tick() {
  if (document.hidden) return;
  showAge();
  showConnection();
  document.querySelectorAll("time[data-since]").forEach(writeAge);
}

function start() {
  showTheme();
  showLanguage();
  onPress("languages", (language) => { store("language", language); showLanguage(); loadChart(); });
  onPress("themes", (theme) => { store("theme", theme); showTheme(); loadChart(); });
  dark.addEventListener("change", loadChart);
  byId("skip").addEventListener("click", (event) => {
    // Following the link would replace the range of the chart in the URL.
    event.preventDefault();
    byId("main").focus();
  });
  readHash();
  startSlots();
  startJobs();
  // The page is painted before requests are sent. Hidden pages have no animation frames.
  if (document.hidden) begin(); else requestAnimationFrame(() => setTimeout(begin));
}

/** Loads all data and starts the periodic updates. */
function begin() {
  loadLatest();
  startChart();
  if (!document.hidden) follow();
  poll().then(loadSlots);
  setInterval(tick, 1000);
  setInterval(() => { if (!document.hidden) loadSlots(); }, SLOTS_EVERY);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return unfollow();
    follow();
    tick();
    poll();
    loadLatest();
    chartChanged();
  });
}

start();
