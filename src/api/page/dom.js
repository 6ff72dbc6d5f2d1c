"use strict";
// Elements, buttons and tables. Data is inserted only as text nodes and attributes, never as HTML.

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) if (value != null) node.setAttribute(name, value);
  node.append(...children.flat().filter((child) => child != null));
  return node;
}
const element = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svgElement = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

function setText(id, text) {
  const node = byId(id);
  if (node.textContent !== text) node.textContent = text;
}

function setHidden(id, hidden) { byId(id).hidden = hidden; }

/** Returns an element with the time since a Unix second; `tick` updates it each second. */
function ago(second, name = "ago") {
  if (second == null) return DASH;
  second = Math.floor(second);
  const node = element("time", { "data-since": second, "data-name": name, title: fullTime(second),
    datetime: new Date(second * 1000).toISOString() });
  writeAge(node);
  return node;
}

function writeAge(node) {
  const age = duration(Math.floor(Math.max(0, apiNow() - Number(node.dataset.since))));
  const text = node.dataset.name ? t(node.dataset.name, { age }) : age;
  if (node.textContent !== text) node.textContent = text;
}

function chip(text, kind) {
  return element("span", { class: `chip ${kind}` }, text);
}

/** Returns a text from elsewhere, such as an error message. A long one is cut and can be expanded. */
function longText(text) {
  if (text == null || text === "") return DASH;
  if (text.length <= 100) return element("span", { class: "foreign" }, text);
  return element("details", { class: "foreign" }, element("summary", {}, `${text.slice(0, 80)}…`), text);
}

/** Marks one button of a group as pressed. */
function press(group, value) {
  for (const button of byId(group).children) {
    button.setAttribute("aria-pressed", String(button.dataset.value === value));
  }
}

function onPress(group, action) {
  byId(group).addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) action(button.dataset.value);
  });
}

const tables = new Map();

/**
 * Shows rows as a table. Each column is [key of the title, cell(row), class]; the first one has the row
 * headers. A row whose data has not changed keeps its elements, so that open details and the selection are
 * preserved. The roles keep it a table for screen readers on narrow screens, where the style shows cards.
 */
function showTable(id, title, columns, rows, { key, none }) {
  const place = byId(id);
  if (rows.length === 0) {
    tables.delete(id);
    place.replaceChildren(element("p", { class: "muted" }, t(none)));
    return;
  }
  let table = tables.get(id);
  if (!table) {
    const heads = columns.map(([name, , style]) => element("th", { scope: "col", role: "columnheader", class: style }, t(name)));
    const body = element("tbody", { role: "rowgroup" });
    const head = element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, heads));
    const scroll = element("div", { class: "scroll", role: "group", "aria-label": t(title) },
      element("table", { role: "table", "aria-label": t(title) }, head, body));
    place.replaceChildren(scroll);
    table = { scroll, body, rows: new Map() };
    tables.set(id, table);
  }
  const earlier = table.rows;
  table.rows = new Map();
  const order = rows.map((row) => {
    const name = key(row);
    const data = JSON.stringify(row);
    const kept = earlier.get(name);
    const node = kept?.data === data ? kept.node : makeRow(columns, row, kept?.node);
    table.rows.set(name, { data, node });
    return node;
  });
  arrange(table.body, order);
  // Reading sizes forces a layout, so it is done once after all tables have been updated.
  requestAnimationFrame(() => setScrollable(table.scroll));
}

/** Sets the children of a node. Those that are already in order are not moved and keep the focus. */
function arrange(parent, nodes) {
  const wanted = new Set(nodes);
  for (const node of [...parent.children]) if (!wanted.has(node)) node.remove();
  let at = parent.firstElementChild;
  for (const node of nodes) {
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
}

/** Makes a scrollable element focusable, so that it can be scrolled with the keyboard. */
function setScrollable(scroll) {
  if (scroll.scrollWidth > scroll.clientWidth || scroll.scrollHeight > scroll.clientHeight) scroll.tabIndex = 0;
  else scroll.removeAttribute("tabindex");
}

function makeRow(columns, row, earlier) {
  const cells = columns.map(([name, cell, style], at) => {
    const attributes = { class: style, "data-label": t(name), role: at === 0 ? "rowheader" : "cell" };
    if (at === 0) attributes.scope = "row";
    const node = element(at === 0 ? "th" : "td", attributes, cell(row));
    node.classList.toggle("none", node.textContent === DASH);
    return node;
  });
  const node = element("tr", { role: "row" }, cells);
  if (earlier?.querySelector("details[open]")) node.querySelector("details")?.setAttribute("open", "");
  if (earlier?.contains(document.activeElement)) requestAnimationFrame(() => node.querySelector("summary")?.focus({ preventScroll: true }));
  return node;
}
