(() => {
  "use strict";

  const root = document.currentScript.closest(".explorer");
  const find = (name) => root.querySelector(".x-" + name);
  const data = JSON.parse(find("data").textContent);
  const RDBU = ["053061", "2166ac", "4393c3", "92c5de", "d1e5f0", "f7f7f7", "fddbc7", "f4a582", "d6604d", "b2182b", "67001f"]
    .map((code) => [0, 2, 4].map((i) => parseInt(code.slice(i, i + 2), 16)));
  const KINDS = { int8: Int8Array, uint8: Uint8Array, int16: Int16Array, int32: Int32Array, float32: Float32Array, float64: Float64Array };
  const SHOWN_MODES = 6, SHOWN_CHANNELS = 12, SHOWN_CHANNELS_NARROW = 8, NARROW = 420;

  const state = { cell: 0, moment: 0, component: 0, zoom: 0, same: false, pinned: null, all: {} };
  const maps = new Map();
  let time, rate, recorded, peak, share, temporal, frames, layers;

  /* Packed numbers: base64 of deflated little-endian bytes. */
  async function unpack(packed) {
    const text = atob(packed.deflate), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new KINDS[packed.dtype](await new Response(stream).arrayBuffer());
  }

  function mapsOf(cell) {
    if (!maps.has(cell)) maps.set(cell, unpack(data.fields.maps[cell]));
    return maps.get(cell);
  }

  /* Numbers as a reader wants them; the exact one goes with them in <data value>. */
  function number(x, digits = 3) {
    if (x === 0) return "0";
    const size = Math.abs(x);
    const text = size >= 1e5 || size < 1e-3 ? x.toExponential(digits - 1)
      : x.toFixed(Math.max(0, digits - 1 - Math.floor(Math.log10(size))));
    return text.replace("-", "\u2212");
  }
  const hertz = (r) => `${r > 0 && r < 0.01 ? "<0.01" : number(r)} ${data.rate.units}`;
  const seconds = (t) => String(Math.round(t * 1e4) / 1e4).replace("-", "\u2212") + " s";
  const percent = (x) => number(100 * x, x < 0.1 ? 2 : 3).replace(/\.\d+$/, (d) => (x < 0.1 ? d : "")) + " %";

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    return dress(element, attributes, children);
  }
  function draw(tag, attributes = {}, ...children) {
    return dress(document.createElementNS(find("timeline").namespaceURI, tag), attributes, children);
  }
  function dress(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }
  const exact = (value, text) => make("data", { value: String(value) }, text);

  /* Where numbers lie. */
  const cells = data.cells.names;
  const moments = data.moments;
  const components = () => peak.length / (cells.length * moments.length);
  const place = (cell, moment, component) => (cell * moments.length + moment) * components() + component;
  const here = () => place(state.cell, state.moment, state.component);
  const now = () => moments[state.moment];
  const rateOf = (cell, frame) => rate[cell * time.length + frame];
  const recordedOf = (cell, frame) => (recorded ? recorded[cell * time.length + frame] : NaN);
  const loading = (layer, mode, frame) => layer.loadings[mode * time.length + frame];
  const active = (layer, frame) => layer.modes.map((_, m) => m).filter((m) => loading(layer, m, frame) > 0)
    .sort((a, b) => loading(layer, b, frame) - loading(layer, a, frame));

  /* Near-copies of a mode count as one, unless the reader looks at all modes of the layer. */
  const single = (layer) => Boolean(state.all[layer.name]);
  const members = (layer, mode) => (single(layer) ? [mode] : layer.modes.map((_, m) => m).filter((m) => layer.alike[m] === layer.alike[mode]));
  const isOn = (layer, mode, frame) => members(layer, mode).some((m) => loading(layer, m, frame) > 0);
  function groups(layer, found) {
    if (single(layer)) return found.map((m) => [m]);
    const rows = new Map();
    for (const m of found) rows.set(layer.alike[m], [...(rows.get(layer.alike[m]) || []), m]);
    return [...rows.values()];
  }
  const modeName = (layer, mode) => layer.modes[mode] + (members(layer, mode).length > 1 ? " or a near-copy" : "");

  const cellName = (c) => (data.cells.types ? `${cells[c]} \u00b7 ${data.cells.types[c]}` : cells[c]);

  function course(cell, moment, component) {
    const n = data.fields.lag.length, start = place(cell, moment, component) * n;
    return Array.from(temporal.subarray(start, start + n), (x) => x / data.fields.levels[1]);
  }

  function strongest(values) {
    let best = 0;
    for (let i = 1; i < values.length; i++) if (Math.abs(values[i]) > Math.abs(values[best])) best = i;
    return best;
  }

  async function spatialMap() {
    const packed = data.fields.maps[state.cell], [, , h, w] = packed.shape;
    const levels = await mapsOf(state.cell), start = (state.moment * components() + state.component) * h * w;
    const [height, width] = data.fields.size, [top, left] = data.fields.corner[state.cell];
    const map = new Float32Array(height * width), step = peak[here()] / data.fields.levels[0];
    for (let y = 0; y < h; y++) for (let x = 0; x < w; x++)
      map[(y + top) * width + x + left] = levels[start + y * w + x] * step;
    return map;
  }

  /* The time axis. */
  const edges = { left: 46, right: 8, top: 16, rate: 96, gap: 20, mode: 26 };

  function view() {
    const first = time[0], last = time[time.length - 1];
    if (!state.zoom || state.zoom >= last - first) return [first, Math.max(last, first + 1e-9)];
    const start = Math.min(Math.max(time[now()] - state.zoom / 2, first), last - state.zoom);
    return [start, start + state.zoom];
  }

  function ticks(low, high, count) {
    const raw = (high - low) / Math.max(count, 1), power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((m) => m * power >= raw * 0.999), found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(+(i * step).toPrecision(12));
    return found;
  }

  /* Lowest and highest value of every pixel column, so that no peak is lost. */
  function path(value, x, y, [low, high], width, closed) {
    const columns = new Map();
    for (let i = 0; i < time.length; i++) {
      const v = value(i);
      if (time[i] < low || time[i] > high || Number.isNaN(v)) continue;
      const column = Math.round(x(time[i]) * 2), seen = columns.get(column);
      if (seen) { seen[1] = Math.min(seen[1], v); seen[2] = Math.max(seen[2], v); }
      else columns.set(column, [x(time[i]), v, v]);
    }
    const points = [...columns.values()].flatMap(([at, a, b]) => (a === b ? [[at, a]] : [[at, a], [at, b]]));
    if (!points.length) return "";
    const line = points.map(([at, v]) => `${at.toFixed(1)} ${y(v).toFixed(1)}`).join("L");
    const base = y(0).toFixed(1);
    return closed ? `M${points[0][0].toFixed(1)} ${base}L${line}L${points[points.length - 1][0].toFixed(1)} ${base}Z` : "M" + line;
  }

  function pickedMode() {
    if (state.pinned) return state.pinned;
    for (const layer of layers) {
      const found = active(layer, now());
      if (found.length) return { layer, mode: found[0] };
    }
    return null;
  }

  function drawTimeline() {
    const svg = find("timeline"), width = svg.clientWidth || 800, [low, high] = view();
    const right = width - edges.right, x = (t) => edges.left + ((t - low) / (high - low)) * (right - edges.left);
    let most = 0;
    for (let i = 0; i < time.length; i++) most = Math.max(most, rateOf(state.cell, i), recordedOf(state.cell, i) || 0);
    const floor = edges.top + edges.rate, y = (r) => floor - (r / (most || 1)) * edges.rate;
    const parts = [];
    for (const r of ticks(0, most || 1, 3)) {
      parts.push(draw("line", { class: "x-grid", x1: edges.left, x2: right, y1: y(r), y2: y(r) }));
      parts.push(draw("text", { class: "x-end", x: edges.left - 6, y: y(r) + 4 }, String(r)));
    }
    parts.push(draw("text", { x: 0, y: 10 }, `rate (${data.rate.units})`));
    if (recorded) parts.push(draw("path", { class: "x-area-recorded", d: path((i) => recordedOf(state.cell, i), x, y, [low, high], width, true) }));
    const t = time[now()], history = Math.min(...data.fields.lag), from = Math.max(edges.left, x(t + history));
    parts.push(draw("rect", { class: "x-window", x: from, width: Math.max(0, x(t) - from), y: edges.top, height: edges.rate }));
    parts.push(draw("path", { class: "x-line-rate", d: path((i) => rateOf(state.cell, i), x, y, [low, high], width, false) }));
    for (const m of moments) if (time[m] >= low && time[m] <= high)
      parts.push(draw("line", { class: "x-moment", x1: x(time[m]), x2: x(time[m]), y1: floor + 1, y2: floor + 8 }));
    parts.push(...modeLane(x, floor + edges.gap, [low, high], width));
    const bottom = floor + edges.gap + edges.mode;
    parts.push(draw("line", { class: "x-axis", x1: edges.left, x2: right, y1: bottom, y2: bottom }));
    for (const s of ticks(low, high, width / 110)) {
      parts.push(draw("line", { class: "x-axis", x1: x(s), x2: x(s), y1: bottom, y2: bottom + 4 }));
      parts.push(draw("text", { class: x(s) > right - 12 ? "x-end" : "x-middle", x: x(s), y: bottom + 17 }, seconds(s)));
    }
    parts.push(draw("line", { class: "x-cursor", x1: x(t), x2: x(t), y1: edges.top - 4, y2: bottom }));
    parts.push(draw("circle", { class: "x-knob", cx: x(t), cy: y(rateOf(state.cell, now())), r: 5 }));
    svg.setAttribute("viewBox", `0 0 ${width} 190`);
    svg.replaceChildren(...parts);
    describeTimeline(svg);
  }

  function modeLane(x, top, range, width) {
    const picked = pickedMode(), floor = top + edges.mode;
    if (!picked) return [];
    const { layer, mode } = picked;
    const mine = members(layer, mode), value = (i) => Math.max(...mine.map((m) => loading(layer, m, i)));
    let most = 0;
    for (let i = 0; i < time.length; i++) most = Math.max(most, value(i));
    const y = (level) => floor - (level / (most || 1)) * edges.mode;
    return [
      draw("path", { class: "x-area-mode", d: path(value, x, y, range, width, true) }),
      draw("text", { class: "x-end", x: edges.left - 6, y: floor - 3 }, "mode"),
    ];
  }

  function describeTimeline(svg) {
    svg.setAttribute("aria-valuemin", String(time[moments[0]]));
    svg.setAttribute("aria-valuemax", String(time[moments[moments.length - 1]]));
    svg.setAttribute("aria-valuenow", String(time[now()]));
    svg.setAttribute("aria-valuetext", `${seconds(time[now()])}, ${hertz(rateOf(state.cell, now()))}`);
    const picked = pickedMode(), items = [["var(--x-ink)", "model's rate"]];
    if (recorded && !Number.isNaN(recordedOf(state.cell, 0))) items.push(["var(--x-recorded)", data.recorded.name]);
    items.push(["var(--x-accent)", `${moments.length} times with a field; shaded: the time that the field looks back`]);
    if (picked) items.push(["var(--x-mode)", `loading of mode ${modeName(picked.layer, picked.mode)}, ${picked.layer.name}`]);
    find("legend").replaceChildren(...items.map(([color, text]) => {
      const key = make("i");
      key.style.background = color;
      return make("span", {}, key, text);
    }));
  }

  /* The field. */
  function rdbu(value, limit) {
    const at = Math.min(10, Math.max(0, 5 + (5 * value) / (limit || 1))), i = Math.min(9, Math.floor(at));
    return RDBU[i].map((c, k) => Math.round(c + (RDBU[i + 1][k] - c) * (at - i)));
  }

  /* Colours of the movie stand one below the other, each in its hue; below 0 is grey. */
  const colours = data.fields.colors, tall = data.fields.size[0] / (colours.length || 1);
  const hex = (code) => [1, 3, 5].map((i) => parseInt(code.slice(i, i + 2), 16));
  const hues = colours.map((c) => [[58, 58, 58], [255, 255, 255], hex(c.hue)]);
  const colourOf = (y) => Math.floor(y / tall);
  function shade(value, limit, colour) {
    if (!colours.length) return rdbu(value, limit);
    const at = Math.min(1, Math.max(-1, value / (limit || 1))), end = hues[colour][at < 0 ? 0 : 2];
    return end.map((c) => Math.round(255 + (c - 255) * Math.abs(at)));
  }
  function scales() {
    const all = colours.length ? hues : [RDBU];
    const one = (stops, i) => `linear-gradient(to right, ${stops.map((c) => `rgb(${c})`).join(", ")}) 0 ${all.length > 1 ? (100 * i) / (all.length - 1) : 0}% / 100% ${100 / all.length}% no-repeat`;
    return all.map(one).join(", ");
  }

  function colourLimit() {
    if (!state.same) return peak[here()];
    let most = 0;
    for (let m = 0; m < moments.length; m++) most = Math.max(most, peak[place(state.cell, m, state.component)]);
    return most;
  }

  function drawMap(map) {
    const canvas = find("map"), [height, width] = data.fields.size, limit = colourLimit();
    canvas.width = width; canvas.height = height;
    const context = canvas.getContext("2d"), image = context.createImageData(width, height);
    map.forEach((value, i) => image.data.set([...shade(value, limit, colourOf(i / width)), 255], 4 * i));
    context.putImageData(image, 0, 0);
    find("bar").querySelector("i").style.background = scales();
    find("colours").replaceChildren(...colours.map((c) => {
      const name = make("b", {}, c.name);
      name.style.color = c.hue;
      return name;
    }), colours.length ? "(from the top)" : "");
    find("low").textContent = "\u2212" + number(limit);
    find("high").textContent = number(limit);
    find("units").textContent = data.fields.units === "1" ? "" : data.fields.units;
    const pixel = data.fields.pixel, round = ticks(0, width * pixel.width, 4)[1];
    find("ruler").style.width = `${(100 * round) / (width * pixel.width)}%`;
    find("ruler").firstElementChild.textContent = `${round} ${pixel.units === "um" ? "\u00b5m" : pixel.units}`;
  }

  function drawCourse() {
    const svg = find("course"), width = svg.clientWidth || 260, height = 150, lag = data.fields.lag;
    const left = 8, right = width - 8, top = 8, floor = height - 24, span = lag[lag.length - 1] - lag[0] || 1;
    const curves = Array.from({ length: components() }, (_, k) => course(state.cell, state.moment, k));
    const most = Math.max(...curves.flat().map(Math.abs)) || 1;
    const x = (l) => left + ((l - lag[0]) / span) * (right - left), y = (v) => (top + floor) / 2 - (v / most) * (floor - top) / 2;
    const parts = [draw("line", { class: "x-grid", x1: left, x2: right, y1: y(0), y2: y(0) }),
      draw("line", { class: "x-axis", x1: left, x2: right, y1: floor, y2: floor })];
    for (const l of ticks(lag[0], lag[lag.length - 1], width / 90)) {
      parts.push(draw("line", { class: "x-axis", x1: x(l), x2: x(l), y1: floor, y2: floor + 4 }));
      parts.push(draw("text", { class: x(l) > right - 14 ? "x-end" : "x-middle", x: x(l), y: floor + 16 }, l === 0 ? "0 s" : seconds(l)));
    }
    const order = curves.map((_, k) => k).sort((a) => (a === state.component ? 1 : -1));
    for (const k of order) {
      const d = "M" + curves[k].map((v, i) => `${x(lag[i]).toFixed(1)} ${y(v).toFixed(1)}`).join("L");
      parts.push(draw("path", { d, class: k === state.component ? "x-chosen" : "" }));
    }
    const best = strongest(curves[state.component]);
    parts.push(draw("circle", { class: "x-knob", cx: x(lag[best]), cy: y(curves[state.component][best]), r: 4 }));
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.replaceChildren(...parts);
    svg.setAttribute("aria-label", `Temporal course of component ${state.component + 1}, strongest at ${seconds(lag[best])}`);
  }

  function drawComponents() {
    const buttons = Array.from({ length: components() }, (_, k) => {
      const part = share[place(state.cell, state.moment, k)];
      const button = make("button", { type: "button", "aria-pressed": String(k === state.component) },
        `component ${k + 1}: `, exact(part, percent(part)));
      button.addEventListener("click", () => update({ component: k }));
      return button;
    });
    keepFocus(find("components"), buttons);
  }

  /* Brightness of a colour: black, its hue, white. */
  const light = (grey, colour) => hues[colour][2].map((c) => Math.round(grey < 127.5 ? (c * grey) / 127.5 : c + ((255 - c) * (grey - 127.5)) / 127.5));

  function drawFrame(map) {
    if (!frames) return;
    const canvas = find("frame"), [height, width] = data.fields.size, zoom = Math.max(1, Math.ceil(400 / width));
    canvas.width = width * zoom; canvas.height = height * zoom;
    const context = canvas.getContext("2d"), start = state.moment * height * width, limit = peak[here()] / 2;
    const over = (x, y) => x >= 0 && y >= 0 && x < width && y < height && limit > 0 && Math.abs(map[y * width + x]) >= limit;
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
      const grey = frames[start + y * width + x];
      context.fillStyle = colours.length ? `rgb(${light(grey, colourOf(y))})` : `rgb(${grey},${grey},${grey})`;
      context.fillRect(x * zoom, y * zoom, zoom, zoom);
    }
    const thick = Math.max(2, Math.round(zoom / 3));
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
      if (!over(x, y)) continue;
      const inside = (a, b) => over(a, b) && colourOf(b) === colourOf(y);
      context.fillStyle = map[y * width + x] > 0 ? "#ff5a4d" : "#3fa0ff";
      if (!inside(x - 1, y)) context.fillRect(x * zoom, y * zoom, thick, zoom);
      if (!inside(x + 1, y)) context.fillRect((x + 1) * zoom - thick, y * zoom, thick, zoom);
      if (!inside(x, y - 1)) context.fillRect(x * zoom, y * zoom, zoom, thick);
      if (!inside(x, y + 1)) context.fillRect(x * zoom, (y + 1) * zoom - thick, zoom, thick);
    }
    canvas.setAttribute("aria-label", `Stimulus frame at ${seconds(time[now()])}`);
  }

  function drawFacts(map) {
    const curve = course(state.cell, state.moment, state.component), lag = strongest(curve), at = strongest(map);
    const [, width] = data.fields.size, sign = Math.sign(map[at] * curve[lag]);
    const polarity = sign === 0 ? "none" : sign > 0 ? "ON" : "OFF", where = `${at % width}, ${Math.floor(at / width) % tall}${colours.length ? `, ${colours[colourOf(at / width)].name}` : ""}`;
    const key = make("span", { class: "x-key" });
    key.style.background = `rgb(${shade(sign * 0.7, 1, colourOf(at / width))})`;
    const r = rateOf(state.cell, now()), seen = recordedOf(state.cell, now());
    const rows = [["rate", "model's rate", [exact(r, hertz(r))]]];
    if (!Number.isNaN(seen)) rows.push(["recorded", data.recorded.name, [exact(seen, hertz(seen))]]);
    rows.push(
      ["polarity", "polarity", [key, polarity]],
      ["peak", "largest |map|", [exact(peak[here()], number(peak[here()]))]],
      ["where", "there (x, y)", [where]],
      ["lag", "strongest lag", [exact(data.fields.lag[lag], seconds(data.fields.lag[lag]))]],
      ["share", "share of energy", [exact(share[here()], percent(share[here()]))]],
    );
    find("facts").replaceChildren(...rows.flatMap(([name, title, value]) =>
      [make("dt", {}, title), make("dd", { class: "x-fact-" + name }, ...value)]));
    find("map").setAttribute("aria-label",
      `Spatial map of ${cellName(state.cell)} at ${seconds(time[now()])}: ${polarity}, strongest at x, y = ${where}`);
  }

  /* Modes and channels. */
  const weight = (layer, mode, channel) => layer.dictionary[mode * layer.channels.length + channel];

  const largestWeight = (layer, mode) => Math.max(...layer.channels.map((_, c) => Math.abs(weight(layer, mode, c)))) || 1;

  /* Channels that any of the modes leans on most. */
  function columns(layer, modes) {
    const most = modes.map((m) => largestWeight(layer, m));
    const strength = layer.channels.map((_, c) => Math.max(...modes.map((m, i) => Math.abs(weight(layer, m, c)) / most[i])));
    const room = layer.box.clientWidth < NARROW ? SHOWN_CHANNELS_NARROW : SHOWN_CHANNELS;
    return strength.map((s, c) => [s, c]).sort((a, b) => b[0] - a[0]).slice(0, room)
      .map(([, c]) => c).sort((a, b) => a - b);
  }

  function channelText(layer, mode) {
    const order = layer.channels.map((_, c) => c).sort((a, b) => Math.abs(weight(layer, mode, b)) - Math.abs(weight(layer, mode, a)));
    return order.slice(0, 4).filter((c) => weight(layer, mode, c) !== 0)
      .map((c) => `${layer.channels[c]} (${number(weight(layer, mode, c))})`).join(", ") || "no channel";
  }

  function drawLayer(layer) {
    const found = active(layer, now()), rows = groups(layer, found), shown = single(layer) ? rows : rows.slice(0, SHOWN_MODES);
    const picked = pickedMode(), mine = picked && picked.layer === layer ? picked.mode : null;
    const parts = [make("h3", {}, layer.name, countText(layer, found, rows))];
    parts.push(found.length ? modeTable(layer, shown, mine) : make("p", { class: "x-small" }, "No mode of this layer is active now."));
    const detail = make("p", { class: "x-small x-detail" });
    if (mine !== null) detail.textContent = `Mode ${layer.modes[mine]}: channel ${channelText(layer, mine)}.`;
    parts.push(detail, layerButtons(layer, found, rows, mine));
    return parts;
  }

  function countText(layer, found, rows) {
    const count = make("span", { class: "x-count" }, exact(found.length, String(found.length)), ` of ${layer.modes.length} modes active`);
    if (rows.length < found.length) count.append(`, ${rows.length} of them distinct`);
    return count;
  }

  function modeTable(layer, rows, mine) {
    const modes = rows.map((row) => row[0]), chosen = columns(layer, modes), tall = chosen.some((c) => layer.channels[c].length > 3);
    const heads = chosen.map((c) => make("th", { scope: "col", class: "x-channel" + (tall ? " x-tall" : "") }, make("span", {}, layer.channels[c])));
    const most = loading(layer, modes[0], now()), some = chosen.length < layer.channels.length;
    const title = some ? `weights of the strongest ${chosen.length} of ${layer.channels.length} channels` : "weights of the channels";
    const above = make("tr", {}, make("td", { colspan: "2" }), make("th", { colspan: String(chosen.length), class: "x-above" }, some ? `strongest ${chosen.length} of ${layer.channels.length} channels` : "channels"));
    const head = make("tr", {}, make("th", { scope: "col", class: "x-col-mode" }, "mode"), make("th", { scope: "col", class: "x-col-loading" }, "loading"), ...heads);
    const body = rows.map((row) => modeRow(layer, row, chosen, most, mine));
    const widths = make("colgroup", {}, make("col", { class: "x-col-mode" }), make("col", { class: "x-col-loading" }), make("col", { span: String(chosen.length) }));
    return make("table", {}, make("caption", { class: "x-unseen" }, `Active modes of ${layer.name}: loadings and ${title}`), widths,
      make("thead", {}, above, head), make("tbody", {}, ...body));
  }

  /* A mode; beside its name, how many near-copies of it are active as well. */
  function modeRow(layer, [mode, ...others], chosen, most, mine) {
    const name = layer.modes[mode], value = loading(layer, mode, now());
    const picked = mine !== null && (mine === mode || members(layer, mode).includes(mine));
    const button = make("button", { type: "button", class: "x-mode", "aria-pressed": String(picked), "aria-label": `mode ${name}: draw its loading on the time axis` }, name);
    button.addEventListener("click", () => update({ pinned: picked && state.pinned ? null : { layer, mode } }));
    const head = make("th", { scope: "row" }, button), copies = others.map((m) => layer.modes[m]).join(", ");
    if (others.length) head.append(make("span", { class: "x-copies", title: `near-copies that are active too: ${copies}` }, `+${others.length}`,
      make("span", { class: "x-unseen" }, ` near-copies: ${copies}`)));
    const bar = make("i");
    bar.style.width = `${(100 * value) / most}%`;
    const largest = largestWeight(layer, mode), weights = chosen.map((c) => weightCell(layer.channels[c], weight(layer, mode, c), largest));
    return make("tr", { class: "x-row" + (picked ? " x-picked" : ""), "data-mode": name }, head,
      make("td", {}, make("div", { class: "x-load" }, make("div", {}, bar), exact(value, number(value)))), ...weights);
  }

  function weightCell(channel, value, largest) {
    const bar = make("i"), text = number(value);
    bar.style.height = `${(92 * Math.abs(value)) / largest}%`;
    return make("td", { class: "x-weight" + (value < 0 ? " x-negative" : ""), title: `channel ${channel}: ${text}`, "data-channel": channel },
      bar, dress(exact(value, text), { class: "x-unseen" }, []));
  }

  function layerButtons(layer, found, rows, mine) {
    const together = found.length ? momentsWhere((frame) => rows.every(([mode]) => isOn(layer, mode, frame))) : [];
    const buttons = [jump("together", "next time with these modes", together)];
    if (mine !== null) {
      const own = new Set(members(layer, mine)), name = layer.modes[mine];
      const again = momentsWhere((frame) => isOn(layer, mine, frame));
      const alone = again.filter((m) => layer.modes.every((_, other) => own.has(other) || !(loading(layer, other, moments[m]) > 0)));
      buttons.push(jump("again", `next time with mode ${name}`, again, { layer, mode: mine }));
      buttons.push(jump("alone", `next time mode ${name} is alone`, alone, { layer, mode: mine }));
    }
    if (single(layer) || rows.length > SHOWN_MODES || rows.length < found.length) {
      const more = make("button", { type: "button", class: "x-more", "aria-expanded": String(single(layer)) },
        single(layer) ? "show distinct modes only" : `show all ${found.length} modes`);
      more.addEventListener("click", () => update({ all: { ...state.all, [layer.name]: !single(layer) } }));
      buttons.push(more);
    }
    return make("div", { class: "x-buttons" }, ...buttons);
  }

  const momentsWhere = (test) => moments.map((_, m) => m).filter((m) => test(moments[m]));

  function jump(name, text, targets, pinned = null) {
    const next = targets.find((m) => m > state.moment) ?? targets[0];
    const button = make("button", { type: "button", class: "x-" + name }, `${text} (${targets.length})`);
    button.disabled = next === undefined || next === state.moment;
    button.addEventListener("click", () => update({ moment: next, ...(pinned && { pinned }) }));
    return button;
  }

  /* Redrawn parts keep the focus of the button that was pressed. */
  function keepFocus(parent, children) {
    const focused = [...parent.querySelectorAll("button")].indexOf(document.activeElement);
    const old = focused >= 0 ? document.activeElement : null, label = old && (old.getAttribute("aria-label") || old.className);
    parent.replaceChildren(...children);
    if (!old) return;
    const buttons = [...parent.querySelectorAll("button")];
    const twin = buttons.find((b) => (b.getAttribute("aria-label") || b.className) === label && label) || buttons[focused];
    if (twin && !twin.disabled) twin.focus();
    else { parent.tabIndex = -1; parent.focus({ preventScroll: true }); }
  }

  /* State, and the address that holds it. */
  function update(change) {
    Object.assign(state, change);
    writeAddress();
    paint();
  }

  function writeAddress() {
    const words = new URLSearchParams({ cell: cells[state.cell], time: String(time[now()]) });
    if (state.component) words.set("component", String(state.component + 1));
    if (state.pinned) words.set("mode", `${state.pinned.layer.name}:${state.pinned.layer.modes[state.pinned.mode]}`);
    try { history.replaceState(null, "", "#" + words); }
    catch (error) { if (error.name !== "SecurityError") throw error; } /* a sandboxed frame has no address */
  }

  function readAddress() {
    const words = new URLSearchParams(location.hash.slice(1)), change = {};
    const cell = cells.indexOf(words.get("cell")), t = Number(words.get("time") ?? NaN), k = Number(words.get("component")) - 1;
    if (cell >= 0) change.cell = cell;
    if (Number.isFinite(t)) change.moment = nearest(t);
    if (Number.isInteger(k) && k >= 0 && k < components()) change.component = k;
    const [, name, mode] = (words.get("mode") || "").match(/^(.*):([^:]*)$/s) || [];
    const layer = layers.find((l) => l.name === name), position = layer ? layer.modes.indexOf(mode) : -1;
    if (position >= 0) change.pinned = { layer, mode: position };
    Object.assign(state, change);
    return Object.keys(change).length > 0;
  }

  function nearest(t) {
    let best = 0;
    moments.forEach((m, i) => { if (Math.abs(time[m] - t) < Math.abs(time[moments[best]] - t)) best = i; });
    return best;
  }

  let painted = 0;
  async function paint() {
    const turn = ++painted;
    find("cell").value = String(state.cell);
    find("now").replaceChildren(exact(time[now()], seconds(time[now()])), " \u00b7 ",
      hertz(rateOf(state.cell, now())));
    find("previous").disabled = state.moment === 0;
    find("next").disabled = state.moment === moments.length - 1;
    drawTimeline();
    drawCourse();
    drawComponents();
    layers.forEach((layer) => keepFocus(layer.box, drawLayer(layer)));
    const map = await spatialMap();
    if (turn !== painted) return; /* the reader has gone on */
    drawMap(map);
    drawFrame(map);
    drawFacts(map);
    root.dataset.shown = `${state.cell} ${state.moment} ${state.component}`;
  }

  function listen() {
    const svg = find("timeline"), step = (by) => update({ moment: Math.min(moments.length - 1, Math.max(0, state.moment + by)) });
    const keys = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity };
    svg.addEventListener("keydown", (event) => {
      if (!(event.key in keys) || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      step(keys[event.key]);
    });
    let held = null; /* the range under the pointer stays while it drags */
    const follow = (event) => {
      const box = svg.getBoundingClientRect(), [low, high] = held;
      const part = (event.clientX - box.left - edges.left) / (box.width - edges.left - edges.right);
      const moment = nearest(low + part * (high - low));
      if (moment !== state.moment) update({ moment });
    };
    svg.addEventListener("pointerdown", (event) => { held = view(); svg.setPointerCapture(event.pointerId); svg.focus({ preventScroll: true }); follow(event); });
    svg.addEventListener("pointermove", (event) => { if (held) follow(event); });
    for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => { held = null; });
    find("previous").addEventListener("click", () => step(-1));
    find("next").addEventListener("click", () => step(1));
    find("cell").addEventListener("change", (event) => update({ cell: Number(event.target.value) }));
    find("zoom").addEventListener("change", (event) => update({ zoom: Number(event.target.value) }));
    find("same").addEventListener("change", (event) => update({ same: event.target.checked }));
    addEventListener("hashchange", () => { if (readAddress()) paint(); });
    new ResizeObserver(() => { drawTimeline(); drawCourse(); }).observe(svg);
  }

  async function start() {
    [time, rate, recorded, peak, share, temporal, frames] = await Promise.all([
      unpack(data.time), unpack(data.rate.values), data.recorded && unpack(data.recorded.values),
      unpack(data.fields.peak), unpack(data.fields.share), unpack(data.fields.temporal),
      data.stimulus && unpack(data.stimulus.frames)]);
    layers = await Promise.all(data.layers.map(async (layer) => ({ ...layer, box: make("div", { class: "x-layer", "data-layer": layer.name }),
      dictionary: await unpack(layer.dictionary), loadings: await unpack(layer.loadings) })));
    find("cell").replaceChildren(...cells.map((_, c) => make("option", { value: String(c) }, cellName(c))));
    find("layers").replaceChildren(...layers.map((layer) => layer.box));
    find("note").textContent = data.note;
    find("note").hidden = !data.note;
    find("shown").hidden = !frames;
    find("field").classList.toggle("x-blind", !frames);
    find("body").hidden = false;
    state.moment = busiest();
    const linked = readAddress();
    listen();
    await paint();
    if (linked) root.scrollIntoView({ block: "start" });
    root.dataset.ready = String(Math.round(performance.now()));
  }

  /* First shown: the time at which the first cell fires most. */
  function busiest() {
    let best = 0;
    moments.forEach((m, i) => { if (rateOf(0, m) > rateOf(0, moments[best])) best = i; });
    return best;
  }

  start().catch((error) => {
    find("failed").textContent = `The explorer could not be opened in this browser (${error.message}). It needs a browser of 2023 or later.`;
    find("failed").hidden = false;
    console.error(error);
  });
})();
