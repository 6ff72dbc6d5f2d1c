"use strict";
// The last price, updated by the event stream.

const STALE_WITHOUT_CONNECTION = 30;
const ANNOUNCE_EVERY = 30;
const price = { latest: null, none: false, missed: null, announcedAt: 0, stream: null, refresh: null, retry: null };

async function loadLatest() {
  const sentAt = Date.now() / 1000;
  try {
    const latest = await request("api/latest/");
    setClock(latest.timestamp + latest.age, sentAt);
    // An event may have arrived before this response.
    if (latest.timestamp >= (price.latest?.timestamp ?? 0)) price.latest = latest;
    price.none = false;
  } catch (error) {
    price.none = error.status === 404;
  }
  showPrice();
}

function showPrice() {
  const { latest, none, missed } = price;
  if (!latest) {
    if (none) setText("age", t("noPrice"));
    return;
  }
  setText("price", pesos(latest.price));
  document.title = `${pesos(latest.price)} · Cotiza`;
  for (const [id, value] of [["ask", latest.ask], ["bid", latest.bid], ["spread", latest.spread],
    ["high", latest.high_24h], ["low", latest.low_24h], ["mean", latest.average_24h]]) setText(id, pesos(value));
  showChange(latest);
  setText("slot-note", missed ? t("slotMissed", { time: clockTime(missed.slot), reason: word("reason", missed.reason) }) : "");
  showAge();
}

function showChange({ change_24h: change, change_percent_24h: share }) {
  const node = byId("change");
  node.className = change > 0 ? "rise" : change < 0 ? "fall" : "";
  const arrow = change > 0 ? "▲ " : change < 0 ? "▼ " : "";
  setText("change", change == null ? DASH : `${arrow}${signed(share)} % (${signed(change, 0)})`);
}

function showAge() {
  const { latest } = price;
  if (!latest) return;
  const age = Math.max(0, Math.floor(apiNow() - latest.timestamp));
  const cannotUpdate = (connection.lostAt != null || operation.redisUnavailable) && age > STALE_WITHOUT_CONNECTION;
  const stale = latest.stale || cannotUpdate;
  const source = latest.source ? ` · ${t("from", { source: latest.source })}` : "";
  setText("age", `${t("ago", { age: duration(age) })} · ${clockTime(latest.timestamp)}${source}`);
  setText("stale", t("stale"));
  setHidden("stale", !stale);
  byId("price").classList.toggle("stale", stale);
}

/** Announces the price to screen readers, at most every 30 seconds. */
function announcePrice() {
  const now = Date.now() / 1000;
  if (now - price.announcedAt < ANNOUNCE_EVERY) return;
  price.announcedAt = now;
  announce(t("priceSpoken", { price: pesos(price.latest.price) }));
}

/** Closes the stream. Hidden pages have none: browsers allow six connections per host, and it uses one. */
function unfollow() {
  clearTimeout(price.retry);
  price.stream?.close();
}

function follow() {
  unfollow();
  const stream = new EventSource("api/stream/");
  price.stream = stream;
  stream.addEventListener("price", (event) => {
    connectionRestored();
    const { timestamp, price: value, source, ask, bid } = JSON.parse(event.data);
    if (timestamp < (price.latest?.timestamp ?? 0)) return;
    const spread = ask != null && bid != null ? ask - bid : null;
    // The request to /api/latest/ that follows returns whether it is stale.
    price.latest = { ...price.latest, timestamp, price: value, source, ask, bid, spread, stale: false };
    price.missed = null;
    showPrice();
    announcePrice();
    refreshLatest();
    chartChanged();
  });
  stream.addEventListener("missed", (event) => {
    connectionRestored();
    price.missed = JSON.parse(event.data);
    showPrice();
    refreshLatest();
    slotsHaveNews();
  });
  stream.addEventListener("error", () => {
    poll();
    // After an error status, browsers do not reconnect automatically.
    if (stream.readyState === EventSource.CLOSED) {
      clearTimeout(price.retry);
      if (!document.hidden) price.retry = setTimeout(follow, 5000);
    }
  });
}

/** Requests the last price. Several events at once, such as after a reconnection, cause a single request. */
function refreshLatest() {
  clearTimeout(price.refresh);
  price.refresh = setTimeout(loadLatest, 300);
}
