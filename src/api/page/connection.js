"use strict";
// Requests to the API, and whether it can be reached.

const connection = { lostAt: null, announced: false, answeredAt: 0 };
const TIMEOUT = 15000;

/** Gets a path of the API. Throws an Error whose message can be shown. */
async function request(path, { signal, type = "json" } = {}) {
  const timeout = AbortSignal.timeout(TIMEOUT);
  const askedAt = performance.now();
  let response;
  try {
    response = await fetch(path, { signal: signal ? AbortSignal.any([signal, timeout]) : timeout, cache: "no-cache" });
  } catch (error) {
    if (signal?.aborted) throw error;
    // A slow answer is not a lost connection while others are answered.
    if (!timeout.aborted || connection.answeredAt < askedAt) lost();
    throw new Error(t("noAnswer"));
  }
  const kind = response.headers.get("content-type") ?? "";
  // A proxy answers for an api that is away, and not in JSON.
  if ([502, 503, 504].includes(response.status) && !kind.includes("json")) {
    lost();
    throw new Error(t("noAnswer"));
  }
  found();
  if (response.ok) return type === "json" ? response.json() : response.text();
  const problem = kind.includes("json") ? await response.json().catch(() => ({})) : {};
  const error = new Error(response.status === 503 ? t("unavailable") : problem.detail ?? `HTTP ${response.status}`);
  error.status = response.status;
  throw error;
}

function lost() {
  connection.lostAt ??= Date.now() / 1000;
}

function found() {
  connection.answeredAt = performance.now();
  const wasAnnounced = connection.announced;
  connection.lostAt = null;
  connection.announced = false;
  if (wasAnnounced) {
    announce(t("reconnected"));
    loadLatest();
    loadChart();
    loadSlots();
  }
  setHidden("disconnected", true);
}

/** A single failed request is not shown: only an api that stays away. */
function showConnection() {
  if (connection.lostAt == null || Date.now() / 1000 - connection.lostAt < 2) return;
  setText("disconnected", t("disconnected", { time: clockTime(connection.lostAt) }));
  setHidden("disconnected", false);
  connection.announced = true;
}

/** Says it to screen readers. */
function announce(text) { setText("announcement", text); }

/** Runs the request of a section and shows in its heading when it fails. The old data stays. */
async function update(section, action) {
  try {
    await action();
    setText(`${section}-note`, "");
  } catch (error) {
    setText(`${section}-note`, t("notUpdated", { error: error.message }));
    const place = document.getElementById(section);
    if (place?.childElementCount === 0) place.append(element("p", { class: "muted" }, t("notAvailable")));
  }
}
