(() => {
  "use strict";

  const root = document.querySelector(".atlas");
  const find = (name) => root.querySelector(".a-" + name);
  const data = JSON.parse(document.querySelector(".a-data").textContent);
  const map = find("map"), world = find("world"), panel = find("panel");
  const MOST = 16, STEP = 1.5, SLOP = 4; /* zoom; of a button; pixels from which a press is a drag */

  /* near: under the pointer or the focus; the view is its zoom and its middle, in sides of the map */
  const state = { chosen: -1, near: -1, zoom: 1, x: 0.5, y: 0.5 };
  const places = [];

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }
  function number(x) {
    if (x === null) return "\u2013";
    const size = Math.abs(x);
    const text = size && (size >= 1e5 || size < 1e-3) ? x.toExponential(2) : String(+x.toPrecision(3));
    return text.replace("-", "\u2212");
  }
  const counted = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
  const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

  function build() {
    const side = 100 / data.grid;
    data.icons.forEach((icon, i) => {
      const sure = icon.confirmed ? "" : ", not confirmed";
      const place = make("button", {
        type: "button", class: "a-place" + (icon.confirmed ? "" : " a-unsure"), "data-icon": i, tabindex: i ? -1 : 0, "aria-pressed": "false",
        "aria-label": `row ${icon.row}, column ${icon.column}: target ${number(icon.target)}, ${counted(icon.n_images, "image")}${sure}`,
      }, make("img", { src: data.pictures[i], alt: "", draggable: "false", decoding: "async" }));
      Object.assign(place.style, { left: `${icon.column * side}%`, top: `${(data.grid - 1 - icon.row) * side}%`,
        width: `${side * 0.97}%`, height: `${side * 0.97}%`, backgroundColor: data.colors[i] });
      places.push(place);
    });
    world.append(...places);
    const scale = root.querySelector(".a-legend i");
    scale.style.background = `linear-gradient(to right, ${data.shades.join(", ")})`;
    find("low").textContent = number(-data.limit);
    find("high").textContent = number(data.limit);
    find("doubt").hidden = data.icons.every((icon) => icon.confirmed);
  }

  /* The view: the middle stays inside of the map. */
  function look(change) {
    Object.assign(state, change);
    state.zoom = clamp(state.zoom, 1, MOST);
    const half = 0.5 / state.zoom;
    state.x = clamp(state.x, half, 1 - half);
    state.y = clamp(state.y, half, 1 - half);
    const size = map.clientWidth;
    world.style.transform = `translate(${(0.5 - state.x * state.zoom) * size}px, ${(0.5 - state.y * state.zoom) * size}px) scale(${state.zoom})`;
    world.style.setProperty("--zoom", state.zoom);
    find("zoom").textContent = `${state.zoom.toFixed(1)}\u00d7`;
    root.dataset.view = [state.zoom, state.x, state.y].map((n) => +n.toFixed(3)).join(" ");
  }

  /* Zoom about a point of the window, which stays where it is. */
  function zoomAt(factor, clientX, clientY) {
    const box = map.getBoundingClientRect(), zoom = clamp(state.zoom * factor, 1, MOST);
    const [u, w] = clientX === undefined ? [0, 0] : [(clientX - box.left) / box.width - 0.5, (clientY - box.top) / box.height - 0.5];
    look({ x: state.x + u / state.zoom - u / zoom, y: state.y + w / state.zoom - w / zoom, zoom });
    remember();
  }

  function middle(icon) {
    return { x: (icon.column + 0.5) / data.grid, y: (data.grid - 0.5 - icon.row) / data.grid };
  }
  function reveal(i) {
    const { x, y } = middle(data.icons[i]), half = 0.5 / state.zoom - 0.5 / data.grid;
    look({ x: clamp(state.x, x - half, x + half), y: clamp(state.y, y - half, y + half) });
  }

  /* The panel. */
  function picture(i, k) {
    const shown = Math.min(data.icons[i].images.length, SHOWN), span = make("span", { role: "img", "aria-label": data.images.label[data.icons[i].images[k]] });
    span.style.backgroundImage = `url(${data.strips[i]})`;
    span.style.backgroundSize = `${shown * 100}% 100%`;
    span.style.backgroundPosition = `${shown > 1 ? (k / (shown - 1)) * 100 : 0}% 0`;
    return span;
  }
  const SHOWN = 9;

  function facts(icon) {
    const error = icon.standard_error == null ? "" : " \u00b1 " + number(icon.standard_error);
    const rows = [["target of the icon", number(icon.target)], ["mean of the images", number(icon.mean_target) + error],
      ["images", String(icon.n_images)], ["confirmed", icon.confirmed ? "yes" : "no"]];
    return make("dl", {}, ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  }

  function list(icon) {
    const head = make("tr", {}, ...["image", "E+", "E\u2212", "f"].map((name, k) => make("th", k ? { class: "n" } : {}, name)));
    const rows = icon.images.map((at) => make("tr", {}, make("td", {}, data.images.label[at]),
      ...["excitation", "inhibition", "target"].map((name) => make("td", { class: "n" }, number(data.images[name][at])))));
    return make("div", { class: "a-list", tabindex: 0, role: "region", "aria-label": "all images of the place" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
  }

  function paint() {
    const i = state.near >= 0 ? state.near : state.chosen;
    places.forEach((place, k) => place.setAttribute("aria-pressed", String(k === state.chosen)));
    root.dataset.shown = String(i);
    if (i < 0) {
      panel.replaceChildren(make("p", { class: "lead" }, `${counted(data.icons.length, "place")} with ${counted(data.icons.reduce((sum, icon) => sum + icon.n_images, 0), "image")}. Point at one.`));
      return;
    }
    const icon = data.icons[i], large = make("img", { src: data.pictures[i], alt: "synthetic picture of this place" });
    large.style.borderColor = data.colors[i];
    const shown = icon.images.slice(0, SHOWN).map((at, k) => make("li", {}, picture(i, k), make("small", {},
      `E+ ${number(data.images.excitation[at])}`, make("br"), `E\u2212 ${number(data.images.inhibition[at])}`, make("br"), `f ${number(data.images.target[at])}`)));
    panel.replaceChildren(make("h2", {}, `Row ${icon.row}, column ${icon.column}`), make("div", { class: "a-top" }, large, facts(icon)),
      make("p", {}, icon.n_images > SHOWN ? `The ${SHOWN} images with the largest E+ + E\u2212:` : "Images:"), make("ul", { class: "a-shown" }, ...shown),
      ...(i === state.chosen ? [list(icon)] : []));
  }

  /* The address. */
  let later = 0;
  function remember() {
    clearTimeout(later);
    later = setTimeout(writeAddress, 150);
  }
  function writeAddress() {
    const words = new URLSearchParams();
    if (state.chosen >= 0) words.set("place", `${data.icons[state.chosen].row},${data.icons[state.chosen].column}`);
    if (state.zoom > 1) for (const name of ["zoom", "x", "y"]) words.set(name, String(+state[name].toFixed(3)));
    try { history.replaceState(null, "", "#" + words); }
    catch (error) { if (error.name !== "SecurityError") throw error; } /* a sandboxed frame has no address */
  }
  function readAddress() {
    const words = new URLSearchParams(location.hash.slice(1));
    const [row, column] = (words.get("place") || "").split(",").map(Number);
    const view = { zoom: 1, x: 0.5, y: 0.5 };
    for (const name of Object.keys(view)) if (words.has(name) && Number.isFinite(Number(words.get(name)))) view[name] = Number(words.get(name));
    state.chosen = data.icons.findIndex((icon) => icon.row === row && icon.column === column);
    look(view);
    paint();
  }

  function choose(i) {
    state.chosen = i;
    paint();
    clearTimeout(later);
    writeAddress();
  }
  function point(i) {
    if (state.near === i) return;
    state.near = i;
    paint();
  }

  /* The nearest place in a direction, rather straight ahead than aside. */
  function towards(i, dx, dy) {
    const here = data.icons[i];
    let best = -1, least = Infinity;
    data.icons.forEach((icon, k) => {
      const across = icon.column - here.column, up = icon.row - here.row;
      const ahead = across * dx + up * dy, aside = Math.abs(across * dy) + Math.abs(up * dx);
      if (ahead > 0 && ahead + 2 * aside < least) [best, least] = [k, ahead + 2 * aside];
    });
    return best;
  }
  function focus(i) {
    places.forEach((place, k) => { place.tabIndex = k === i ? 0 : -1; });
    reveal(i);
    places[i].focus({ preventScroll: true });
  }

  const placeOf = (event) => { const place = event.target.closest?.(".a-place"); return place ? Number(place.dataset.icon) : -1; };
  const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

  function listen() {
    const pressed = new Map();
    let moved = false;
    map.addEventListener("wheel", (event) => {
      event.preventDefault();
      zoomAt(Math.exp(-clamp(event.deltaY * (event.deltaMode ? 16 : 1), -200, 200) / 300), event.clientX, event.clientY);
    }, { passive: false });
    map.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      if (!pressed.size) moved = false;
      pressed.set(event.pointerId, { x: event.clientX, y: event.clientY, x0: event.clientX, y0: event.clientY });
    });
    map.addEventListener("pointermove", (event) => {
      const from = pressed.get(event.pointerId);
      if (!from) { if (event.pointerType === "mouse") point(placeOf(event)); return; }
      if (!moved && Math.hypot(event.clientX - from.x0, event.clientY - from.y0) < SLOP) return;
      if (!moved) { moved = true; map.classList.add("a-dragged"); map.setPointerCapture(event.pointerId); }
      const others = [...pressed].filter(([id]) => id !== event.pointerId).map(([, at]) => at), size = map.clientWidth;
      if (others.length) { /* two fingers: their distance is the zoom */
        const [other] = others, before = Math.hypot(from.x - other.x, from.y - other.y), now = Math.hypot(event.clientX - other.x, event.clientY - other.y);
        if (before > 0 && now > 0) zoomAt(now / before, (event.clientX + other.x) / 2, (event.clientY + other.y) / 2);
      } else look({ x: state.x - (event.clientX - from.x) / size / state.zoom, y: state.y - (event.clientY - from.y) / size / state.zoom });
      Object.assign(from, { x: event.clientX, y: event.clientY });
      remember();
    });
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, (event) => {
      pressed.delete(event.pointerId);
      if (!pressed.size) map.classList.remove("a-dragged");
    });
    map.addEventListener("pointerleave", () => { if (!pressed.size) point(placeOf({ target: document.activeElement })); });
    map.addEventListener("click", (event) => {
      if (moved) { moved = false; return; }
      const i = placeOf(event);
      if (i < 0) return;
      places.forEach((place, k) => { place.tabIndex = k === i ? 0 : -1; });
      choose(i);
    });
    map.addEventListener("focusin", (event) => { const i = placeOf(event); point(i); if (event.target.matches(":focus-visible") && i >= 0) reveal(i); });
    map.addEventListener("focusout", () => point(-1));
    map.addEventListener("scroll", () => { map.scrollTop = map.scrollLeft = 0; });
    map.addEventListener("keydown", (event) => {
      const i = placeOf(event), way = WAYS[event.key];
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (way && i >= 0) { const next = towards(i, ...way); if (next >= 0) focus(next); event.preventDefault(); }
      else if (event.key === "+" || event.key === "=") zoomAt(STEP);
      else if (event.key === "-") zoomAt(1 / STEP);
      else if (event.key === "0") { look({ zoom: 1 }); remember(); }
    });
    addEventListener("keydown", (event) => { if (event.key === "Escape" && state.chosen >= 0) choose(-1); });
    find("in").addEventListener("click", () => zoomAt(STEP));
    find("out").addEventListener("click", () => zoomAt(1 / STEP));
    find("whole").addEventListener("click", () => { look({ zoom: 1 }); remember(); });
    addEventListener("hashchange", readAddress);
    new ResizeObserver(() => look({})).observe(map);
  }

  build();
  listen();
  readAddress();
  root.dataset.ready = "";
})();
