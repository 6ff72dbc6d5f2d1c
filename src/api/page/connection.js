"use strict";
// Requests to the API, and whether the API is reachable.

const connection = { lostAt: null, announced: false, answeredAt: 0 };
const TIMEOUT = 15000;

/** Sends a GET request to the API. Throws an Error with a message for the user. */
async function request(path, { signal, type = "json" } = {}) {
  const timeout = AbortSignal.timeout(TIMEOUT);
  const sentAt = performance.now();
  let response;
  try {
    response = await fetch(path, { signal: signal ? AbortSignal.any([signal, timeout]) : timeout, cache: "no-cache" });
  } catch (error) {
    if (signal?.aborted) throw error;
    // A slow response does not mean that the connection is lost while other requests succeed.
    if (!timeout.aborted || connection.answeredAt < sentAt) connectionLost();
    throw new Error(t("noAnswer"));
  }
  const kind = response.headers.get("content-type") ?? "";
  // If the API is unavailable, a proxy responds, but not with JSON.
  if ([502, 503, 504].includes(response.status) && !kind.includes("json")) {
    connectionLost();
    throw new Error(t("noAnswer"));
  }
  connectionRestored();
  if (response.ok) return type === "json" ? response.json() : response.text();
  const problem = kind.includes("json") ? await response.json().catch(() => ({})) : {};
  const error = new Error(response.status === 503 ? t("unavailable") : problem.detail ?? `HTTP ${response.status}`);
  error.status = response.status;
  throw error;
}

function connectionLost() {
  connection.lostAt ??= Date.now() / 1000;
}

function connectionRestored() {
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

/** Shows the loss of the connection if it lasts: a single failed request is not shown. */
function showConnection() {
  if (connection.lostAt == null || Date.now() / 1000 - connection.lostAt < 2) return;
  setText("disconnected", t("disconnected", { time: clockTime(connection.lostAt) }));
  setHidden("disconnected", false);
  connection.announced = true;
}

/** Announces a text to screen readers. */
function announce(text) { setText("announcement", text); }

/** Updates a section. On failure, its heading shows the error, and the old data stays visible. */
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
