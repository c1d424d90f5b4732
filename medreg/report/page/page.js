(function () {
  "use strict";
  const TILES = 8, BEAT = 600;
  const LEGENDS = {
    checkerboard: "Tiles of the fixed image and of the moving one in turn: lines run on across the tiles where they fit.",
    overlay: "<b style='background:#ff8000;color:#000'>orange</b> only the fixed image is bright, <b style='background:#007fff;color:#000'>blue</b> only the moving one, <b style='background:#aaa;color:#000'>grey</b> both.",
    contours: "The moving image, with the edges of the fixed one drawn on it.",
    flicker: "The fixed image and the moving one in turn: what jumps does not fit.",
    slider: "Left of the divider the fixed image, right of it the moving one. Drag it.",
  };
  const find = (selector, root) => (root || document).querySelector(selector);
  const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));
  const rows = JSON.parse(find("#pictures").textContent).rows;
  const calm = window.matchMedia && window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const state = {
    mode: "checkerboard", show: "both", divider: 0.5, phase: 0, timer: 0,
    slices: rows.map((row) => Math.floor(row.slices.length / 2)),
  };

  function load(uri) {
    return new Promise((done) => {
      const image = new Image();
      image.onload = image.onerror = () => done(image);
      image.src = uri;
    });
  }

  function greys(image, width, height) {
    const canvas = document.createElement("canvas");
    canvas.width = width; canvas.height = height;
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(image, 0, 0, width, height);
    const data = pen.getImageData(0, 0, width, height).data, grey = new Uint8ClampedArray(width * height);
    for (let k = 0, i = 0; k < grey.length; k++, i += 4) grey[k] = 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
    return grey;
  }

  function trace(pen, edges, width, height) {
    const wide = Math.max(1, Math.round(width / (pen.canvas.clientWidth || width / 2))); // else lines break up where shrunk
    for (let x = 0; x < wide; x++)
      for (let y = 0; y < wide; y++) pen.drawImage(edges, x, y, width, height);
  }

  const paint = {
    checkerboard(pen, slice, moving, width, height) {
      const tile = Math.ceil(Math.max(width, height) / TILES);
      pen.drawImage(slice.fixed, 0, 0, width, height);
      pen.save();
      pen.beginPath();
      for (let y = 0, j = 0; y < height; y += tile, j++)
        for (let x = (j % 2) * tile; x < width; x += 2 * tile) pen.rect(x, y, tile, tile);
      pen.clip();
      pen.drawImage(moving, 0, 0, width, height);
      pen.restore();
    },
    overlay(pen, slice, moving, width, height) {
      // by hand: not every browser, and no PDF, adds the colours of two canvases
      const first = greys(slice.fixed, width, height), second = greys(moving, width, height);
      const both = pen.createImageData(width, height), out = both.data;
      for (let k = 0, i = 0; k < first.length; k++, i += 4) {
        out[i] = first[k]; out[i + 1] = (first[k] + second[k]) >> 1; out[i + 2] = second[k]; out[i + 3] = 255;
      }
      pen.putImageData(both, 0, 0);
    },
    contours(pen, slice, moving, width, height) {
      pen.drawImage(moving, 0, 0, width, height);
      trace(pen, slice.edges, width, height);
    },
    flicker(pen, slice, moving, width, height) {
      pen.drawImage(state.phase ? moving : slice.fixed, 0, 0, width, height);
    },
    slider(pen, slice, moving, width, height) {
      const at = Math.round(state.divider * width);
      pen.drawImage(moving, 0, 0, width, height);
      pen.save();
      pen.beginPath(); pen.rect(0, 0, at, height); pen.clip();
      pen.drawImage(slice.fixed, 0, 0, width, height);
      pen.restore();
      pen.fillStyle = "#000"; pen.fillRect(at - 3, 0, 6, height);
      pen.fillStyle = "#fff"; pen.fillRect(at - 1, 0, 2, height);
    },
  };

  function draw(canvas, slice, which, mode) {
    const pen = canvas.getContext("2d"), width = canvas.width, height = canvas.height;
    pen.clearRect(0, 0, width, height);
    paint[mode](pen, slice, slice[which], width, height);
  }

  let ready = [];
  const shots = all("#planes .shot").map((shot) => ({
    shot, which: shot.dataset.which, canvas: find("canvas", shot), row: Number(shot.closest(".plane").dataset.row),
  }));

  function redraw() {
    shots.forEach(({ shot, which, canvas, row }) => {
      const number = state.slices[row], slice = ready[row] && ready[row][number];
      shot.hidden = state.show !== "both" && state.show !== which;
      if (!slice || shot.hidden) return;
      draw(canvas, slice, which, state.mode);
      canvas.setAttribute("aria-label",
        [rows[row].name, rows[row].slices[number].place, which + " registration", state.mode].filter(Boolean).join(", "));
    });
    all("#planes .place").forEach((place, row) => { place.textContent = rows[row].slices[state.slices[row]].place; });
    all("#planes .shots").forEach((box) => box.classList.toggle("single", state.show !== "both"));
    find("#planes").classList.toggle("single", state.show !== "both");
    find("#planes").classList.toggle("slider-mode", state.mode === "slider");
    find("#now").textContent = "shown: " + (state.phase ? "moving" : "fixed");
  }

  function print() {
    all("[data-print]").forEach((canvas) => {
      const row = rows.findIndex((each) => each.name === canvas.dataset.row);
      const slice = ready[row][Math.floor(rows[row].slices.length / 2)], which = canvas.dataset.which;
      draw(canvas, slice, which, canvas.dataset.mode);
      if (canvas.dataset.mode === "overlay")
        trace(canvas.getContext("2d"), slice.edges, canvas.width, canvas.height);
    });
  }

  function flicker(on) {
    window.clearInterval(state.timer);
    state.timer = on ? window.setInterval(() => { state.phase = 1 - state.phase; redraw(); }, BEAT) : 0;
    find("#play").setAttribute("aria-pressed", String(on));
    find("#play").textContent = on ? "Stop flicker" : "Start flicker";
  }

  function choose(name, value) {
    state[name] = value;
    const radio = find("input[name='" + name + "'][value='" + value + "']");
    if (!radio.checked) radio.checked = true;
    if (name === "mode") {
      find("#legend").innerHTML = LEGENDS[value];
      find("#extra-flicker").hidden = value !== "flicker";
      find("#extra-slider").hidden = value !== "slider";
      state.phase = 0;
      flicker(value === "flicker" && !calm);
    }
    redraw();
  }

  function step(by) {
    state.slices = state.slices.map((at, row) => Math.max(0, Math.min(rows[row].slices.length - 1, at + by)));
    all("[data-slice]").forEach((range) => { range.value = state.slices[Number(range.dataset.slice)]; });
    redraw();
  }

  function divide(at) {
    state.divider = Math.max(0, Math.min(1, at));
    find("#divider").value = Math.round(100 * state.divider);
    redraw();
  }

  function turn() {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark"
      : window.matchMedia && window.matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { window.localStorage.setItem("medreg-theme", root.dataset.theme); } catch (error) { /* a file may not keep it */ }
  }

  find("#controls").addEventListener("submit", (event) => event.preventDefault());
  all("#controls input[type='radio']").forEach((radio) =>
    radio.addEventListener("change", () => choose(radio.name, radio.value)));
  all("[data-slice]").forEach((range) => range.addEventListener("input", () => {
    state.slices[Number(range.dataset.slice)] = Number(range.value); redraw();
  }));
  find("#divider").addEventListener("input", (event) => divide(event.target.value / 100));
  find("#play").addEventListener("click", () => flicker(!state.timer));
  find("#theme").addEventListener("click", turn);
  shots.forEach(({ canvas }) => {
    const drag = (event) => {
      if (state.mode !== "slider" || !event.buttons) return;
      const box = canvas.getBoundingClientRect();
      divide((event.clientX - box.left) / box.width);
    };
    canvas.addEventListener("pointerdown", drag);
    canvas.addEventListener("pointermove", drag);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const modes = Object.keys(paint), shows = ["both", "before", "after"], key = event.key;
    if (modes[Number(key) - 1]) choose("mode", modes[Number(key) - 1]);
    else if (key === "b") choose("show", shows[(shows.indexOf(state.show) + 1) % 3]);
    else if (key === "[") step(-1);
    else if (key === "]") step(1);
    else if (key === "t") turn();
    else if (key === " " && state.mode === "flicker" && event.target === document.body) { event.preventDefault(); flicker(!state.timer); }
  });
  window.addEventListener("beforeprint", print);

  try {
    const kept = window.localStorage.getItem("medreg-theme");
    if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
  } catch (error) { /* none is kept */ }
  Promise.all(rows.map((row) => Promise.all(row.slices.map((slice) =>
    Promise.all(["fixed", "before", "after", "edges"].map((name) => load(slice[name]).then((image) => [name, image])))
      .then(Object.fromEntries))))).then((loaded) => { ready = loaded; redraw(); print(); });
})();
