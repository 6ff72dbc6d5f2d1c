"use strict";
// The sections for operators: sources, queues, jobs, processes and storage.

const JOBS_A_PAGE = 10;
const STATES = ["waiting", "running", "done", "dead"];
const jobs = { state: "", queue: "", page: 1, queues: [] };
/** The last responses, to show them again when the language changes. */
const operation = { status: null, sources: null, processes: null, jobs: null, redisUnavailable: false };

/** Requests data that is stored only in Redis: the API returns 503 while Redis is unavailable. */
async function requestFromRedis(path) {
  try {
    const response = await request(path);
    setRedisUnavailable(false);
    return response;
  } catch (error) {
    if (error.status === 503) setRedisUnavailable(true);
    throw error;
  }
}

function setRedisUnavailable(unavailable) {
  if (operation.redisUnavailable === unavailable) return;
  operation.redisUnavailable = unavailable;
  showStatus();
}

async function loadStatus() {
  const sentAt = Date.now() / 1000;
  const status = await request("api/status/");
  setClock(status.now, sentAt);
  operation.status = status;
  if (slots.first !== status.history.first) {
    slots.first = status.history.first;
    showSlots();
  }
  if (price.latest && status.price?.timestamp >= price.latest.timestamp) price.latest.stale = status.price.stale;
  showStatus();
}

function showStatus() {
  const { status } = operation;
  if (!status) return;
  const simulates = status.sources.some(({ name, enabled }) => enabled && name === "simulated");
  setHidden("simulated", !status.simulated && !simulates);
  showProblems(currentProblems(status), status);
  if (status.coverage) setText("recorded", percent(status.coverage.share));
  setText("zone", t("zone", { zone: zone().replaceAll("_", " ") }));
  setText("version", `Cotiza ${status.version}`);
  showQueues(status.redis.up ? status.queues : []);
  showStorage(status);
  showAge();
}

function showQueues(queues) {
  showTable("queues", "queues", [
    ["queue", ({ name, paused }) => [element("span", {}, name), paused && element("span", { class: "pause" },
      chip(`❚❚ ${t("paused")}`, "warn"), " ", element("span", { class: "muted foreign" }, pauseLine(paused)))]],
    ["waiting", (queue) => number(queue.waiting), "number"], ["running", (queue) => number(queue.running), "number"],
    ["done", (queue) => number(queue.done), "number"],
    ["dead", ({ dead }) => (dead > 0 ? element("span", { class: "fall" }, number(dead)) : number(dead)), "number"],
    ["oldest", (queue) => duration(queue.oldest_due_age), "number"], ["workers", (queue) => number(queue.workers), "number"],
  ], queues, { key: (queue) => queue.name, none: operation.status.redis.up ? "noQueues" : "notAvailable" });
  const names = queues.map(({ name }) => name);
  if (names.length > 0 && names.join() !== jobs.queues.join()) { jobs.queues = names; showJobFilters(); }
}

function pauseLine({ since, by, note }) {
  return [note ? `${note} · ` : "", t("pausedBy", { by }), ", ", ago(since)];
}

function showStorage({ redis, history: samples }) {
  const memory = redis.max_memory == null ? bytes(redis.memory)
    : t("memoryOf", { used: bytes(redis.memory), most: bytes(redis.max_memory) });
  const facts = [
    ["redis", redis.up ? [chip(t("up"), "good"), " ", redis.version ?? ""] : chip(t("away"), "bad")],
    ["memory", memory], ["redisLatency", milliseconds(redis.latency_ms)], ["skew", skew(redis.clock_skew)],
    ["history", number(samples.samples)], ["firstSample", when(samples.first, { dateStyle: "medium" })],
    ["historyMemory", bytes(samples.memory)],
  ];
  byId("storage").replaceChildren(...facts.map(([name, fact]) => element("div", {},
    element("dt", {}, t(name)), element("dd", {}, fact))));
}

const skew = (seconds) => (seconds == null ? DASH : `${signed(seconds, 3)} s`);

async function loadSources() {
  operation.sources = await requestFromRedis("api/sources/");
  showSources();
}

function showSources() {
  if (!operation.sources) return;
  const sources = [...operation.sources.sources].sort((a, b) => b.enabled - a.enabled);
  const kinds = { closed: "good", half_open: "warn", open: "bad" };
  const state = ({ enabled, state: now }) => chip(word("state", enabled ? now : "disabled"), enabled ? kinds[now] ?? "" : "");
  showTable("sources", "sources", [
    ["source", (source) => source.name], ["state", state],
    ["latency", (source) => (source.latency_p50_ms == null ? DASH
      : `${milliseconds(source.latency_p50_ms)} / ${milliseconds(source.latency_p99_ms)}`), "number"],
    ["success", (source) => percent(source.success_share, 1), "number"],
    ["samples", (source) => (source.enabled || source.share > 0 ? percent(source.share, 1) : DASH), "number"],
    ["lastAnswer", ({ last_answer: last }) => (last ? [ago(last.timestamp), ` · ${pesos(last.ask)}`] : DASH), "line"],
    ["lastError", ({ last_failure: last }) => (last ? [ago(last.timestamp), " · ", longText(last.reason)] : DASH), "wide"],
  ], sources, { key: (source) => source.name, none: "noSources" });
  const rejected = sources.flatMap(({ name, rejected: prices }) => prices.map((one) => ({ name, ...one })));
  rejected.sort((a, b) => b.timestamp - a.timestamp);
  showTable("rejected", "rejected", [
    ["time", (one) => fullTime(one.timestamp)], ["source", (one) => one.name],
    ["amount", (one) => pesos(one.price), "number"], ["reason", (one) => longText(one.reason), "wide"],
  ], rejected.slice(0, 10), { key: (one) => `${one.timestamp} ${one.name} ${one.price}`, none: "noRejected" });
}

async function loadProcesses() {
  operation.processes = (await requestFromRedis("api/processes/")).processes;
  showProcesses();
}

function showProcesses() {
  if (!operation.processes) return;
  const alive = operation.processes.filter((process) => process.alive);
  const counts = ["scheduler", "worker", "api"].map((role) =>
    `${word("role", role)} ${number(alive.filter((process) => process.role === role).length)}`);
  setText("processes-count", counts.join(" · "));
  const rows = [...operation.processes].sort((a, b) => b.alive - a.alive || a.role.localeCompare(b.role) || a.name.localeCompare(b.name));
  const status = (one) => [chip(t(one.alive ? "alive" : "lost"), one.alive ? "good" : "bad"),
    Math.abs(one.clock_skew ?? 0) >= 1 ? chip(t("clockNote", { skew: skew(one.clock_skew) }), "warn") : null];
  showTable("processes", "processes", [
    ["process", (one) => element("span", { class: "mono" }, one.name)], ["role", (one) => word("role", one.role)],
    ["state", status], ["host", (one) => [one.host, element("span", { class: "muted" }, ` pid ${one.pid}`)]],
    ["version", (one) => one.version], ["started", (one) => (one.alive ? ago(one.started_at, "") : DASH)],
    ["seen", (one) => ago(one.last_seen)],
    ["work", (one) => (one.work.length === 0 ? element("span", { class: "muted" }, t("idle")) : one.work.map(workLine))],
  ], rows, { key: (one) => one.name, none: "noProcesses" });
}

function workLine({ queue, job, started_at: since }) {
  return element("div", {}, `${queue} ${jobText(job)} `, element("span", { class: "muted" }, ago(Math.floor(since), "")));
}

/** Returns the parameters of a job as text; slots as times. */
function jobText(job) {
  if (job == null || typeof job !== "object") return String(job ?? "");
  return Object.entries(job).map(([name, value]) =>
    (["slot", "due"].includes(name) ? clockTime(value) : `${name} ${JSON.stringify(value)}`)).join(", ");
}

function startJobs() {
  const reload = () => { jobs.page = 1; update("jobs", loadJobs); };
  byId("jobs-state").addEventListener("change", (event) => { jobs.state = event.target.value; reload(); });
  byId("jobs-queue").addEventListener("change", (event) => { jobs.queue = event.target.value; reload(); });
  for (const [id, step] of [["jobs-newer", -1], ["jobs-older", 1]]) {
    byId(id).addEventListener("click", () => { jobs.page += step; update("jobs", loadJobs); });
  }
}

function showJobFilters() {
  const choices = (id, names, any, name, chosen) => {
    byId(id).replaceChildren(element("option", { value: "" }, t(any)), ...names.map((value) => element("option", { value }, name(value))));
    byId(id).value = chosen;
  };
  choices("jobs-state", STATES, "anyState", (state) => t(`state_${state}`), jobs.state);
  choices("jobs-queue", jobs.queues, "anyQueue", String, jobs.queue);
}

async function loadJobs() {
  const wanted = new URLSearchParams({ page: jobs.page, page_size: JOBS_A_PAGE });
  for (const name of ["state", "queue"]) if (jobs[name]) wanted.set(name, jobs[name]);
  try {
    operation.jobs = await requestFromRedis(`api/jobs/?${wanted}`);
  } catch (error) {
    // Old jobs are deleted, so the page may no longer exist.
    if (error.status === 404 && jobs.page > 1) { jobs.page = 1; return loadJobs(); }
    throw error;
  }
  showJobs();
}

function showJobs() {
  if (!operation.jobs) return;
  const { count, next, results } = operation.jobs;
  const kinds = { done: "good", dead: "bad", running: "info" };
  showTable("jobs", "jobs", [
    ["job", (one) => [one.queue, " ", element("span", { class: "muted" }, jobText(one.job))], "line"],
    ["state", (one) => chip(word("state", one.state), kinds[one.state] ?? "")],
    ["enqueued", (one) => ago(one.enqueued_at)],
    ["duration", (one) => duration(one.duration), "number"], ["attempts", (one) => number(one.tries), "number"],
    ["process", (one) => element("span", { class: "mono" }, one.worker ?? DASH)],
    ["error", (one) => longText(one.error), "wide"],
  ], results, { key: (one) => one.id, none: "noJobs" });
  setText("jobs-page", t("page", { page: number(jobs.page), pages: number(Math.max(1, Math.ceil(count / JOBS_A_PAGE))) }));
  byId("jobs-newer").disabled = jobs.page <= 1;
  byId("jobs-older").disabled = !next;
}
