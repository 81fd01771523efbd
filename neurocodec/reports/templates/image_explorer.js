const explorer = (() => {
  "use strict";

  const root = document.querySelector(".modes"), find = (name) => root.querySelector(".m-" + name);
  const run = JSON.parse(document.querySelector(".m-data").textContent);
  const view = find("view"), title = document.title, MORE = 60, SVG = "http://www.w3.org/2000/svg";
  const HUES = ["#6a3d9a", "#0072b2", "#009e73", "#e69f00", "#8a939c", "#d55e00"];
  const SORTS = {
    r: ["r with a class", (m) => m.r], share: ["share of images", (m) => m.share], lost: ["R\u00b2 lost", (m) => m.lost],
    sparsity: ["sparsity", (m) => m.hoyer], stability: ["stability", (m) => m.stability], number: ["number", (m, i) => -i],
  };
  const KINDS = ["strongest", "next to the median loading", "random, the same for all modes"];
  const waiting = new Map();
  let turn = 0, shown = {};

  /* Numbers lie in scripts beside the page: one that was opened from a disk may fetch nothing else. */
  function load(name) {
    if (!waiting.has(name)) {
      const one = {};
      one.promise = new Promise((resolve, reject) => { one.resolve = resolve; one.reject = reject; });
      waiting.set(name, one);
      const script = make("script", { src: `data/${name}.js` });
      script.addEventListener("error", () => { waiting.delete(name); one.reject(new Error(`data/${name}.js is missing beside this page`)); });
      document.head.append(script);
    }
    return waiting.get(name).promise;
  }
  const take = (name, data) => waiting.get(name).resolve(data);
  const loadMode = async (layer, mode) => (await load(`modes-${layer}-${Math.floor(mode / run.block)}`))[mode % run.block];
  const loadImage = async (i) => (await load(`images-${Math.floor(i / run.perFile)}`))[i % run.perFile];

  /* Parts of pages; all that users have named becomes text, never markup. */
  function make(tag, attributes = {}, ...children) { return dress(document.createElement(tag), attributes, children); }
  function draw(tag, attributes = {}, ...children) { return dress(document.createElementNS(SVG, tag), attributes, children); }
  function dress(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children.flat().filter((child) => child !== null && child !== ""));
    return element;
  }
  function number(x, digits = 3) {
    if (x === null || x === undefined) return "\u2013";
    if (x === 0) return "0";
    const size = Math.abs(x), places = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
    return (size >= 1e5 || size < 1e-3 ? x.toExponential(1) : x.toFixed(Math.min(places, 4))).replace("-", "\u2212");
  }
  const r = (x) => (x === null || x === undefined ? "\u2013" : x.toFixed(2).replace("-", "\u2212"));
  const percent = (x) => (x === null ? "\u2013" : `${number(100 * x, x < 0.1 ? 2 : 3)} %`);
  const amount = (x) => `${number(x)} ${run.units}`.trim();
  const address = (state) => "#" + new URLSearchParams(Object.entries(state).filter(([, x]) => x !== "" && x !== undefined && x !== null));
  const layerAt = (name) => run.layers.findIndex((layer) => layer.name === name);
  const ofLayer = (n, more = {}) => address({ layer: run.layers[n].name, ...more });
  const ofMode = (n, m) => ofLayer(n, { mode: run.layers[n].modes[m] });
  const ofClass = (c) => address({ class: run.classes[c] });
  const ofImage = (i, n) => address({ image: i, layer: n === undefined ? "" : run.layers[n].name });
  const modeName = (n, m) => `${run.layers[n].name}, mode ${run.layers[n].modes[m]}`;
  const link = (href, ...children) => make("a", { href }, ...children);
  const className = (c) => (c < 0 ? "" : run.classes[c]);
  const toClass = (c) => link(ofClass(c), className(c));

  function thumb(i, mask) {
    const picture = { src: `images/${Math.floor(i / run.folder)}/${i}.jpg`, alt: "", loading: "lazy", decoding: "async" };
    const part = mask ? make("img", { class: "m-mask", src: `data:image/jpeg;base64,${mask}`, alt: "" }) : null;
    return make("span", { class: "m-thumb" }, make("img", picture), part);
  }
  function table(columns, rows) {
    const head = columns.map(([name, n]) => make("th", n ? { class: "n" } : {}, name));
    const body = rows.map((row) => make("tr", row.attributes || {}, ...(row.cells || row).map((cell, i) => make("td", columns[i][1] ? { class: "n" } : {}, cell))));
    return make("div", { class: "m-over" }, make("table", {}, make("tr", {}, ...head), ...body));
  }
  function facts(pairs) {
    return make("dl", { class: "m-facts" }, ...pairs.filter(([, x]) => x !== null).flatMap(([name, x]) => [make("dt", {}, name), make("dd", {}, ...[x].flat())]));
  }
  const heading = (...children) => make("h1", { tabindex: "-1" }, ...children);
  const joined = (nodes) => nodes.flatMap((node, i) => (i ? [", ", node] : [node]));

  function card(n, m, one) {
    const best = one.classes.map(([c, x]) => `${className(c)} ${r(x)}`).join(", ");
    const told = [`on ${percent(one.share)} of images`, `R\u00b2 lost ${one.lost === null ? "\u2013" : one.lost.toFixed(4)}`, `sparsity ${r(one.hoyer)}`];
    if (one.stability !== null) told.push(`stability ${r(one.stability)}`);
    return make("li", {}, make("a", { class: "m-card", href: ofMode(n, m), "data-mode": one.name },
      make("span", { class: "m-strip" }, ...one.top.map((i) => thumb(i))),
      make("b", {}, `mode ${one.name} `), make("em", {}, best || "no class"), make("small", {}, told.join(" \u00b7 "))));
  }

  /* The atlas of a layer. */
  async function atlas(state) {
    const named = layerAt(state.layer), n = named < 0 ? run.layers.length - 1 : named, layer = run.layers[n];
    const modes = await load(`layer-${n}`), sort = SORTS[state.sort] ? state.sort : "r", [, key] = SORTS[sort];
    const wanted = (state.find || "").trim().toLowerCase();
    const fits = (one) => !wanted || one.classes.some(([c]) => className(c).toLowerCase().includes(wanted));
    const value = (m) => { const x = key(modes[m], m); return x === null || x === undefined ? -Infinity : x; };
    const order = modes.map((_, m) => m).filter((m) => fits(modes[m])).sort((a, b) => value(b) - value(a) || a - b);
    const cards = make("ul", { class: "m-cards" });
    const more = make("button", { type: "button" }, "show more");
    const add = () => {
      const from = cards.children.length;
      cards.append(...order.slice(from, from + MORE).map((m) => card(n, m, modes[m])));
      more.hidden = cards.children.length >= order.length;
    };
    more.addEventListener("click", add);
    add();
    const alive = modes.filter((one) => one.share > 0).length;
    const said = `${modes.length} modes of ${layer.channels} channels, ${alive} of them active on some image; R\u00b2 per channel ${r(layer.r2)}${layer.r2 !== null && layer.r2 < 0 ? ", below 0: the modes tell these images less than the mean of each channel does" : ""}.`;
    const found = wanted ? ` ${order.length} have a class with \u201c${state.find}\u201d among the three that they follow best.` : "";
    const classes = run.classes.map((name, c) => [name, c]).filter(([name]) => wanted && name.toLowerCase().includes(wanted)).slice(0, 8);
    const to = classes.length ? make("p", {}, "Classes: ", ...joined(classes.map(([, c]) => toClass(c)))) : null;
    return { node: [heading(layer.name), make("p", { class: "lead" }, said + found), to, cards, more], name: layer.name,
      next: n + 1 < run.layers.length ? ofLayer(n + 1) : "", last: n ? ofLayer(n - 1) : "", layer: n };
  }

  function histogram(one) {
    const most = Math.max(...one.counts, 1), wide = 340 / one.counts.length;
    const bars = one.counts.map((count, i) => draw("rect", { x: 8 + i * wide, width: wide - 1, y: 104 - (96 * count) / most, height: (96 * count) / most }, draw("title", {}, String(count))));
    return draw("svg", { class: "m-chart", viewBox: "0 0 360 124", role: "img", "aria-label": `loadings above 0, up to ${number(one.high)}` },
      ...bars, draw("line", { x1: 8, x2: 348, y1: 104.5, y2: 104.5 }), draw("text", { x: 8, y: 119 }, "0"),
      draw("text", { x: 348, y: 119, "text-anchor": "end" }, `loading ${number(one.high)}`), draw("text", { x: 348, y: 12, "text-anchor": "end" }, most === 1 ? "1 image" : `${most} images`));
  }

  async function mode(state) {
    const n = layerAt(state.layer), m = n < 0 ? -1 : run.layers[n].modes.indexOf(state.mode);
    if (m < 0) return missing(`There is no mode ${state.mode} of ${state.layer}.`);
    const [all, one] = await Promise.all([load(`layer-${n}`), loadMode(n, m)]), known = all[m];
    const rows = await Promise.all(one.images.map((row) => Promise.all(row.map(loadImage))));
    const item = (k) => (i, j) => make("li", {}, link(ofImage(i, n), k === 0 && one.masks[j] ? make("span", { class: "m-pair" }, thumb(i), thumb(i, one.masks[j])) : thumb(i),
      make("small", {}, `${className(rows[k][j].label) || rows[k][j].name} \u00b7 ${number(one.loadings[k][j])}`)));
    const parts = one.images.map((row, k) => {
      const items = row.map(item(k)), pairs = k ? 0 : one.masks.length;
      const lists = [[" m-wide", items.slice(0, pairs)], ["", items.slice(pairs)]].filter(([, some]) => some.length);
      return [make("h2", {}, KINDS[k]), row.length ? "" : make("p", {}, "none: the mode is active on no image"), ...lists.map(([wide, some]) => make("ul", { class: `m-row${wide}` }, ...some))];
    });
    const linked = [["in this layer, cosine of channels", one.alike, n], ["layer before, r of loadings", one.linked.before, n - 1], ["layer after, r of loadings", one.linked.after, n + 1]];
    const alike = linked.filter(([, found]) => found && found.length).map(([name, found, at]) => [name, joined(found.map(([other, x]) => make("span", {}, link(ofMode(at, other), `mode ${run.layers[at].modes[other]}`), ` ${r(x)}`)))]);
    const classes = one.classes.length ? table([["class"], ["r", 1], ["chance", 1], ["images", 1]], one.classes.map(([c, x, chance]) => [toClass(c), r(x), r(chance), String(run.sizes[c])]))
      : make("p", {}, run.classes.length ? "It follows no class." : "The images have no classes.");
    const side = make("aside", {}, facts([["active on", `${percent(known.share)} of images`], ["R\u00b2 lost without it", number(known.lost)], ["sparsity of channels", r(known.hoyer)],
      ["nearest mode", known.nearest === null ? null : `cosine ${r(known.nearest)}`], ["stability", known.stability === null ? "not computed" : r(known.stability)]]),
    make("h2", {}, "classes"), classes, make("h2", {}, "loadings above 0"), one.counts.some((count) => count > 0) ? histogram(one) : make("p", {}, "none"),
    make("h2", {}, "channels"), table([["channel"], ["weight", 1]], one.channels.map(([name, x]) => [name, number(x)])),
    make("h2", {}, "similar modes"), alike.length ? facts(alike) : make("p", {}, "none"));
    const effect = make("div", {});
    const count = run.layers[n].modes.length;
    const near = make("p", { class: "m-near" }, link(ofLayer(n), `all modes of ${run.layers[n].name}`), ...one.ablated.map((c) => link(ofClass(c), `class ${className(c)}`)));
    if (one.ablated.length) await Promise.all(one.ablated.map(async (c) => {
      const curves = (await load(`class-${c}`)).curves.filter((curve) => curve.layer === n);
      effect.append(make("h2", {}, `accuracy without, and with nothing but, its channels: ${className(c)}`), ...curves.map(charts));
    }));
    else effect.append(make("h2", {}, "effect of ablating it"), make("p", {}, "Not computed: no class was perturbed by the channels of this mode."));
    const masked = one.masks.length ? make("p", { class: "lead" }, "Beside an image the part of it that acts through the mode at excitatory positions, all on one scale; dark where nothing does.") : null;
    return { node: [heading(modeName(n, m)), near, make("div", { class: "m-sides" }, make("div", {}, masked, ...parts.flat(), effect), side)], name: modeName(n, m), layer: n,
      next: m + 1 < count ? ofMode(n, m + 1) : "", last: m ? ofMode(n, m - 1) : "", up: ofLayer(n) };
  }

  /* Accuracy while more and more channels are set to 0, or all others. */
  function charts(curve) {
    const x = (f) => 34 + 290 * f, y = (a) => 150 - 136 * a;
    const one = (k) => draw("svg", { class: "m-chart", viewBox: "0 0 340 184", role: "img", "aria-label": `accuracy, ${curve.kinds[k]}` },
      ...[0, 0.5, 1].flatMap((a) => [draw("line", { x1: 34, x2: 324, y1: y(a), y2: y(a) }), draw("text", { x: 28, y: y(a) + 4, "text-anchor": "end" }, String(a))]),
      ...curve.rankings.map((_, i) => i).reverse().flatMap((i) => curve.groups.map((_group, g) => draw("path", { stroke: HUES[i % HUES.length], class: g ? "m-off" : "m-on",
        d: "M" + curve.fractions.map((f, j) => [x(f), y(curve.accuracy[k][i][g][j])]).filter(([, at]) => Number.isFinite(at)).map((p) => p.map((q) => q.toFixed(1)).join(" ")).join("L") }))),
      draw("text", { x: 34, y: 166 }, "0"), draw("text", { x: 324, y: 166, "text-anchor": "end" }, "all channels"), draw("text", { x: 34, y: 181 }, `${curve.kinds[k]}, accuracy`));
    const keys = curve.rankings.map((name, i) => { const key = make("i"); key.style.background = HUES[i % HUES.length]; return make("span", {}, key, name); });
    return make("div", {}, make("p", { class: "m-legend" }, ...keys, make("span", {}, `dashed: other classes; n = ${curve.n.join(" and ")}`)), make("div", { class: "m-charts" }, ...curve.kinds.map((_, k) => one(k))));
  }

  async function image(state) {
    const i = Number(state.image), one = Number.isInteger(i) && i >= 0 && i < run.images ? await loadImage(i) : null;
    if (!one) return missing(`Image ${state.image} is not shown with any mode.`);
    const at = layerAt(state.layer), n = at < 0 ? run.layers.length - 1 : at, [sums, modes] = one.layers[n];
    const explained = ([excitation, , left]) => (excitation > 0 ? 1 - left / excitation : null);
    const rows = one.layers.map(([own, best], l) => ({ attributes: l === n ? { class: "m-chosen" } : {}, cells: [link(ofImage(i, l), run.layers[l].name), number(own[0]), number(own[1]), percent(explained(own)),
      make("span", {}, ...joined(best.slice(0, 3).map(([m]) => link(ofMode(l, m), `mode ${run.layers[l].modes[m]}`))))] }));
    const most = Math.max(...modes.map(([, x]) => x), 1e-12), whole = await load(`layer-${n}`);
    const told = await Promise.all(modes.map(async ([m, x]) => {
      const own = await loadMode(n, m), place = own.images[0].indexOf(i), mask = own.masks[place];
      const bar = make("span", { class: "m-bar" });
      bar.style.width = `${(100 * x) / most}%`;
      const best = whole[m].classes[0];
      const first = own.images[0][0], pair = mask ? [thumb(i), thumb(i, mask)] : first === undefined ? [thumb(i)] : own.masks[0] ? [thumb(first), thumb(first, own.masks[0])] : [thumb(first)];
      return make("li", {}, link(ofMode(n, m), make("span", { class: "m-pair" }, ...pair), bar,
        make("small", {}, mask ? "" : "elsewhere \u00b7 ", `mode ${run.layers[n].modes[m]}: ${amount(x)}${best ? ` \u00b7 ${className(best[0])} ${r(best[1])}` : ""}`)));
    }));
    const answer = run.classes.indexOf(one.answer);
    const picture = make("div", { class: "m-image" }, thumb(i));
    const known = facts([["class", one.label < 0 ? "unknown" : toClass(one.label)], ["answer", one.answer ? (answer < 0 ? one.answer : toClass(answer)) : null], ["target", amount(one.target)], ["file", one.name]]);
    const left = `${run.layers[n].name}: at positions that raise the target its channels add ${amount(sums[0])}, of which modes explain ${percent(explained(sums))} and ${amount(sums[2])} is left; at others they take ${amount(sums[1])}.`;
    const note = "The bar is what the mode adds to the target. Above it this image and the part of it that acts through the mode, where it is among those that the mode is strongest on; elsewhere: the image that it is strongest on, and the part of that.";
    return { node: [heading(one.name), make("div", { class: "m-sides" }, make("div", {}, make("h2", {}, `modes of ${run.layers[n].name} by what they add`), make("p", {}, left), told.length ? make("ul", { class: "m-row m-wide" }, ...told) : make("p", {}, "No mode is active."),
      make("p", { class: "lead" }, note), make("h2", {}, "all layers"), table([["layer"], ["excitation", 1], ["inhibition", 1], ["explained", 1], ["strongest modes"]], rows)), make("aside", { class: "m-first" }, picture, known))],
    name: one.name, layer: n, next: await beside(i, 1, n), last: await beside(i, -1, n), up: ofLayer(n) };
  }
  async function beside(i, step, n) {
    for (let other = i + step; other >= 0 && other < run.images; other += step) if (await loadImage(other)) return ofImage(other, n);
    return "";
  }

  async function ofOneClass(state) {
    const c = run.classes.indexOf(state.class);
    if (c < 0) return missing(`There is no class ${state.class} among the images.`);
    const one = await load(`class-${c}`), layers = [...new Set(one.modes.map(([n]) => n))];
    const known = new Map(await Promise.all(layers.map(async (n) => [n, await load(`layer-${n}`)])));
    const cards = one.modes.map(([n, m, x, chance]) => { const item = card(n, m, known.get(n)[m]); item.querySelector("b").textContent = `${modeName(n, m)} `; item.querySelector("em").textContent = `r ${r(x)}, chance ${r(chance)}`; return item; });
    const few = run.sizes[c] < run.least ? `, too few to rank modes by (${run.least} are needed)` : "";
    const curves = make("div", {}), picks = make("p", { class: "m-near" });
    const pick = (at) => { curves.replaceChildren(charts(one.curves[at])); [...picks.children].forEach((button, j) => button.setAttribute("aria-pressed", String(j === at))); };
    picks.append(...one.curves.map((curve, at) => { const button = make("button", { type: "button" }, run.layers[curve.layer].name); button.addEventListener("click", () => pick(at)); return button; }));
    if (one.curves.length) pick(one.curves.length - 1);
    else curves.append(make("p", {}, "Not computed for this class."));
    return { node: [heading(className(c)), make("p", { class: "lead" }, `${run.sizes[c]} held-out images${few}.`), make("h2", {}, "modes that follow it best"), make("p", {}, `${one.above} of ${run.layers.reduce((sum, layer) => sum + layer.modes.length, 0)} modes of all layers follow it above chance, which ${Math.round(100 * (1 - run.level))} % would by accident${one.modes.length ? `; here ${one.modes.length === 1 ? "is the one" : `are the ${one.modes.length}`} with the largest r` : ""}.`), cards.length ? make("ul", { class: "m-cards" }, ...cards) : make("p", {}, "none"),
      make("h2", {}, "ablation and preservation of channels"), picks, curves, make("h2", {}, "images"), make("ul", { class: "m-row" }, ...one.images.map((i) => make("li", {}, link(ofImage(i), thumb(i)))))],
    name: className(c), next: c + 1 < run.classes.length ? ofClass(c + 1) : "", last: c ? ofClass(c - 1) : "", up: "#" };
  }
  const missing = (text) => ({ node: [heading("Nothing here"), make("p", {}, text), link("#", "all modes")], name: "nothing" });

  async function render() {
    const own = ++turn, state = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    const page = state.mode !== undefined ? mode : state.image !== undefined ? image : state.class !== undefined ? ofOneClass : atlas;
    let made;
    try { made = await page(state); } catch (error) { made = missing(error.message); }
    if (own !== turn) return;
    const moved = shown.page !== page || page !== atlas;
    shown = { ...made, page };
    view.replaceChildren(...made.node.flat().filter(Boolean));
    document.title = `${made.name} \u00b7 ${title}`;
    if (made.layer !== undefined) find("layer").value = run.layers[made.layer].name;
    if (document.activeElement !== find("class")) find("class").value = state.find || "";
    find("sort").value = SORTS[state.sort] ? state.sort : "r";
    if (moved) { window.scrollTo(0, 0); if (own > 1) view.querySelector("h1").focus({ preventScroll: true }); }
    root.dataset.shown = location.hash;
  }

  function choose() {
    const sort = find("sort").value;
    const to = address({ layer: find("layer").value, find: find("class").value, sort: sort === "r" ? "" : sort });
    if (to !== location.hash) { history.replaceState(null, "", to); render(); }
  }
  function keys(event) {
    const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
    if (event.ctrlKey || event.metaKey || event.altKey || (typing && event.key !== "Escape")) return;
    const cards = [...view.querySelectorAll(".m-card")], at = cards.indexOf(document.activeElement);
    const steps = { ArrowRight: 1, ArrowLeft: -1 }, step = steps[event.key];
    if (event.key === "/") find("class").focus();
    else if (event.key === "Escape") { if (typing) event.target.blur(); else if (shown.up) location.hash = shown.up; else return; }
    else if (step && (at >= 0 || shown.page === atlas)) (cards[at + step] || cards[0])?.focus();
    else if (step && (step > 0 ? shown.next : shown.last)) location.hash = step > 0 ? shown.next : shown.last;
    else return;
    event.preventDefault();
  }

  find("sort").append(...Object.entries(SORTS).filter(([key]) => key !== "stability" || run.stability).map(([key, [name]]) => make("option", { value: key }, name)));
  root.querySelector("datalist").append(...run.classes.map((name) => make("option", { value: name })));
  root.classList.toggle("m-small", run.small);
  find("layer").addEventListener("change", choose);
  find("sort").addEventListener("change", choose);
  find("class").addEventListener("input", choose);
  find("find").addEventListener("submit", (event) => { event.preventDefault(); const c = run.classes.indexOf(find("class").value); if (c >= 0) location.hash = ofClass(c); });
  window.addEventListener("hashchange", render);
  document.addEventListener("keydown", keys);
  setTimeout(render);
  return { take };
})();
