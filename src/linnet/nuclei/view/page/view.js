// The page of `linnet nuclei view`: one canvas with tiles under it and dots on it. No library, no build step.
"use strict";

const token = new URLSearchParams(location.search).get("token");
const by = (id) => document.getElementById(id);
const canvas = by("picture");
const ink = canvas.getContext("2d");
const REACH = 12; // screen pixels within which a click takes a dot
const tiles = new Map();
const MOST_TILES = 400;

let images = [];
let current = null; // number of the image
let facts = null; // what the server says of it
let points = []; // [y, x] in pixels, centres at whole numbers
let history = [];
let changed = false;
let zoom = 1; // screen pixels per image pixel
let left = 0;
let top_ = 0; // image position of the canvas' upper left corner
let held = null; // what the pointer holds

const pixels = () => canvas.getBoundingClientRect();
const toImage = (event) => {
  const box = pixels();
  return [top_ + (event.clientY - box.top) / zoom - 0.5, left + (event.clientX - box.left) / zoom - 0.5];
};
const tool = () => document.querySelector("input[name=tool]:checked").value;

async function ask(path, body) {
  const options = { headers: { "X-Linnet-Token": token } };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const answer = await fetch(path, options);
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error);
  return content;
}

function say(text, bad = false) {
  by("message").textContent = text;
  by("message").className = bad ? "bad" : "";
}

async function guarded(work) {
  try {
    await work();
  } catch (error) {
    say(String(error.message || error), true);
  }
}

async function start() {
  images = (await ask("/api/images")).images;
  for (const [number, image] of images.entries()) {
    const option = document.createElement("option");
    option.value = number;
    option.textContent = `${image.name} (${image.count}${image.flag === "ok" ? "" : ", " + image.flag.replaceAll("_", " ")})`;
    by("image").append(option);
  }
  if (images.length === 0) return say("There is no image in these results.", true);
  await show(0);
}

async function show(number) {
  const answer = await ask(`/api/image/${number}`);
  current = number;
  facts = answer;
  points = facts.points;
  history = [];
  changed = false;
  tiles.clear();
  by("image").value = number;
  const select = by("channel");
  select.replaceChildren(new Option("as searched", ""), ...facts.channels.map((name, k) => new Option(name, k)));
  by("channels").hidden = facts.channels.length === 0;
  by("state").textContent = images[number].reasons || "";
  say(facts.corrected ? "These are the points that you saved." : "");
  fit();
}

function fit() {
  const box = pixels();
  zoom = Math.min(box.width / facts.width, box.height / facts.height) * 0.98;
  left = facts.width / 2 - box.width / zoom / 2;
  top_ = facts.height / 2 - box.height / zoom / 2;
  draw();
}

function zoomAt(factor, x, y) {
  const next = Math.min(64, Math.max(0.002, zoom * factor));
  left += x / zoom - x / next;
  top_ += y / zoom - y / next;
  zoom = next;
  draw();
}

function zoomMiddle(factor) {
  const box = pixels();
  zoomAt(factor, box.width / 2, box.height / 2);
}

let waiting = false;
function draw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    paint();
  });
}

function paint() {
  if (!facts) return;
  const box = pixels();
  const sharp = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(box.width * sharp) || canvas.height !== Math.round(box.height * sharp)) {
    canvas.width = Math.round(box.width * sharp);
    canvas.height = Math.round(box.height * sharp);
  }
  ink.setTransform(sharp, 0, 0, sharp, 0, 0);
  ink.clearRect(0, 0, box.width, box.height);
  ink.imageSmoothingEnabled = zoom < 3;
  const level = Math.min(facts.levels - 1, Math.max(0, Math.floor(Math.log2(1 / (zoom * sharp)))));
  paintLevel(facts.levels - 1, box);
  if (level < facts.levels - 1) paintLevel(level, box);
  if (by("dots").checked) paintDots(box);
  const was = points.length === facts.found ? "" : ` (${facts.found} were found)`;
  by("count").textContent = `${points.length} ${points.length === 1 ? "nucleus" : "nuclei"}${was}${changed ? ", not saved" : ""}`;
  by("undo").disabled = history.length === 0;
}

function paintLevel(level, box) {
  const side = facts.tile * 2 ** level;
  const lastRow = Math.min(Math.floor((facts.height - 1) / side), Math.floor((top_ + box.height / zoom) / side));
  const lastColumn = Math.min(Math.floor((facts.width - 1) / side), Math.floor((left + box.width / zoom) / side));
  for (let row = Math.max(0, Math.floor(top_ / side)); row <= lastRow; row++) {
    for (let column = Math.max(0, Math.floor(left / side)); column <= lastColumn; column++) {
      const picture = tileOf(level, row, column);
      if (!picture.complete || picture.naturalWidth === 0) continue;
      const scale = 2 ** level * zoom;
      ink.drawImage(picture, (column * side - left) * zoom, (row * side - top_) * zoom, picture.naturalWidth * scale, picture.naturalHeight * scale);
    }
  }
}

function tileOf(level, row, column) {
  const key = `${current}/${level}/${row}/${column}?channel=${by("channel").value}`;
  let picture = tiles.get(key);
  if (!picture) {
    picture = new Image();
    picture.onload = draw;
    picture.src = `/api/tile/${key}&token=${encodeURIComponent(token)}`;
    tiles.set(key, picture);
    if (tiles.size > MOST_TILES) tiles.delete(tiles.keys().next().value);
  }
  return picture;
}

function paintDots(box) {
  const radius = Math.min(6, Math.max(2, 4 * Math.sqrt(zoom)));
  for (const [size, color] of [[radius + 2, "rgba(0,0,0,.6)"], [radius + 1, "#fff"], [radius, "#21918c"]]) {
    ink.fillStyle = color;
    ink.beginPath();
    for (const [y, x] of points) {
      const sx = (x + 0.5 - left) * zoom;
      const sy = (y + 0.5 - top_) * zoom;
      if (sx < -10 || sy < -10 || sx > box.width + 10 || sy > box.height + 10) continue;
      ink.moveTo(sx + size, sy);
      ink.arc(sx, sy, size, 0, 2 * Math.PI);
    }
    ink.fill();
  }
}

function nearest([y, x]) {
  let best = -1;
  let least = REACH / zoom;
  for (const [k, point] of points.entries()) {
    const distance = Math.hypot(point[0] - y, point[1] - x);
    if (distance <= least) [best, least] = [k, distance];
  }
  return best;
}

function remember() {
  history.push(points.map((point) => [...point]));
  if (history.length > 100) history.shift();
  changed = true;
}

function inside([y, x]) {
  return y >= -0.5 && x >= -0.5 && y < facts.height - 0.5 && x < facts.width - 0.5;
}

canvas.addEventListener("pointerdown", (event) => {
  if (!facts || event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  const at = toImage(event);
  const k = by("dots").checked ? nearest(at) : -1;
  held = { x: event.clientX, y: event.clientY, left, top: top_, dot: tool() === "move" ? k : -1, far: false, before: points.map((p) => [...p]) };
});

canvas.addEventListener("pointermove", (event) => {
  if (!held) return;
  const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
  if (!held.far && Math.hypot(dx, dy) < 4) return;
  held.far = true;
  if (held.dot >= 0) {
    const at = toImage(event);
    if (inside(at)) points[held.dot] = at;
  } else {
    left = held.left - dx / zoom;
    top_ = held.top - dy / zoom;
  }
  draw();
});

canvas.addEventListener("pointerup", (event) => {
  if (!held) return;
  const { far, dot, before } = held;
  held = null;
  if (far && dot >= 0) {
    history.push(before);
    changed = true;
  } else if (!far) {
    click(toImage(event));
  }
  draw();
});

canvas.addEventListener("pointercancel", () => {
  held = null;
});

function click(at) {
  if (tool() === "add" && inside(at)) {
    remember();
    points.push(at);
  } else if (tool() === "delete") {
    const k = nearest(at);
    if (k < 0) return;
    remember();
    points.splice(k, 1);
  }
}

canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = pixels();
  zoomAt(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

function undo() {
  if (history.length === 0) return;
  points = history.pop();
  changed = true;
  draw();
}

const save = () => guarded(async () => {
  const answer = await ask(`/api/points/${current}`, { points });
  changed = false;
  facts.corrected = true;
  say(`${answer.points} points are in ${answer.saved}`);
  draw();
});

const saveCounts = () => guarded(async () => {
  if (changed) {
    await ask(`/api/points/${current}`, { points });
    changed = false;
  }
  say(`The counts are in ${(await ask("/api/counts", {})).saved}`);
  draw();
});

by("image").addEventListener("change", (event) => guarded(async () => {
  if (changed && !confirm("The points of this image aren't saved. Leave them?")) {
    event.target.value = current;
    return;
  }
  await show(Number(event.target.value));
}));
by("channel").addEventListener("change", () => { tiles.clear(); draw(); });
by("dots").addEventListener("change", draw);
by("in").addEventListener("click", () => zoomMiddle(1.5));
by("out").addEventListener("click", () => zoomMiddle(1 / 1.5));
by("fit").addEventListener("click", fit);
by("undo").addEventListener("click", undo);
by("save").addEventListener("click", save);
by("counts").addEventListener("click", saveCounts);
for (const radio of document.querySelectorAll("input[name=tool]")) {
  radio.addEventListener("change", () => { canvas.dataset.tool = tool(); });
}
window.addEventListener("resize", draw);
window.addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });

const choose = (value) => {
  document.querySelector(`input[name=tool][value=${value}]`).checked = true;
  canvas.dataset.tool = value;
};
const pan = (dx, dy) => { left += dx / zoom; top_ += dy / zoom; draw(); };
const KEYS = {
  m: () => choose("move"), a: () => choose("add"), d: () => choose("delete"), z: undo, s: save, f: fit,
  "+": () => zoomMiddle(1.5), "=": () => zoomMiddle(1.5), "-": () => zoomMiddle(1 / 1.5),
  ArrowLeft: () => pan(-60, 0), ArrowRight: () => pan(60, 0), ArrowUp: () => pan(0, -60), ArrowDown: () => pan(0, 60),
};
document.addEventListener("keydown", (event) => {
  if (/^(SELECT|INPUT|TEXTAREA)$/.test(event.target.tagName) || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if ((event.ctrlKey || event.metaKey) && !"zs".includes(key)) return;
  if (KEYS[key]) {
    event.preventDefault();
    KEYS[key]();
  }
});

guarded(start);
