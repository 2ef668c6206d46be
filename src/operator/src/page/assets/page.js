// The page: what the stream tells, as a document. Whatever comes from there is put in as text, never as markup.

import { gauge, shape, sparkline } from "./chart.js";
import { follow } from "./stream.js";

const KEY = "azureml-token";
const LABELS = {
  stalled: "Needs you",
  approval: "Needs approval",
  retrying: "Retrying",
  differs: "Differs",
  limited: "Limited",
  working: "At work",
  paused: "Paused",
  ready: "Ready",
};
const WRONG = new Set(["stalled", "approval", "retrying", "differs", "limited"]);

const byId = (id) => document.getElementById(id);
const rows = new Map();
let head = {};
let ahead = 0; // The operator's clock less ours, in seconds.
let heard = 0; // When it told something last.
let stop = () => {};

const now = () => Date.now() / 1000 + ahead;

// Told in so many words: where a narrow page shows a table as cards, it stays a table for a screen reader.
const ROLES = { table: "table", thead: "rowgroup", tbody: "rowgroup", tr: "row", td: "cell" };
const TH_ROLES = { col: "columnheader", row: "rowheader" };

// An element with attributes and children; strings become text.
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  const role = name === "th" ? TH_ROLES[attributes.scope] : ROLES[name];
  if (role) element.setAttribute("role", role);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== "" && child !== false));
  return element;
}

function badge(state, text) {
  return el("span", { class: `state ${state}` }, shape(state), text ?? LABELS[state] ?? state);
}

function words(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

// How long ago something was; kept up to date.
function age(second, form) {
  const element = el("time", { datetime: new Date(second * 1000).toISOString() });
  element.title = new Date(second * 1000).toLocaleString();
  element.renew = () => setText(element, form(words(now() - second), now() - second));
  element.renew();
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function show(element, visible) {
  element.hidden = !visible;
}

// Brings a container's children in line with items, and touches only those that differ: focus and selection stay.
function keyed(container, items, key, make) {
  const before = new Map([...container.children].map((child) => [child.dataset.key, child]));
  let place = null;
  for (const item of [...items].reverse()) {
    const id = key(item);
    const image = JSON.stringify(item);
    let child = before.get(id);
    before.delete(id);
    if (!child || child.image !== image) {
      const fresh = make(item, child);
      fresh.dataset.key = id;
      fresh.image = image;
      if (child && child !== fresh) {
        const focused = child.contains(document.activeElement);
        child.replaceWith(fresh);
        if (focused) fresh.querySelector("a")?.focus();
      }
      child = fresh;
    }
    if (child.nextElementSibling !== place || child.parentNode !== container) container.insertBefore(child, place);
    place = child;
  }
  before.forEach((child) => child.remove());
}

function link(row, text) {
  return row.link ? el("a", { href: row.link, target: "_blank", rel: "noopener noreferrer" }, text) : text;
}

function problem(row) {
  const { reason, message, cause, cure, since } = row.problem;
  return el("li", { class: `problem card ${row.state}` },
    el("h3", {}, badge(row.state), el("span", { class: "name" }, `${row.namespace}/${row.name}`),
      el("span", { class: "reason" }, reason), age(since, (text) => `for ${text}`)),
    el("p", { class: "message" }, message),
    cause && el("p", { class: "cause" }, cause),
    cure && el("p", { class: "cure" }, el("strong", {}, "What to do "), cure));
}

function operation(row) {
  const { verb, phase, since } = row.operation;
  const doing = { Create: "Creation", Put: "Update", Patch: "Update", Delete: "Deletion" }[verb] ?? verb;
  return el("li", {}, badge("working", doing), el("span", { class: "name" }, `${row.namespace}/${row.name}`),
    el("span", { class: "soft" }, phase === "Running" ? "Azure is at work" : "about to be sent"),
    since ? age(since, (text) => `for ${text}`) : "");
}

const NODES = ["running", "idle", "preparing", "leaving", "preempted", "unusable"];

function nodes(row) {
  const current = row.nodes.current;
  const least = row.scale?.[0];
  const most = row.scale?.[1];
  const parts = NODES.filter((name) => row.nodes[name] > 0).map((name) => `${row.nodes[name]} ${name}`);
  const target = row.nodes.target;
  if (target !== undefined && current !== undefined && target !== current) parts.push(`going to ${target}`);
  return el("td", { class: "nodes" },
    el("span", { class: "figure" }, current === undefined ? "–" : String(current)),
    most === undefined ? "" : el("span", { class: "soft" }, ` of ${least}–${most}`),
    parts.length > 0 && el("span", { class: "parts" }, parts.join(" · ")));
}

// Why it stands so; what is wrong is told above in full.
function why(row) {
  const reason = row.problem?.reason || row.reason || "Pending";
  return row.state === "working" && row.message ? `${reason}: ${row.message}` : reason;
}

function target(row) {
  const picture = el("td", { class: row.history.length > 0 ? "hour" : "hour unknown" });
  picture.renew = () => picture.replaceChildren(sparkline(row.history, row.scale?.[1], now()));
  picture.renew();
  return el("tr", { class: row.state },
    el("th", { scope: "row" }, link(row, row.name), el("span", { class: "soft" }, row.detail)),
    el("td", {}, badge(row.state), el("span", { class: "soft" }, why(row))),
    nodes(row), picture,
    el("td", { class: "since" }, row.since ? age(row.since, (text) => text) : "–"));
}

// A workspace with its targets; `before` is the element that it had.
function workspace(group, before) {
  const row = group.workspace;
  const section = before ?? el("section", { class: "workspace card" },
    el("header"), el("table", {}, el("thead", {}, el("tr", {}, ...["Target", "State", "Nodes", "Last hour", "Since"]
      .map((text) => el("th", { scope: "col" }, text)))), el("tbody")), el("p", { class: "hint" }, "No targets."));
  section.setAttribute("aria-label", `Workspace ${group.name}`);
  const seen = head.seen?.[group.name];
  const header = section.querySelector("header");
  const focused = header.contains(document.activeElement);
  header.replaceChildren(
    el("h3", {}, row ? link(row, group.name) : group.name),
    row ? badge(row.state) : el("span", { class: "soft" }, "this Workspace isn’t there, or you may not see it"),
    row ? el("span", { class: "soft" }, [row.detail, row.location].filter(Boolean).join(" · ")) : "",
    seen ? age(seen, (text, old) => (old < 30 ? "seen just now" : `seen ${text} ago`)) : "");
  if (focused) header.querySelector("a")?.focus();
  const table = section.querySelector("table");
  table.setAttribute("aria-label", `Targets of ${group.name}`);
  keyed(table.tBodies[0], group.targets, (one) => one.id, target);
  show(table, group.targets.length > 0);
  show(section.lastElementChild, group.targets.length === 0);
  return section;
}

const REQUESTS = { read: "Reads", write: "Writes", delete: "Deletions" };

// The buckets of one subscription that the same Workspaces use.
function limits(budgets) {
  const all = new Map();
  for (const one of budgets) {
    const key = `${one.subscription} ${one.workspaces}`;
    if (!all.has(key)) all.set(key, { key, subscription: one.subscription, workspaces: one.workspaces, buckets: {} });
    all.get(key).buckets[one.operation] = one;
  }
  return [...all.values()];
}

function limit(one) {
  const cell = (operation) => {
    const bucket = one.buckets[operation];
    const label = { "data-label": REQUESTS[operation], class: "left" };
    if (!bucket) return el("td", label, el("span", { class: "soft" }, "not used yet"));
    const waiting = bucket.waiting > 0 ? `${bucket.waiting} waiting` : "";
    return el("td", label, gauge(bucket.left, bucket.capacity), el("span", {}, `${bucket.left} of ${bucket.capacity}`),
      el("span", { class: "soft" }, [waiting, bucket.throttled && "Azure asks to wait"].filter(Boolean).join(" · ")));
  };
  return el("tr", {}, el("th", { scope: "row" }, one.subscription, el("span", { class: "soft" }, one.workspaces.join(", "))),
    ...Object.keys(REQUESTS).map(cell));
}

function fits(row) {
  if (byId("only").checked && !WRONG.has(row.state)) return false;
  const all = [row.workspace, row.namespace, row.name, row.detail, row.reason, row.location, LABELS[row.state]].join(" ").toLowerCase();
  return byId("filter").value.toLowerCase().split(/\s+/).every((word) => all.includes(word));
}

function groups(shown) {
  const all = new Map();
  const order = [...shown].sort((a, b) => (a.workspace < b.workspace ? -1 : a.workspace > b.workspace ? 1 : a.id < b.id ? -1 : 1));
  for (const row of order) {
    if (!all.has(row.workspace)) {
      all.set(row.workspace, { name: row.workspace, workspace: rows.get(`Workspace/${row.workspace}`), targets: [] });
    }
    if (row.kind !== "Workspace") all.get(row.workspace).targets.push(row);
  }
  return [...all.values()].map((group) => ({ ...group, seen: head.seen?.[group.name] }));
}

function draw() {
  const all = [...rows.values()];
  const wrong = all.filter((row) => row.problem).sort(bySeverity);
  const work = all.filter((row) => row.operation);
  const shown = all.filter(fits);
  const states = Object.keys(LABELS).filter((state) => head.counts?.[state]);
  keyed(byId("counts"), states.map((state) => [state, head.counts[state]]), ([state]) => state, ([state, count]) =>
    el("li", { class: state }, shape(state), el("span", { class: "figure" }, String(count)), LABELS[state]));
  keyed(byId("problems"), wrong, (row) => row.id, problem);
  keyed(byId("operations"), work, (row) => row.id, operation);
  keyed(byId("workspaces"), groups(shown), (group) => group.name, workspace);
  keyed(byId("budgets"), limits(head.budgets ?? []), (one) => one.key, limit);
  show(byId("wrong"), wrong.length > 0);
  show(byId("work"), work.length > 0);
  show(byId("limits"), (head.budgets ?? []).length > 0);
  show(byId("empty"), all.length === 0);
  show(byId("none"), all.length > 0 && shown.length === 0);
  setText(byId("who"), head.user ?? "");
  setText(byId("foot"), [`azureml-operator ${head.version ?? ""}`, head.replica,
    head.namespaces?.length > 0 && `what you may see: ${head.namespaces.join(", ")}`].filter(Boolean).join(" · "));
  notice();
  const trouble = wrong.length > 0 ? `(${wrong.length}) ` : "";
  document.title = `${trouble}Azure ML compute`;
}

function bySeverity(a, b) {
  const order = Object.keys(LABELS);
  return order.indexOf(a.state) - order.indexOf(b.state) || (a.id < b.id ? -1 : 1);
}

function notice() {
  const parts = [];
  if (head.leads === false) {
    const leader = head.leader ? `${head.leader} is at work.` : "No other replica has been seen at work yet.";
    parts.push(`This replica stands by; ${leader} Objects are shown as Kubernetes has them; request limits and when Azure was seen are known there only.`);
  }
  const none = head.namespaces && head.namespaces.length === 0;
  if (none) parts.push("You may list no workspace and no cluster in the namespaces that were asked about. It is asked again every 20 seconds.");
  if (head.unasked > 0) parts.push(`${head.unasked} more namespaces weren’t asked about for being too many: the right to list in all of them shows what is there.`);
  if (head.omitted > 0) parts.push(`${head.omitted} more objects aren’t shown; what is wrong goes first.`);
  setText(byId("notice"), parts.join(" "));
  show(byId("notice"), parts.length > 0);
}

function live(tone, text) {
  const element = byId("live");
  element.className = `live ${tone}`;
  setText(element, text);
  show(element, true);
  byId("content").classList.toggle("stale", tone === "lost");
}

function take(data, whole) {
  if (data.now) ahead = data.now - Date.now() / 1000;
  heard = Date.now();
  if (whole) rows.clear();
  if (data.head) head = data.head;
  data.rows?.forEach((row) => rows.set(row.id, row));
  data.gone?.forEach((id) => rows.delete(id));
  live("on", "Live");
  signedIn(true);
  draw();
}

function signedIn(yes) {
  for (const id of ["content", "who", "leave"]) show(byId(id), yes);
  show(byId("login"), !yes);
}

function signOut(why) {
  stop();
  sessionStorage.removeItem(KEY);
  rows.clear();
  head = {};
  draw();
  signedIn(false);
  show(byId("live"), false);
  byId("form").reset();
  setText(byId("refused"), why);
  byId("token").focus();
}

function start(token) {
  stop();
  live("waiting", "Connecting …");
  stop = follow(token, {
    snapshot: (data) => { sessionStorage.setItem(KEY, token); take(data, true); },
    change: (data) => take(data, false),
    lost: (why) => {
      const of = heard ? ` Shown is what was so at ${new Date(heard).toLocaleTimeString()}.` : "";
      live("lost", `${why}${of} Trying again …`);
    },
    refused: (why) => signOut(why),
  });
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = byId("token").value.trim();
  const sound = /^[\x21-\x7e]+$/.test(token);
  setText(byId("refused"), sound ? "" : "That is no token: it has spaces or letters that none has.");
  if (sound) start(token);
});
byId("leave").addEventListener("click", () => signOut(""));
byId("filter").addEventListener("input", draw);
byId("only").addEventListener("change", draw);
setInterval(() => document.querySelectorAll("time, td.hour").forEach((element) => element.renew?.()), 5000);

const kept = sessionStorage.getItem(KEY);
if (kept) start(kept);
else signOut("");
