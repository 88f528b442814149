"use strict";
// Draws the data of the page. Text from a script only ever becomes text nodes and attributes, never markup.
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const LEVELS = [["hops", "As written"], ["plan", "Plan"], ["time", "Time"], ["trace", "Trace"], ["runtime", "Python"], ["ast", "Syntax"]];
const state = { level: data.level, block: firstBlock(), node: null, step: 0, sort: "seconds", by: "operator", find: "", folded: new Set(), view: null };

function firstBlock() {
  const busy = data.blocks.findIndex((b) => b.plan.nodes.some((n) => n.kind !== "input"));
  return data.heavy.length ? data.heavy[0].block : Math.max(0, busy);
}

// ---------------------------------------------------------------- making elements
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  return filled(made, attributes, children);
}
function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}
function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((c) => c !== null && c !== undefined));
  return made;
}
const show = (id, ...children) => at(id).replaceChildren(...children);

// ---------------------------------------------------------------- header and side
function drawFrame() {
  show("name", data.name);
  show("summary", ...data.summary.map(([k, v]) => element("div", {}, element("dt", {}, k), element("dd", {}, v))));
  show("outline", ...data.outline.map(outlineEntry));
  show("heavy-title", data.heavyTitle);
  show("heavy", ...data.heavy.map(sideEntry));
  show("fused", ...data.fused.map(sideEntry));
  at("fused-title").hidden = !data.fused.length;
  show("missed", ...data.missed.map(sideEntry));
  at("missed-title").hidden = !data.missed.length;
  const tabs = LEVELS.map(([level, name]) => element("button", { type: "button", role: "tab", id: `tab-${level}`, onclick: () => go({ level }) }, name));
  const zooms = [["+", 1.25, "Larger (+)"], ["−", 0.8, "Smaller (−)"]].map(([text, by, title]) =>
    element("button", { type: "button", title, "aria-label": title, onclick: () => zoom(by) }, text));
  const fit = element("button", { type: "button", title: "All of it (0)", onclick: whole }, "Fit");
  const unfold = element("button", { type: "button", title: "Unfold everything", onclick: () => { state.folded.clear(); draw(); } }, "Unfold");
  show("tabs", ...tabs, element("span", { class: "tools" }, ...zooms, fit, unfold));
}
function outlineEntry(entry) {
  const style = `padding-left:${6 + 14 * entry.depth}px`;
  if (entry.block === undefined) {
    const click = entry.place ? () => showSource(entry.place) : null;
    const inside = element(click ? "button" : "span", click ? { type: "button", style, onclick: click } : { style }, entry.text);
    return element("li", { class: entry.kind }, inside);
  }
  const bar = element("span", { class: "bar", style: `width:${Math.round(100 * entry.share)}%` });
  const click = () => go({ block: entry.block, node: null, level: ["hops", "plan", "runtime"].includes(state.level) ? state.level : "plan" });
  return element("li", {}, element("button", { type: "button", style, "data-block": entry.block, onclick: click }, entry.text, element("small", {}, entry.note), bar));
}
function sideEntry(entry) {
  const bar = element("span", { class: "bar", style: `width:${Math.round(100 * entry.share)}%` });
  const click = () => go({ level: "plan", block: entry.block, node: entry.node });
  return element("li", {}, element("button", { type: "button", onclick: click }, entry.text, element("small", {}, entry.note), bar));
}

// ---------------------------------------------------------------- going somewhere
function go(change) {
  const graphBefore = `${state.level} ${state.block}`;
  Object.assign(state, change);
  if (`${state.level} ${state.block}` !== graphBefore) {
    state.view = null;
    state.folded.clear();
    if (change.node === undefined) state.node = null;
  }
  draw();
  remember();
}
function remember() {
  const parts = { level: state.level, block: state.block, node: state.node, step: state.level === "trace" ? state.step : null, find: state.find, folded: [...state.folded].join(".") };
  const words = Object.entries(parts).filter(([, v]) => v !== null && v !== "").map(([k, v]) => `${k}=${encodeURIComponent(v)}`);
  try { history.replaceState(null, "", `#${words.join("&")}`); } catch { /* a frame without an address */ }
}
function recall() {
  const words = new URLSearchParams(location.hash.slice(1));
  const number = (name) => (words.has(name) ? Number(words.get(name)) : null);
  if (LEVELS.some(([l]) => l === words.get("level"))) state.level = words.get("level");
  if (data.blocks[number("block")]) state.block = number("block");
  if (data.rewrites[number("step")]) state.step = number("step");
  if (state.level === "trace" && data.rewrites[state.step]) state.block = data.rewrites[state.step].block ?? state.block;
  state.node = number("node");
  state.find = words.get("find") || "";
  state.folded = new Set((words.get("folded") || "").split(".").filter(Boolean).map(Number));
}
const block = () => data.blocks[state.block];
const graph = () => (block() ? block()[state.level === "hops" ? "hops" : "plan"] : { nodes: [], arrows: [] });
const isGraph = () => state.level === "hops" || state.level === "plan";
const chosen = () => (isGraph() ? graph().nodes.find((n) => n.id === state.node) : undefined);

function draw() {
  for (const [level] of LEVELS) at(`tab-${level}`).setAttribute("aria-selected", String(level === state.level));
  for (const button of document.querySelectorAll("#outline [data-block]")) button.setAttribute("aria-current", String(Number(button.dataset.block) === state.block && state.level !== "ast"));
  at("find").value = state.find;
  if (isGraph()) drawGraph();
  else if (state.level === "trace") drawTrace();
  else if (state.level === "time") drawTime();
  else drawText();
  drawDetails();
}
function drawText() {
  const python = state.level === "runtime";
  show("caption", python && block() ? `${block().title}: the Python that runs` : "The script as it was read");
  show("view", element("pre", {}, python ? (block() ? block().python : "") : data.syntax));
}

// ---------------------------------------------------------------- the graph
function visible(g) {
  // what results need without going through a folded operator
  const used = new Set(g.nodes.flatMap((n) => n.operands));
  const byId = new Map(g.nodes.map((n) => [n.id, n]));
  const shown = new Set();
  const stack = g.nodes.filter((n) => !used.has(n.id)).map((n) => n.id);
  while (stack.length) {
    const id = stack.pop();
    if (shown.has(id)) continue;
    shown.add(id);
    if (!state.folded.has(id)) stack.push(...byId.get(id).operands);
  }
  return shown;
}
const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
function matches(node) {
  return state.find !== "" && [node.title, ...node.lines, ...node.rules.flat()].join(" ").toLowerCase().includes(state.find.toLowerCase());
}
function drawGraph() {
  const g = graph(), b = block();
  show("caption", b ? [b.title, count(g.nodes.filter((n) => n.kind !== "input").length, "operator"), `${g.total} estimated`, ...(state.level === "hops" ? b.asWritten : b.facts)].join(" · ") : "Nothing to compute");
  const shown = visible(g);
  const drawing = dag(g, shown, (node) => go({ node: node.id }), (node) => fold(node.id));
  drawing.classList.add("dag");
  drawing.addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY < 0 ? 1.12 : 1 / 1.12, event); }, { passive: false });
  drawing.addEventListener("pointerdown", startMoving);
  show("view", drawing);
  place();
  const found = g.nodes.filter(matches);
  show("found", state.find ? `${found.length} here` : "");
}
function dag(g, shown, onselect, onfold) {
  const users = new Map(g.nodes.map((n) => [n.id, n]));
  const searching = state.find !== "" && onfold;
  const arrows = g.arrows.filter((a) => shown.has(a.from) && shown.has(a.to) && !state.folded.has(a.to)).map((a) => {
    const points = a.points.map((p) => [...p]);
    points[0][1] += users.get(a.from).h / 2;
    points[points.length - 1][1] -= users.get(a.to).h / 2 + 6;
    return svg("path", { class: searching ? "arrow faint" : "arrow", d: curve(points), "marker-end": "url(#head)" });
  });
  const nodes = g.nodes.filter((n) => shown.has(n.id)).map((n) => box(n, searching, onselect, onfold));
  const head = svg("marker", { id: "head", viewBox: "0 0 8 8", refX: 4, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, svg("path", { class: "head", d: "M0 0L8 4L0 8z" }));
  return svg("svg", { viewBox: `-10 -10 ${g.width + 20} ${g.height + 20}`, role: "group", "aria-label": "Operators, results at the bottom" }, svg("defs", {}, head), ...arrows, ...nodes);
}
function curve(points) {
  let path = `M${points[0]}`;
  for (let k = 1; k < points.length; k++) {
    const [[x, y], [u, v]] = [points[k - 1], points[k]];
    path += `C${x} ${(y + v) / 2} ${u} ${(y + v) / 2} ${u} ${v}`;
  }
  return path;
}
function box(node, searching, onselect, onfold) {
  const left = node.x - node.w / 2, top = node.y - node.h / 2;
  const text = node.lines.map((line, k) => svg("text", { x: left + 9, y: top + 21 + 16 * k, class: k ? "second" : null }, line));
  const share = node.share >= 0.01 ? svg("rect", { class: "share", x: left + 3, y: top + node.h - 6, height: 3, width: Math.max(2, node.share * (node.w - 6)) }) : null;
  const isFolded = onfold && state.folded.has(node.id);
  const mark = isFolded ? svg("text", { class: "folded", x: node.x - 4, y: top - 4 }, "⋯") : null;
  const classes = ["node", node.kind, onfold && node.id === state.node ? "chosen" : "", searching && !matches(node) ? "faint" : ""];
  const events = onselect ? { tabindex: 0, role: "button", "aria-label": node.title, "data-node": node.id, onclick: () => onselect(node), ondblclick: () => onfold(node) } : {};
  return svg("g", { class: classes.join(" ").trim(), ...events }, svg("title", {}, node.title), svg("rect", { class: "box", x: left, y: top, width: node.w, height: node.h }), share, ...text, mark);
}
function fold(id) {
  const node = graph().nodes.find((n) => n.id === id);
  if (!node || !node.operands.length) return;
  if (!state.folded.delete(id)) state.folded.add(id);
  go({ node: id });
}

// ---------------------------------------------------------------- looking around
const LEGIBLE = 0.8; // a drawing that would have to be smaller opens at its heaviest operator
const between = (x, low, high) => Math.max(low, Math.min(high, x));
function whole() {
  Object.assign(state, { view: null, whole: true });
  place();
}
function place() {
  const drawing = at("view").querySelector("svg.dag");
  if (!drawing) return;
  const { clientWidth: w, clientHeight: h } = drawing;
  if (!state.view) {
    const g = graph(), all = Math.min(w / (g.width + 40), h / (g.height + 40)) || 1;
    const scale = Math.min(1.25, Math.max(state.whole ? 0.1 : LEGIBLE, all));
    state.view = { x: (g.width - w / scale) / 2, y: Math.min(-20, (g.height - h / scale) / 2), scale };
    const node = chosen() || g.nodes.reduce((a, b) => (b.share > a.share ? b : a), g.nodes[0]);
    if (node && g.width * scale > w) state.view.x = between(node.x - w / scale / 2, -20, g.width + 20 - w / scale);
    if (node && g.height * scale > h) state.view.y = between(node.y - h / scale / 2, -20, g.height + 20 - h / scale);
    state.whole = false;
  }
  const { x, y, scale } = state.view;
  drawing.setAttribute("viewBox", `${x} ${y} ${Math.max(1, w / scale)} ${Math.max(1, h / scale)}`);
}
function zoom(by, event) {
  const drawing = at("view").querySelector("svg.dag");
  if (!drawing || !state.view) return;
  const frame = drawing.getBoundingClientRect(), v = state.view;
  const px = event ? event.clientX - frame.left : frame.width / 2, py = event ? event.clientY - frame.top : frame.height / 2;
  const scale = Math.min(4, Math.max(0.08, v.scale * by));
  state.view = { x: v.x + px / v.scale - px / scale, y: v.y + py / v.scale - py / scale, scale };
  place();
}
function startMoving(event) {
  if (event.target.closest(".node")) return;
  const drawing = event.currentTarget, start = { ...state.view }, { clientX, clientY } = event;
  drawing.setPointerCapture(event.pointerId);
  drawing.classList.add("moving");
  const move = (e) => { state.view = { ...start, x: start.x - (e.clientX - clientX) / start.scale, y: start.y - (e.clientY - clientY) / start.scale }; place(); };
  const stop = () => { drawing.classList.remove("moving"); drawing.removeEventListener("pointermove", move); };
  drawing.addEventListener("pointermove", move);
  drawing.addEventListener("pointerup", stop, { once: true });
}
function neighbour(key) {
  const g = graph(), shown = g.nodes.filter((n) => visible(g).has(n.id)), node = chosen();
  if (!node) return shown[shown.length - 1];
  const row = shown.filter((n) => n.y === node.y).sort((a, b) => a.x - b.x), here = row.indexOf(node);
  if (key === "ArrowLeft") return row[here - 1];
  if (key === "ArrowRight") return row[here + 1];
  const near = key === "ArrowUp" ? shown.filter((n) => node.operands.includes(n.id)) : shown.filter((n) => n.operands.includes(node.id));
  return near.sort((a, b) => Math.abs(a.x - node.x) - Math.abs(b.x - node.x))[0];
}
function into(node) {
  const drawing = at("view").querySelector("svg.dag"), v = state.view;
  const [w, h] = [drawing.clientWidth / v.scale, drawing.clientHeight / v.scale];
  if (node.x < v.x || node.x > v.x + w || node.y < v.y || node.y > v.y + h) state.view = { ...v, x: node.x - w / 2, y: node.y - h / 2 };
}

// ---------------------------------------------------------------- the trace
function drawTrace() {
  const step = data.rewrites[state.step];
  show("caption", step ? `Rewrite ${state.step + 1} of ${data.rewrites.length}; n and p step through them` : "Nothing was rewritten");
  if (!step) return show("view");
  const side = (title, text, g) => element("div", {}, element("strong", {}, title), element("br"), element("code", {}, text), g ? sized(dag(g, new Set(g.nodes.map((n) => n.id)), null, null), g) : "");
  const tags = [step.values, step.line && `line ${step.line}`, step.block !== null && `block ${step.block}`, step.saving].filter(Boolean).map((t) => element("span", { class: "tag" }, t));
  const back = element("button", { type: "button", onclick: () => turn(-1) }, "← Before"), on = element("button", { type: "button", onclick: () => turn(1) }, "Next →");
  const now = element("div", { class: "rewrite" }, element("h3", {}, step.rule), element("p", {}, step.why), ...tags, back, on, element("div", { class: "pair" }, side("before", step.before, step.graphs[0]), side("after", step.after, step.graphs[1])), ...step.where.map((text) => element("p", {}, "where ", element("code", {}, text))));
  const steps = data.rewrites.map((r, k) => element("li", {}, element("button", { type: "button", "aria-current": String(k === state.step), onclick: () => turnTo(k) }, `${k + 1}. ${r.rule} `, element("code", {}, `${r.before}  →  ${r.after}`))));
  show("view", now, element("ol", { class: "steps" }, ...steps));
  if (step.place) showSource(step.place);
}
function sized(drawing, g) {
  drawing.setAttribute("width", g.width + 20);
  drawing.setAttribute("height", g.height + 20);
  return drawing;
}
function turn(by) {
  turnTo(Math.min(data.rewrites.length - 1, Math.max(0, state.step + by)));
}
function turnTo(step) {
  if (data.rewrites[step]) go({ step, block: data.rewrites[step].block ?? state.block });
}

// ---------------------------------------------------------------- where the time goes
const COLUMNS = [["text", "operator"], ["line", "line"], ["seconds", "share"], ["seconds", "time"], ["estimate", "estimated"], ["runs", "runs"], ["bytes", "result"], ["grew", "memory grew"]];
const GROUPS = { operator: (row) => `${row.block} ${row.node}`, line: (row) => row.line || "no line", "kind of operator": (row) => row.kind };
const sum = (a, b) => (a === null && b === null ? null : a + b);
function grouped() {
  if (state.by === "operator") return [...data.times];
  const groups = new Map();
  for (const row of data.times) {
    const key = GROUPS[state.by](row), old = groups.get(key), named = state.by === "line" ? {} : { text: row.kind, line: "" };
    if (!old) groups.set(key, { ...row, ...named });
    else groups.set(key, { ...old, text: state.by === "line" ? `${old.text}; ${row.text}` : old.text, seconds: old.seconds + row.seconds, estimate: sum(old.estimate, row.estimate), runs: Math.max(old.runs, row.runs), bytes: Math.max(old.bytes, row.bytes), grew: Math.max(old.grew, row.grew) });
  }
  return [...groups.values()];
}
function drawTime() {
  const rows = grouped(), all = data.times.reduce((s, r) => s + r.seconds, 0) || 1;
  const words = state.sort === "text" || state.sort === "line";
  rows.sort((a, b) => (words ? String(a[state.sort]).localeCompare(String(b[state.sort]), "en", { numeric: true }) : b[state.sort] - a[state.sort]));
  show("caption", data.measured ? "Measured, beside the estimate for as many runs" : `Time that is ${data.timed}; --analyze measures it`);
  const choices = Object.keys(GROUPS).map((by) => element("button", { type: "button", "aria-pressed": String(by === state.by), onclick: () => go({ by }) }, `by ${by}`));
  const columns = COLUMNS.filter(([, title]) => (data.measured || !["estimated", "memory grew"].includes(title)) && (title !== "line" || state.by !== "kind of operator"));
  const head = columns.map(([key, title]) => element("th", { "aria-sort": key === state.sort && title !== "share" ? (words ? "ascending" : "descending") : null }, element("button", { type: "button", onclick: () => go({ sort: key }) }, title)));
  const table = element("table", { class: "times" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows.map((row) => timeRow(row, columns, all))));
  show("view", element("div", { class: "by" }, ...choices), table);
}
function timeRow(row, columns, all) {
  const share = row.seconds / all;
  const cells = { operator: row.text, line: row.line, time: seconds(row.seconds), estimated: seconds(row.estimate), runs: row.runs, result: bytes(row.bytes), "memory grew": row.grew >= 1e6 ? `+${bytes(row.grew)}` : "" };
  cells.share = element("span", {}, `${(100 * share).toFixed(1)}%`, element("span", { class: "bar", style: `width:${Math.round(100 * share)}px` }));
  return element("tr", { onclick: () => go({ level: "plan", block: row.block, node: row.node }) }, ...columns.map(([, title]) => element("td", { class: title.replace(" ", "-") }, cells[title])));
}
function seconds(s) {
  if (s === null) return "?";
  const [unit, factor] = [["s", 1], ["ms", 1e3], ["us", 1e6]].find(([, f]) => s * f >= 1) || ["ns", 1e9];
  return s ? `${Number((s * factor).toPrecision(3))} ${unit}` : "0";
}
function bytes(b) {
  if (b === null) return "";
  const at = Math.min(5, Math.floor(Math.log10(Math.max(b, 1)) / 3));
  return at ? `${(b / 1000 ** at).toFixed(1)} ${["B", "KB", "MB", "GB", "TB", "PB"][at]}` : `${b} B`;
}

// ---------------------------------------------------------------- details and source
function drawDetails() {
  const node = chosen();
  if (!node) {
    const legend = "Click an operator to see what it computes, what is known of its result, where it runs and why, and which rules made it. Green: rewritten. Violet: fused. The orange bar is its share of the time.";
    show("details", ...data.answers.flatMap(answer), element("p", { class: "legend" }, legend));
    if (state.level !== "trace") showSource((block() && block().place) || { file: data.name, line: 0 });
    return;
  }
  const codes = new Set(["computes", "Python"]);
  const rows = node.details.flatMap(([k, v]) => [element("dt", {}, k), element("dd", { class: codes.has(k) ? "code" : null }, v)]);
  const rules = node.rules.map(([number, rule]) => element("button", { type: "button", onclick: () => go({ level: "trace", step: data.rewrites.findIndex((r) => r.number === number) }) }, rule));
  const made = rules.length ? element("div", { class: "rules" }, "Made by these rewrites: ", ...rules) : null;
  show("details", ...[element("h3", {}, node.title), made, element("dl", {}, ...rows)].filter(Boolean));
  if (node.place) showSource(node.place);
}
function answer({ question, points }) {
  const point = ({ text, block, node }) => element("li", {}, node === null ? text : element("button", { type: "button", onclick: () => go({ level: "plan", block, node }) }, text));
  return [element("h2", {}, question), element("ul", { class: "answer" }, ...points.map(point))];
}
function showSource(span) {
  const text = data.sources[span.file];
  show("file", span.file);
  if (text === undefined) return show("source");
  const lines = text.split("\n").map((line, k) => sourceLine(line, k + 1, span));
  show("source", ...lines);
  const here = at("source").querySelector(".here");
  if (here) at("source").scrollTop = here.offsetTop - at("source").offsetTop - at("source").clientHeight / 2;
}
function sourceLine(text, number, span) {
  const inside = number >= span.line && number <= span.end_line;
  const click = () => {
    const of = (nodes) => nodes.find((n) => n.place && n.place.file === span.file && n.place.line <= number && number <= n.place.end_line);
    const order = [state.block, ...data.blocks.keys()], level = state.level === "hops" ? "hops" : "plan";
    const home = order.find((k) => data.blocks[k] && of(data.blocks[k][level].nodes));
    if (home !== undefined) go({ level, block: home, node: of(data.blocks[home][level].nodes).id });
  };
  if (!inside) return element("li", { "data-line": number, onclick: click }, text || " ");
  const from = number === span.line ? span.col - 1 : 0, to = number === span.end_line ? span.end_col - 1 : text.length;
  return element("li", { "data-line": number, class: "here", onclick: click }, text.slice(0, from), element("mark", {}, text.slice(from, to)), text.slice(to));
}

// ---------------------------------------------------------------- finding, keys
function findNext() {
  const places = data.blocks.flatMap((b, k) => (b[state.level === "hops" ? "hops" : "plan"].nodes.filter(matches).map((n) => [k, n.id])));
  if (!places.length) return show("found", "nothing");
  const here = places.findIndex(([b, n]) => b === state.block && n === state.node);
  const [to, node] = places[(here + 1) % places.length];
  go({ level: state.level === "hops" ? "hops" : "plan", block: to, node });
  show("found", `${((here + 1) % places.length) + 1} of ${places.length}`);
}
function nextBlock(by) {
  const order = data.outline.filter((o) => o.block !== undefined).map((o) => o.block);
  const to = order[order.indexOf(state.block) + by];
  if (to !== undefined) go({ block: to, node: null });
}
function theme() {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
}
const KEYS = {
  n: () => (state.level === "trace" ? turn(1) : nextBlock(1)),
  p: () => (state.level === "trace" ? turn(-1) : nextBlock(-1)),
  "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: whole,
  "/": () => at("find").focus(), d: theme, "?": () => at("keys").showModal(), Escape: () => go({ node: null, find: "" }),
  " ": () => (isGraph() && chosen() ? fold(state.node) : null),
  ...Object.fromEntries(LEVELS.map(([level], k) => [k + 1, () => go({ level })])),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || at("keys").open) return;
  if (event.target === at("find")) {
    if (event.key === "Enter") findNext();
    if (event.key === "Escape") { at("find").blur(); go({ find: "" }); }
    return;
  }
  const inGraph = isGraph() && (event.target === document.body || event.target.closest("main"));
  const focused = event.target.closest && event.target.closest(".node");
  if (event.key === "Enter" && focused) return go({ node: Number(focused.dataset.node) });
  if (event.key === " " && focused) state.node = Number(focused.dataset.node);
  if (event.key === " " && event.target.closest("button")) return;
  if (event.key.startsWith("Arrow") && inGraph) {
    const to = neighbour(event.key);
    if (to) { into(to); go({ node: to.id }); }
  } else if (KEYS[event.key]) KEYS[event.key]();
  else return;
  event.preventDefault();
});
at("find").addEventListener("input", () => { state.find = at("find").value.trim(); if (!isGraph()) state.level = "plan"; draw(); remember(); });
at("theme").addEventListener("click", theme);
at("help").addEventListener("click", () => at("keys").showModal());
at("close").addEventListener("click", () => at("keys").close());
addEventListener("resize", () => { state.view = null; place(); });
addEventListener("hashchange", () => { recall(); state.view = null; draw(); });

drawFrame();
recall();
draw();
