// Fills the front page from the API every two seconds. Everything goes in as text: names and values are others' data.
"use strict";

const REFRESH_MS = 2000;
const VALUES_MAX = 200;

function cell(content, className) {
  const td = document.createElement("td");
  td.append(content);
  if (className) td.className = className;
  return td;
}

function link(text, href) {
  const a = document.createElement("a");
  a.textContent = text;
  a.href = href;
  return a;
}

function state(phase, reason) {
  const span = document.createElement("span");
  const good = ["running", "up", "Good"].includes(phase);
  const idle = ["disabled", "stopped", "starting", "connecting"].includes(phase);
  span.className = "state " + (good ? "good" : idle ? "idle" : "bad");
  span.textContent = phase;
  if (!reason) return span;
  const both = document.createElement("div");
  const why = document.createElement("div");
  why.className = "reason";
  why.textContent = reason;
  both.append(span, why);
  return both;
}

function fill(id, rows, none) {
  const body = document.querySelector("#" + id + " tbody");
  const heads = [...document.querySelectorAll("#" + id + " th")].map((th) => th.textContent);
  const filled = rows.map((cells) => {
    const tr = document.createElement("tr");
    // On a phone a row becomes a card whose lines are named by these.
    cells.forEach((td, index) => (td.dataset.label = heads[index]));
    tr.append(...cells);
    return tr;
  });
  if (filled.length === 0) {
    const tr = document.createElement("tr");
    const td = cell(none, "none");
    td.colSpan = 9;
    tr.append(td);
    filled.push(tr);
  }
  body.replaceChildren(...filled);
}

const number = (value) => value.toLocaleString("en");
const path = (...parts) => "/api/v1/" + parts.map(encodeURIComponent).join("/");

function connectionRow(c) {
  const faults = Object.values(c.faults).reduce((sum, n) => sum + n, 0);
  const transports = document.createElement("div");
  for (const t of c.transports) {
    const line = document.createElement("div");
    line.append(state(t.state, t.state === "up" ? null : t.reason), " " + t.role + " " + t.target);
    transports.append(line);
  }
  return [
    cell(link(c.name, path("connections", c.name))),
    cell(state(c.state, c.reason)),
    cell(c.adapter, "name"),
    cell(link(number(c.points), path("connections", c.name, "points")), "number"),
    cell(number(c.counters.readings), "number"),
    cell(number(faults), "number"),
    cell(transports),
  ];
}

function routeRow(r) {
  const rejected = link(number(r.rejected), path("routes", r.name, "dead-letters"));
  return [
    cell(link(r.name, path("routes", r.name))),
    cell(state(r.state, r.reason)),
    cell(r.to),
    cell(number(r.backlog), "number"),
    cell(number(r.accepted), "number"),
    cell(rejected, "number"),
  ];
}

function shownValue(r) {
  if (r.value === null) return "–";
  const value = typeof r.value === "object" ? r.value.name + " (" + number(r.value.size_bytes) + " bytes)" : String(r.value);
  const short = value.length > 60 ? value.slice(0, 60) + "…" : value;
  return r.unit ? short + " " + r.unit : short;
}

function latestRow(r) {
  const name = link(r.connection + "/" + r.point, path("connections", r.connection, "points", r.point, "readings"));
  const status = r.status_name.startsWith("Good") ? "Good" : r.status_name;
  return [
    cell(name),
    cell(shownValue(r), "value"),
    cell(state(status), "name"),
    cell(new Date(r.time).toLocaleString(), "time"),
  ];
}

async function get(url) {
  const response = await fetch(url, { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(url + " answered " + response.status);
  return response.json();
}

async function refresh() {
  const shown = document.querySelector("#state");
  try {
    const [connections, routes, latest] = await Promise.all([
      get("/api/v1/connections"),
      get("/api/v1/routes"),
      get("/api/v1/latest?limit=" + VALUES_MAX),
    ]);
    fill("connections", connections.connections.map(connectionRow), "No connection is configured.");
    fill("routes", routes.routes.map(routeRow), "No route is configured.");
    fill("latest", latest.readings.map(latestRow), "Nothing has been read yet.");
    const more = document.querySelector("#more");
    more.hidden = latest.next === null;
    more.textContent = "The first " + VALUES_MAX + " points; the API has them all.";
    shown.className = "";
    shown.textContent = "as of " + new Date().toLocaleTimeString();
  } catch (error) {
    shown.className = "bad";
    shown.textContent = "not up to date: " + error.message;
  }
  setTimeout(refresh, REFRESH_MS);
}

refresh();
