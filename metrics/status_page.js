"use strict";
const STATUS_MS = 2000, TREE_MS = 5000, TIMELINE_MS = 30000, PATIENCE_MS = 5000;
const MOST_EVENTS = 100, MOST_ADVICE = 10, DAY = 86400;
const SIGNS = {ready: "●", degraded: "◐", away: "✕", off: "○"};
const HEIGHTS = {ready: [6, 8], degraded: [3, 14], away: [0, 20], off: [9, 2]};
const SVG = "http://www.w3.org/2000/svg";

const byId = id => document.getElementById(id);
let ahead = 0; // seconds by which the daemon's clock is ahead of this one
const now = () => Date.now() / 1000 + ahead;
let seen = null; // when there was an answer

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
function write(element, text) { if (element.textContent !== String(text)) element.textContent = text; }

// Elements stay those they were, so that focus, selection and what is folded survive a refresh.
function sync(parent, tag, items, key, build, update) {
  const old = new Map([...parent.children].filter(e => e.localName === tag).map(e => [e.dataset.key, e]));
  const before = [...parent.children].filter(e => e.localName !== tag).length;
  items.forEach((item, i) => {
    let element = old.get(key(item));
    if (!element) { element = build(item); element.dataset.key = key(item); }
    old.delete(key(item));
    update(element, item);
    if (parent.children[before + i] !== element) parent.insertBefore(element, parent.children[before + i] ?? null);
  });
  for (const element of old.values()) element.remove();
}

function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (seconds > 0 && s < 1) return "< 1 s";
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  return s < 2 * DAY ? `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min` : `${Math.floor(s / DAY)} days`;
}
function look(c) {
  if (c.state === "ready" || c.state === "degraded") return c.state;
  return c.wanted ? "away" : "off";
}
function trip(seconds) {
  if (seconds === null) return "–";
  return seconds < 1 ? `${(seconds * 1000).toFixed(seconds < .01 ? 1 : 0)} ms` : `${seconds.toFixed(1)} s`;
}
function rate(c) {
  const found = c.messages_per_second;
  return found === null ? "–" : found > 0 && found < 10 ? found.toFixed(1) : Math.round(found);
}
function ahead_of(c) {
  const wait = c.next_attempt_wall > now() ? `in ${span(c.next_attempt_wall - now())}` : "";
  const down = c.wanted && c.unready_since_wall && c.since_wall - c.unready_since_wall >= 1;
  const span_of_it = down ? `not ready for ${span(now() - c.unready_since_wall)}` : "";
  return [wait, span_of_it, c.trouble || c.reason].filter(Boolean).join(": ") || "–";
}
function needsAdvice(c) { return c.wanted && (c.state !== "ready" || c.trouble); }
function wish(c) { return c.admin !== "up" ? c.admin : c.wanted ? "up" : "no"; }

const COLUMNS = [
  ["Connection", c => c.name], ["State", c => `${SIGNS[look(c)]} ${c.state}`],
  ["Since", c => c.since_wall ? span(now() - c.since_wall) : "–"], ["Next attempt, reason", ahead_of], ["Wanted", wish],
  ["Gateway", c => `${c.gateway} ${c.endpoint}`.trim()], ["Round trip", c => trip(c.round_trip_seconds)],
  ["Messages/s", rate], ["Streams", c => c.streams], ["Restarts", c => c.restarts],
];
const RELAY_COLUMNS = [
  ["Relay", l => l.name], ["Listens on", l => l.listen], ["Gateway", l => l.gateway], ["Clients", l => l.clients],
];
const LONG = new Set(["Connection", "Next attempt, reason", "Gateway", "Listens on"]); // may be broken anywhere
const NUMBERS = new Set(["Round trip", "Messages/s", "Streams", "Restarts", "Clients"]);

function row(columns) {
  return make("tr", {role: "row"}, ...columns.map(([label]) =>
    make("td", {role: "cell", "data-label": label, class: NUMBERS.has(label) ? "number" : LONG.has(label) ? "long" : ""})));
}
function fill(tr, columns, item) {
  columns.forEach(([, read], i) => {
    const value = read(item);
    write(tr.children[i], value);
    tr.children[i].classList.toggle("none", value === "–");
  });
}

function body() {
  const advice = make("tr", {role: "row", class: "advice", hidden: ""},
    make("td", {role: "cell", colspan: COLUMNS.length}, make("ul")));
  return make("tbody", {role: "rowgroup"}, row(COLUMNS), advice);
}
function showConnections(connections) {
  const order = {away: 0, degraded: 1, ready: 2, off: 3};
  const sorted = [...connections].sort((a, b) => order[look(a)] - order[look(b)] || a.name.localeCompare(b.name));
  sync(byId("connections"), "tbody", sorted, c => c.name, body, (tbody, c) => {
    fill(tbody.children[0], COLUMNS, c);
    tbody.children[0].children[1].className = `state ${look(c)}`;
    const troubled = needsAdvice(c);
    if (!troubled) tbody.children[1].hidden = true;
  });
}
async function advise(connections) {
  const troubled = connections.filter(needsAdvice).slice(0, MOST_ADVICE);
  for (const c of troubled) {
    const tbody = [...byId("connections").tBodies].find(e => e.dataset.key === c.name);
    const {body: told} = await ask(`api/v1/connections/${c.name.split("/").map(encodeURIComponent).join("/")}`);
    const said = c.next_attempt_wall ? [told.why] : [told.why, told.next]; // when it is tried again, its row tells
    const lines = [...said, ...told.todo].filter(line => line && !c.reason.includes(line));
    sync(tbody.querySelector("ul"), "li", lines, line => line, () => make("li"), write);
    tbody.children[1].hidden = !lines.length;
  }
}
function verdict(s) {
  if (s.journal) return [`Orders are refused: ${s.journal}`, "away"];
  const wanted = [...s.connections, ...s.absent].filter(c => c.wanted), bad = wanted.filter(c => c.state !== "ready");
  const plural = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
  document.title = bad.length ? `✕ ${bad.length} down · backstay` : "backstay";
  if (!wanted.length) return ["No connection is wanted now", "off"];
  if (!bad.length) return [`${plural(wanted.length, "connection")} ready`, "ready"];
  const named = bad.slice(0, 5).map(c => c.name).join(", ") + (bad.length > 5 ? " …" : "");
  return [`${bad.length} of ${plural(wanted.length, "wanted connection")} not ready: ${named}`, "away"];
}
function show(s) {
  const [text, kind] = verdict(s);
  write(byId("verdict"), text);
  byId("verdict").className = kind;
  write(byId("about"), `version ${s.version}, process ${s.pid}, up for ${span(now() - s.started_wall)}`);
  showConnections([...s.connections, ...s.held, ...s.absent]);
  sync(byId("relays").tBodies[0], "tr", s.listeners, l => l.name, () => row(RELAY_COLUMNS),
    (tr, l) => fill(tr, RELAY_COLUMNS, l));
}

function showTimeline(t) {
  const begin = t.until - t.seconds, x = wall => (Math.max(wall, begin) - begin) / t.seconds * 1440;
  sync(byId("timeline"), "li", Object.entries(t.connections), ([name]) => name, () => {
    const svg = document.createElementNS(SVG, "svg");
    for (const [name, value] of [["viewBox", "0 0 1440 20"], ["preserveAspectRatio", "none"], ["role", "img"]]) {
      svg.setAttribute(name, value);
    }
    return make("li", {}, make("b"), svg, make("span", {class: "quiet"}));
  }, (li, [name, changes]) => {
    const spans = changes.map(([wall, kind], i) => [wall, changes[i + 1]?.[0] ?? t.until, kind]);
    const lasted = kind => spans.filter(s => s[2] === kind).reduce((sum, s) => sum + s[1] - Math.max(s[0], begin), 0);
    const lacking = spans.filter(s => s[2] === "away" || s[2] === "degraded");
    const outages = lacking.filter(s => s !== spans[0] || s[1] === t.until); // the first way up is none
    const wanted = lasted("ready") + lasted("away") + lasted("degraded");
    const share = wanted ? `${(lasted("ready") / wanted * 100).toFixed(1)} % ready` : "not wanted";
    const longest = Math.max(0, ...outages.map(s => s[1] - Math.max(s[0], begin)));
    const told = outages.length ? `${share}, ${outages.length} outage${outages.length === 1 ? "" : "s"}, at most ${span(longest)}` : share;
    write(li.children[0], name);
    write(li.children[2], told);
    li.children[1].setAttribute("aria-label", `${name}: ${told}`);
    li.children[1].replaceChildren(...spans.map(([from, to, kind]) => {
      const rect = document.createElementNS(SVG, "rect"), [y, height] = HEIGHTS[kind];
      const drawn = {class: kind, x: x(from), y, height, width: Math.max(2, x(to) - x(from))};
      for (const [name, value] of Object.entries(drawn)) rect.setAttribute(name, value);
      return rect;
    }));
  });
}

function facts(node) {
  const said = [node.alive ? node.state : `${node.state}, no thread`];
  if (node.restarts) said.push(`${node.restarts} restart${node.restarts === 1 ? "" : "s"}`);
  if (node.mailbox) said.push(`${node.mailbox} waiting`);
  if (node.quiet_seconds !== null) said.push(`quiet ${span(node.quiet_seconds)}`);
  if (node.budget) said.push(`${node.budget.strategy}, ${node.budget.restarts_left} of ${node.budget.restarts_allowed} restarts left`);
  return said.join(", ");
}
function showNodes(list, nodes, depth) {
  sync(list, "li", nodes, n => `${n.path} ${n.children.length > 0}`, n => {
    const text = make("span", {class: "node"}, make("b"), " ", make("span", {class: "quiet"}));
    if (!n.children.length) return make("li", {}, make("div", {class: "leaf"}, text));
    const details = make("details", depth < 2 ? {open: ""} : {}, make("summary", {}, text), make("ul"));
    return make("li", {}, details);
  }, (li, n) => {
    const [name, told] = li.querySelector(".node").children;
    write(name, n.name);
    name.className = n.alive ? "" : "away";
    write(told, facts(n));
    if (n.children.length) showNodes(li.querySelector("ul"), n.children, depth + 1);
  });
}

function tell(event) {
  const {event: name, number, wall, ...fields} = event;
  const at = wall ? new Date(wall * 1000) : null;
  const time = make("time", at ? {datetime: at.toISOString()} : {});
  time.textContent = at ? `${at.toLocaleDateString("sv")} ${at.toLocaleTimeString("sv")}` : "";
  const told = name === "gap" ? `${fields.missed} events were missed`
    : Object.entries(fields).map(([key, value]) => `${key}=${value}`).join(" ");
  byId("events").prepend(make("li", {}, time, " ", make("b", {}, name), " ", make("span", {}, told)));
  while (byId("events").children.length > MOST_EVENTS) byId("events").lastChild.remove();
}
function listen() {
  const source = new EventSource(`api/v1/events?unnamed&last=${MOST_EVENTS}`);
  source.onopen = () => write(byId("listening"), "live, newest first");
  source.onerror = () => {
    write(byId("listening"), "interrupted, trying again");
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(() => { byId("events").replaceChildren(); listen(); }, PATIENCE_MS);
  };
  source.onmessage = message => tell(JSON.parse(message.data));
}

async function ask(path) {
  const answer = await fetch(path, {signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store"});
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  const date = Date.parse(answer.headers.get("date"));
  if (date) ahead = Math.abs(date - Date.now()) > 3000 ? (date - Date.now()) / 1000 : 0;
  return {body: await answer.json()};
}
function every(milliseconds, work) {
  const run = async () => {
    if (!document.hidden) await work().catch(() => {}); // the status tells what is wrong
    setTimeout(run, milliseconds);
  };
  run();
}
every(STATUS_MS, async () => {
  try {
    const {body: status} = await ask("api/v1/status");
    seen = now();
    show(status);
    document.body.classList.remove("old");
    advise(status.connections).catch(() => {}); // one that has just gone
  } catch (error) {
    if (seen !== null && now() - seen < 2 * STATUS_MS / 1000) return; // one may go astray
    document.body.classList.add("old");
    document.title = "? · backstay";
    const age = seen === null ? "" : `; what is shown is ${span(now() - seen)} old`;
    write(byId("verdict"), `No answer from backstay (${error.message})${age}`);
    byId("verdict").className = "away";
  }
});
every(TREE_MS, async () => showNodes(byId("tree"), [(await ask("api/v1/tree")).body.tree], 0));
every(TIMELINE_MS, async () => showTimeline((await ask("api/v1/timeline")).body));
listen();
