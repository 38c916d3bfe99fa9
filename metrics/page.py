"""The status page: one file, no outside resources, no build. Names come from outside, so they are set as text only."""

PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>backstay</title>
<style>
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.2rem; margin: 0; }
#about { opacity: .7; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .7rem; border-bottom: 1px solid #8884; white-space: nowrap; }
td.reason { white-space: normal; }
.ready { color: #1a7f37; } .bad { color: #c62828; } .off { opacity: .6; }
#problem { color: #c62828; min-height: 1.5em; }
</style>
<h1>backstay</h1>
<p id="about">loading</p>
<p id="problem" role="status"></p>
<div class="wide"><table><thead><tr><th>Connection<th>Gateway<th>Endpoint<th>Client<th>State<th>Since<th>In<th>Out<th>
Restarts<th>Reason</tr></thead><tbody id="connections"></tbody></table></div>
<div class="wide"><table><thead><tr><th>Relay<th>Listens on<th>Gateway<th>Clients</tr></thead>
<tbody id="listeners"></tbody></table></div>
<p><a href="metrics">metrics</a> · <a href="readyz?verbose">readiness</a> ·
<a href="api/v1/status">status as JSON</a></p>
<noscript>This page needs JavaScript; the links above do not.</noscript>
<script>
"use strict";
const byId = id => document.getElementById(id);
function ago(wall) {
  if (!wall) return "";
  const s = Math.max(0, Date.now() / 1000 - wall);
  return s < 120 ? `${Math.floor(s)} s` : s < 7200 ? `${Math.floor(s / 60)} min` : `${Math.floor(s / 3600)} h`;
}
function look(c) { return c.state === "ready" ? "ready" : c.wanted ? "bad" : "off"; }
function row(values, kinds) {
  const tr = document.createElement("tr");
  values.forEach((value, i) => {
    const td = document.createElement("td");
    td.textContent = value;
    if (kinds[i]) td.className = kinds[i];
    tr.append(td);
  });
  return tr;
}
function show(s) {
  byId("about").textContent = `version ${s.version}, process ${s.pid}, up for ${ago(s.started_wall)}`;
  byId("connections").replaceChildren(...s.connections.map(c => row(
    [c.name, c.gateway, c.endpoint, c.client_id, c.state, ago(c.since_wall), c.messages_received, c.messages_sent,
     c.restarts, c.reason], {4: look(c), 9: "reason"})));
  byId("listeners").replaceChildren(...s.listeners.map(l => row([l.name, l.listen, l.gateway, l.clients], {})));
}
async function refresh() {
  try {
    const answer = await fetch("api/v1/status");
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    show(await answer.json());
    byId("problem").textContent = "";
  } catch (error) {
    byId("problem").textContent = `no answer from backstay (${error.message}); what is shown is old`;
  }
  setTimeout(refresh, 2000);
}
refresh();
</script>
</html>
"""
