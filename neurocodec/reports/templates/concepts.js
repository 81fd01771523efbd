(() => {
  "use strict";

  const root = document.querySelector(".concepts");
  const find = (name) => root.querySelector(".k-" + name);
  const data = JSON.parse(document.querySelector(".k-data").textContent);
  const graph = find("graph"), panel = find("panel"), SVG = "http://www.w3.org/2000/svg";
  const ROW = 138, SPAN = 48, THUMB = 38, TOP = 30, BAR = 46, FIRST = 0.03, TENTH = 10;

  /* one graph, one of its choices (all, a class, an image), a node of it, the least share of an edge */
  const state = { set: 0, key: "", node: -1, least: FIRST };
  let shown = new Map();

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }
  function draw(tag, attributes = {}, ...children) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }
  function number(x, digits = 3) {
    if (x === null || x === undefined) return "\u2013";
    const size = Math.abs(x);
    const text = size && (size >= 1e5 || size < 1e-3) ? x.toExponential(2) : String(+x.toPrecision(digits));
    return text.replace("-", "\u2212");
  }
  const percent = (x) => (x === null || x === undefined ? "\u2013" : `${+(100 * x).toPrecision(2)} %`);

  const set = () => data.sets[state.set];
  const choices = () => [...set().entries, ...set().images];
  const entry = () => choices().find((one) => one.key === state.key) || set().entries[0];
  /* of an image the nodes of its class are shown */
  const flags = () => entry().shown || (set().entries.find((one) => one.name === entry().category) || set().entries[0]).shown;

  function color(value, limit) {
    const place = limit > 0 ? (Math.min(Math.max(value / limit, -1), 1) + 1) / 2 : 0.5;
    return data.shades[Math.round(place * (data.shades.length - 1))];
  }

  /* Nodes of each row, the answers first, the residual last. */
  function rows() {
    const { nodes, layers } = set(), show = flags();
    const found = layers.map(() => []);
    nodes.name.forEach((_, i) => { if (show[i]) found[nodes.layer[i]].push(i); });
    const order = (i) => (nodes.kind[i] === "residual" ? -1 : entry().i ? entry().i[i] || 0 : 0);
    found.forEach((row) => row.sort((a, b) => order(b) - order(a)));
    return found.map((row, k) => ({ name: layers[k], row })).reverse();
  }

  function title(i) {
    const { nodes } = set();
    if (nodes.kind[i] === "answer") return nodes.name[i];
    return nodes.kind[i] === "residual" ? `residual of ${set().layers[nodes.layer[i]]}` : `concept vector ${nodes.mode[i]} of ${set().layers[nodes.layer[i]]}`;
  }
  function short(i) {
    const { nodes } = set();
    return nodes.kind[i] === "answer" ? nodes.name[i] : nodes.kind[i] === "residual" ? "residual" : String(nodes.mode[i]);
  }

  function paint() {
    const own = entry(), layers = rows(), { nodes, edges } = set();
    const most = Math.max(...layers.map(({ row }) => row.length));
    const width = Math.max(find("wide").clientWidth - 2, most * SPAN + 12), height = layers.length * ROW;
    /* of concept vectors: a residual may be far larger */
    const sizes = (kind) => layers.flatMap(({ row }) => row.filter((i) => nodes.kind[i] === kind).map((i) => Math.abs(own.c[i] || 0)));
    const limit = Math.max(...sizes("concept"), 0) || Math.max(...sizes("residual"), 0);
    const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "presentation" });
    shown = new Map();
    layers.forEach(({ name, row }, k) => {
      const span = Math.min(110, (width - 12) / row.length), left = (width - span * row.length) / 2;
      row.forEach((i, at) => shown.set(i, { x: left + span * (at + 0.5), y: k * ROW, row: k, at, span }));
      if (k % 2) svg.append(draw("rect", { class: "k-band", x: 0, y: k * ROW, width, height: ROW }));
    });
    const paths = edges[0].map((from, e) => [e, from, edges[1][e]]).filter(([e, from, to]) => shown.has(from) && shown.has(to) && visible(e, from, to));
    paths.sort((a, b) => (own.share ? own.share[a[0]] - own.share[b[0]] : 0));
    svg.append(...paths.map(([e, from, to]) => line(e, shown.get(from), shown.get(to))));
    layers.forEach(({ name }, k) => svg.append(...label(name, k)));
    graph.style.width = `${width}px`;
    graph.style.height = `${height}px`;
    graph.classList.toggle("k-chosen", state.node >= 0);
    graph.replaceChildren(svg, ...[...shown].map(([i, at]) => button(i, at, limit)));
    root.dataset.edges = String(paths.length);
    root.dataset.node = state.node >= 0 ? nodes.name[state.node] : "";
    root.dataset.choice = own.key;
    find("free").hidden = state.node < 0;
    find("limit").textContent = percent(state.least);
    card();
  }

  function visible(e, from, to) {
    const { e: values, share } = entry();
    if (!values || values[e] === null || values[e] === 0) return false;
    return !share || share[e] >= state.least || state.node === from || state.node === to;
  }

  function label(name, k) {
    const at = set().layers.indexOf(name), own = entry(), through = own.through && own.through[at];
    const y = k * ROW + 16, found = [draw("text", { class: "k-row", x: 8, y }, name)];
    found[0].textContent = name;
    if (through === undefined || through === null) return found;
    const x = 16 + 7.5 * name.length;
    found.push(draw("rect", { x, y: y - 9, width: BAR, height: 9, fill: "#fff", stroke: "#7d8894" }),
      draw("rect", { x, y: y - 9, width: BAR * (1 - through), height: 9, fill: "#7d8894" }));
    const text = draw("text", { class: "k-part", x: x + BAR + 6, y, "data-residual": name });
    text.textContent = `residual ${percent(1 - through)}`;
    found.push(text);
    return found;
  }

  function line(e, from, to) {
    const own = entry(), share = own.share ? own.share[e] : 0.1, near = [set().edges[0][e], set().edges[1][e]].includes(state.node);
    const y0 = from.y + TOP, y1 = to.y + TOP + THUMB + 32, bend = (y0 - y1) / 2;
    const path = draw("path", {
      class: near ? "k-edge k-near" : "k-edge", "data-edge": e, d: `M${from.x} ${y0} C${from.x} ${y0 - bend} ${to.x} ${y1 + bend} ${to.x} ${y1}`,
      stroke: own.e[e] > 0 ? data.shades[data.shades.length - 3] : data.shades[2], "stroke-width": (0.7 + 14 * share).toFixed(2), "stroke-opacity": (0.25 + 0.6 * Math.min(1, 4 * share)).toFixed(2),
    });
    const told = draw("title");
    told.textContent = `${title(set().edges[0][e])} to ${title(set().edges[1][e])}: ${number(own.e[e])}, ${percent(share)} of what goes in`;
    path.append(told);
    return path;
  }

  function button(i, at, limit) {
    const { nodes } = set(), own = entry(), value = own.c[i], kind = nodes.kind[i], cards = data.cards[nodes.name[i]];
    const room = at.span - 8, wide = kind === "answer" ? room : limit > 0 ? Math.min(room, Math.max(3, room * Math.abs(value || 0) / limit)) : 3;
    const bar = make("i");
    bar.style.width = `${wide}px`;
    bar.style.background = color(value || 0, kind === "answer" ? Math.abs(value || 1) : limit);
    const parts = [bar, make("b", {}, short(i))];
    if (kind !== "answer") {
      const picture = make("span");
      Object.assign(picture.style, { width: `${THUMB}px`, height: `${THUMB}px` });
      if (cards && cards.fields) Object.assign(picture.style, { backgroundImage: `url(${cards.fields})`, backgroundSize: `${cards.cosine.length * 100}% 100%`, backgroundPosition: "0 0" });
      parts.unshift(picture);
    }
    const made = make("button", {
      type: "button", class: `k-node k-${kind}` + (nodes.shared[i] ? " k-shared" : ""), "data-node": nodes.name[i], tabindex: (state.node < 0 ? at.row === 0 && at.at === 0 : state.node === i) ? 0 : -1,
      "aria-pressed": String(state.node === i), "aria-label": `${title(i)}: contribution ${number(value)}`,
    }, ...parts);
    const high = kind === "answer" ? 32 : THUMB + 32;
    Object.assign(made.style, { left: `${at.x - room / 2}px`, top: `${at.y + TOP + (kind === "answer" ? THUMB : 0)}px`, width: `${room}px`, height: `${high}px` });
    return made;
  }

  /* The card. */
  function range(values, i) {
    const ends = values && values[i];
    return ends && ends[0] !== null ? ` [${number(ends[0])}, ${number(ends[1])}]` : "";
  }

  function facts(i) {
    const own = entry(), { nodes } = set(), known = data.cards[nodes.name[i]] || {};
    const found = [["contribution", number(own.c[i]) + range(own.c_range, i)]];
    if (own.i) found.push(["influence", percent(own.i[i])]);
    if (own.active) found.push(["images with it", percent(own.active[i])]);
    if (nodes.shared[i]) found.push(["shared", "by all classes"]);
    if (known.stability !== undefined) found.push(["stability (cosine)", number(known.stability) + (known.chance !== undefined ? `, chance ${number(known.chance)}` : "")]);
    if (known.control_rank !== undefined) found.push(["rank among controls", `${number(known.control_rank)} of ${known.n_controls + 1}`]);
    if (known.active_share !== undefined) found.push(["positions with it", percent(known.active_share)]);
    return make("dl", {}, ...found.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  }

  function fields(known) {
    if (!known || !known.fields) return [];
    const count = known.cosine.length;
    const items = known.cosine.slice(0, TENTH).map((cosine, k) => {
      const picture = make("span", { role: "img", "aria-label": known.from ? known.from[k] : `example ${k + 1}` });
      Object.assign(picture.style, { backgroundImage: `url(${known.fields})`, backgroundSize: `${count * 100}% 100%`, backgroundPosition: `${count > 1 ? (k / (count - 1)) * 100 : 0}% 0` });
      return make("li", {}, picture, make("small", {}, number(cosine, 2)));
    });
    return [make("h3", {}, "Nearest vectors, with what they see (cosine)"), make("ul", { class: "k-fields" }, ...items)];
  }

  function where(known) {
    if (!known || !known.maps) return [];
    const images = set().images, wanted = images.find((one) => one.key === state.key && known.maps[one.key]);
    const same = images.filter((one) => known.maps[one.key]);
    const one = wanted || same.find((image) => image.category === entry().name) || same[0];
    if (!one) return [];
    const canvas = make("canvas", { "aria-hidden": "true" }), map = new Image();
    map.addEventListener("load", () => {
      canvas.width = map.width;
      canvas.height = map.height;
      const context = canvas.getContext("2d");
      context.drawImage(map, 0, 0);
      const pixels = context.getImageData(0, 0, map.width, map.height), p = pixels.data;
      /* where it is not, the image is dark */
      for (let k = 0; k < p.length; k += 4) { const there = p[k] / 255; p[k] = p[k + 1] = p[k + 2] = 0; p[k + 3] = 200 * (1 - there); }
      context.putImageData(pixels, 0, 0);
    });
    map.src = known.maps[one.key];
    const shownIn = make("div", { class: "k-where" }, make("img", { src: one.picture, alt: one.name }), canvas);
    return [make("h3", {}, `Where it is in ${one.name}`), shownIn];
  }

  function list(name, i, end) {
    const own = entry(), { edges } = set(), other = 1 - end;
    const found = edges[end].map((node, e) => [e, node]).filter(([e, node]) => node === i && shown.has(edges[other][e]) && own.e && own.e[e] !== null && own.e[e] !== undefined).map(([e]) => e);
    if (!found.length) return [];
    found.sort((a, b) => Math.abs(own.e[b]) - Math.abs(own.e[a]));
    const lines = found.map((e) => make("tr", { "data-edge": e }, make("td", {}, make("button", { type: "button", "data-to": set().nodes.name[edges[other][e]] }, title(edges[other][e]))),
      make("td", { class: "n" }, number(own.e[e]) + range(own.e_range, e)), make("td", { class: "n" }, own.share ? percent(own.share[e]) : "")));
    const head = make("tr", {}, ...[end ? "from" : "to", "contribution", "share"].map((word, k) => make("th", k ? { class: "n" } : {}, word)));
    return [make("h3", {}, name), make("div", { class: "k-list" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...lines)))];
  }

  function card() {
    const i = state.node, own = entry();
    if (i < 0) {
      const about = own.n !== undefined ? `Mean of ${own.n} images.` : `One image of ${own.category}.`;
      const parts = [make("h2", {}, own.name), make("p", {}, about)];
      if (own.picture) parts.push(make("div", { class: "k-where" }, make("img", { src: own.picture, alt: own.name })));
      if (own.replacement !== undefined && own.replacement !== null) parts.push(make("p", {}, `Of what is followed to its end, ${percent(own.replacement)} ends in concept vectors of the first layer, the rest in residuals.`));
      if (own.through) parts.push(summary());
      panel.replaceChildren(...parts);
      return;
    }
    const known = data.cards[set().nodes.name[i]];
    panel.replaceChildren(make("h2", {}, title(i)), facts(i), ...fields(known), ...where(known), ...list("What goes in", i, 1), ...list("What it goes into", i, 0));
  }

  function summary() {
    const own = entry(), names = ["layer", "residual", "followed", "drawn"];
    const head = make("tr", {}, ...names.map((word, k) => make("th", k ? { class: "n" } : {}, word)));
    const lines = own.through.map((through, k) => make("tr", {}, make("td", {}, set().layers[k]), ...[1 - through, own.followed && own.followed[k], own.drawn && own.drawn[k]].map((x) => make("td", { class: "n" }, percent(x)))));
    return make("table", {}, make("thead", {}, head), make("tbody", {}, ...lines.reverse()));
  }

  /* The tools. */
  function tools() {
    const sets = find("set"), classes = find("class"), images = find("image");
    sets.replaceChildren(...data.sets.map((one, k) => make("option", { value: k }, one.name)));
    find("sets").hidden = data.sets.length < 2;
    classes.replaceChildren(...set().entries.map((one) => make("option", { value: one.key }, one.n === undefined ? one.name : `${one.name} (${one.n})`)));
    images.replaceChildren(make("option", { value: "" }, "mean of all"), ...set().images.map((one) => make("option", { value: one.key }, `${one.name} (${one.category})`)));
    find("pictures").hidden = !set().images.length;
    sets.value = String(state.set);
    const own = entry();
    classes.value = own.category === undefined ? own.key : `class:${own.category}`;
    images.value = own.category === undefined ? "" : own.key;
    find("least").value = String(state.least);
  }

  /* The address. */
  function writeAddress() {
    const words = new URLSearchParams();
    if (state.set) words.set("set", set().name);
    if (entry() !== set().entries[0]) words.set("of", entry().key);
    if (state.node >= 0) words.set("node", set().nodes.name[state.node]);
    if (state.least !== FIRST) words.set("least", String(state.least));
    try { history.replaceState(null, "", "#" + words); }
    catch (error) { if (error.name !== "SecurityError") throw error; } /* a sandboxed frame has no address */
  }
  function readAddress() {
    const words = new URLSearchParams(location.hash.slice(1)), least = Number(words.get("least"));
    state.set = Math.max(0, data.sets.findIndex((one) => one.name === words.get("set")));
    state.key = words.get("of") || "";
    state.key = entry().key;
    state.least = words.has("least") && Number.isFinite(least) ? Math.min(Math.max(least, 0), 0.4) : FIRST;
    const node = set().nodes.name.indexOf(words.get("node"));
    state.node = node >= 0 && flags()[node] ? node : -1;
    tools();
    paint();
  }
  function change(what) {
    const name = state.node >= 0 ? set().nodes.name[state.node] : "";
    Object.assign(state, what);
    if (!("node" in what)) { /* the same node of another choice, where it is one of its own */
      const at = set().nodes.name.indexOf(name);
      state.node = at >= 0 && flags()[at] ? at : -1;
    }
    writeAddress();
    tools();
    paint();
  }

  /* The nearest node of the next row, or the next of the row. */
  function towards(i, dx, dy) {
    const here = shown.get(i);
    let best = -1, least = Infinity;
    for (const [k, at] of shown) {
      const right = dy ? at.row - here.row === dy : at.row === here.row && (at.x - here.x) * dx > 0;
      if (right && Math.abs(at.x - here.x) < least) [best, least] = [k, Math.abs(at.x - here.x)];
    }
    return best;
  }
  const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const button_of = (name) => [...graph.querySelectorAll(".k-node")].find((one) => one.dataset.node === name);
  const nodeOf = (target) => { const found = target.closest && target.closest(".k-node"); return found ? set().nodes.name.indexOf(found.dataset.node) : -1; };

  function choose(i, focus) {
    change({ node: i === state.node ? -1 : i });
    const made = focus && button_of(set().nodes.name[i]);
    if (made) made.focus();
  }
  function listen() {
    find("set").addEventListener("change", (event) => change({ set: Number(event.target.value), key: data.sets[Number(event.target.value)].entries[0].key }));
    find("class").addEventListener("change", (event) => change({ key: event.target.value }));
    find("image").addEventListener("change", (event) => change({ key: event.target.value || find("class").value }));
    find("least").addEventListener("input", (event) => change({ least: Number(event.target.value), node: state.node }));
    find("free").addEventListener("click", () => change({ node: -1 }));
    graph.addEventListener("click", (event) => { const i = nodeOf(event.target); if (i >= 0) choose(i, true); });
    graph.addEventListener("keydown", (event) => {
      const i = nodeOf(event.target), way = WAYS[event.key];
      if (!way || i < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
      const next = towards(i, ...way), made = next >= 0 && button_of(set().nodes.name[next]);
      if (made) { graph.querySelectorAll(".k-node").forEach((one) => { one.tabIndex = one === made ? 0 : -1; }); made.focus(); }
      event.preventDefault();
    });
    panel.addEventListener("click", (event) => {
      const to = event.target.closest("[data-to]");
      if (to) choose(set().nodes.name.indexOf(to.dataset.to), true);
    });
    addEventListener("keydown", (event) => { if (event.key === "Escape" && state.node >= 0) change({ node: -1 }); });
    addEventListener("hashchange", readAddress);
    let last = 0;
    new ResizeObserver(() => { const now = find("wide").clientWidth; if (now !== last) { last = now; paint(); } }).observe(find("wide"));
  }

  readAddress();
  listen();
  root.dataset.ready = "";
})();
