"use strict";
// Formats numbers, times and durations. `null` is shown as a dash.

const DASH = "—";
const locale = () => (settings.language === "es" ? "es-AR" : "en-US");
const formats = new Map();

/** Returns a cached formatter of the current language: creating one is slow. */
function cached(kind, options) {
  const key = JSON.stringify([kind, locale(), options]);
  if (!formats.has(key)) formats.set(key, new Intl[kind](locale(), options));
  return formats.get(key);
}

function number(value, digits = 0) {
  if (value == null) return DASH;
  return cached("NumberFormat", { maximumFractionDigits: digits }).format(value);
}

/** Formats pesos; cents are shown only for small amounts. */
function pesos(value) {
  return number(value, value != null && Math.abs(value) < 100000 ? 2 : 0);
}

function percent(share, digits = 2) {
  if (share == null) return DASH;
  // Rounded down, so that 99.999 % is not shown as 100 %.
  const scale = 10 ** (digits + 2);
  const value = share < 1 ? Math.floor(share * scale) / scale : share;
  return cached("NumberFormat", { style: "percent", maximumFractionDigits: digits }).format(value);
}

function signed(value, digits = 2) {
  return cached("NumberFormat", { signDisplay: "exceptZero", maximumFractionDigits: digits }).format(value);
}

function milliseconds(value) {
  return value == null ? DASH : `${number(value, value < 10 ? 1 : 0)} ms`;
}

function bytes(value) {
  if (value == null) return DASH;
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return `${number(value, value < 10 && unit > 0 ? 1 : 0)} ${units[unit]}`;
}

/** Formats seconds as a duration with at most two units. */
function duration(seconds) {
  if (seconds == null) return DASH;
  if (seconds < 10 && !Number.isInteger(seconds)) return `${number(seconds, 2)} s`;
  seconds = Math.max(0, Math.round(seconds));
  const pair = (large, small, first, second) => (small > 0 ? `${large} ${first} ${small} ${second}` : `${large} ${first}`);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return pair(Math.floor(seconds / 60), seconds % 60, "min", "s");
  if (seconds < 86400) return pair(Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60), "h", "min");
  return pair(Math.floor(seconds / 86400), Math.floor((seconds % 86400) / 3600), "d", "h");
}

/** Formats a Unix second in the time zone of this device, with a 24-hour clock. */
function when(second, options) {
  return second == null ? DASH : cached("DateTimeFormat", { hourCycle: "h23", ...options }).format(new Date(second * 1000));
}

const clockTime = (second) => when(second, { timeStyle: "medium" });
const dayTime = (second) => when(second, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const fullTime = (second) => when(second, { dateStyle: "medium", timeStyle: "medium" });

/** Returns the time zone of this device, in which all times are shown. Browsers that hide it use UTC. */
function zone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone?.replace("Etc/Unknown", "UTC") ?? "UTC";
}

/** The clock of the API minus the clock of this device, in seconds. */
let clockDifference = 0;
/** Sets the clock of the API from a response. Slow responses are ignored, since they are too inaccurate. */
function setClock(second, sentAt) {
  const now = Date.now() / 1000;
  if (now - sentAt < 1) clockDifference = second - now;
}

const apiNow = () => Date.now() / 1000 + clockDifference;
