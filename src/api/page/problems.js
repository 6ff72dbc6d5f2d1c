"use strict";
// The list of current problems at the top of the page, each with a link to its section of the runbook.

/** Returns the problems from /api/status/, corrected by newer responses about Redis and the price. */
function currentProblems({ now, problems: listed }) {
  const isFresh = price.latest && price.latest.timestamp >= now && !price.latest.stale;
  const problems = listed.filter(({ code }) => code !== "price_stale" || !isFresh);
  if (!operation.redisUnavailable || problems.some(({ code }) => code === "redis_away")) return problems;
  return [{ code: "redis_away", text: "", help: "redis-away" }, ...problems];
}

/** Returns the text of a problem in the selected language; of unknown problems, the text of the API. */
function problemText({ code, text }, { price: last, queues, sources }, at) {
  const paused = queues.filter((queue) => queue.paused)[at];
  const failing = sources.filter(({ enabled, state }) => enabled && ["open", "half_open"].includes(state))[at];
  if (code === "price_stale" && last) return t("detail_price_stale", { age: duration(last.age) });
  if (code === "queue_paused" && paused) {
    const { name, paused: { by, note } } = paused;
    return t("detail_queue_paused", { queue: name, by }) + (note ? `: ${note}` : "");
  }
  if (code === "source_failing" && failing) {
    return t("detail_source_failing", { source: failing.name, error: failing.last_failure ?? DASH });
  }
  return Object.hasOwn(TEXTS[settings.language], `detail_${code}`) ? t(`detail_${code}`) : text;
}

/** Shows the problems. Problems that persist keep their elements, so that their links keep the focus. */
function showProblems(problems, status) {
  const list = byId("problems");
  const earlier = new Map([...list.children].map((node) => [node.dataset.key, node]));
  const counts = {};
  const nodes = problems.map((problem) => {
    const at = counts[problem.code] ?? 0;
    counts[problem.code] = at + 1;
    const key = `${settings.language} ${problem.code} ${at}`;
    const node = earlier.get(key) ?? problemNode(problem, key);
    const text = problemText(problem, status, at);
    if (node.children[1].textContent !== text) node.children[1].textContent = text;
    return node;
  });
  const appeared = nodes.filter((node) => !earlier.has(node.dataset.key));
  arrange(list, nodes);
  list.hidden = nodes.length === 0;
  if (appeared.length > 0) announce(appeared.map((node) => node.firstChild.textContent).join(". "));
}

function problemNode({ code, help }, key) {
  const title = word("problem", code);
  return element("li", { class: "notice bad", "data-key": key }, element("strong", {}, title), element("span", { class: "foreign" }),
    element("a", { href: `help#${encodeURIComponent(help)}`, "aria-label": `${t("help")}: ${title}` }, t("help")));
}
