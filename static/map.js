"use strict";

// Reads texts to whoever points at the map: those of the round's dots, and elsewhere an example from the cell under
// the pointer. Without it the map still shows everything but these, and each dot is a link.

const REST = 120; // milliseconds on one spot before a text is fetched
const texts = new Map();
let cells = null; // what lies in each cell of the map that is shown, once somebody points at it
let waiting = 0;
let asked = null; // whose text the pointer last asked for

function shownMap() { return document.querySelector("svg.map"); }

async function loadCells(map) {
  if (cells?.address === map.dataset.map) return cells;
  const answer = await fetch(map.dataset.map, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`${answer.status}`);
  const drawn = await answer.json();
  cells = { address: map.dataset.map, side: drawn.example_grid, labels: drawn.labels, ids: drawn.examples.map(unpack) };
  return cells;
}

function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 4 }, (_, at) => view.getInt32(4 * at, true));
}

// The dot under the pointer, or the items that stand for its cell: one of each label.
async function pointedAt(map, event) {
  const dot = event.target.closest("[data-id]");
  if (dot) return [{ id: Number(dot.dataset.id), facts: dot.dataset.facts }];
  const box = map.getBoundingClientRect();
  const { side, ids, labels } = await loadCells(map);
  const [column, row] = [
    Math.floor(((event.clientX - box.left) / box.width) * side),
    Math.floor(((event.clientY - box.top) / box.height) * side),
  ];
  if (Math.min(column, row) < 0 || Math.max(column, row) >= side) return [];
  return ids
    .map((own, label) => ({ id: own[row * side + column], facts: `In this place, labelled ${labels[label]}.` }))
    .filter(({ id }) => id > 0)
    .reverse();
}

async function textOf(map, id) {
  if (!texts.has(id)) {
    const answer = await fetch(`${map.dataset.texts}?id=${id}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(`${answer.status}`);
    texts.set(id, (await answer.json())[id] ?? "");
  }
  return texts.get(id);
}

// Beside the pointer, or beside the dot that has the focus.
async function tell(map, event) {
  const [first] = await pointedAt(map, event);
  asked = first?.id ?? null;
  if (!first) return hide();
  const text = await textOf(map, first.id);
  if (asked !== first.id) return; // the pointer has moved on
  const tip = document.querySelector(".map-tip");
  tip.querySelector(".map-tip-facts").textContent = first.facts;
  tip.querySelector(".map-tip-text").textContent = text;
  tip.hidden = false;
  const around = tip.parentElement.getBoundingClientRect();
  const left = event.clientX - around.left + 14;
  tip.style.left = `${Math.max(0, Math.min(left, around.width - tip.offsetWidth))}px`;
  tip.style.top = `${event.clientY - around.top + 16}px`;
}

function hide() {
  asked = null;
  const tip = document.querySelector(".map-tip");
  if (tip) tip.hidden = true;
}

// --- by keyboard: one dot is in the page's order of tabs, and arrows go on from it ---

const AHEAD = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function centre(link) {
  const dot = link.firstElementChild;
  return [dot.cx.baseVal.value, dot.cy.baseVal.value];
}

// The nearest dot that lies in the arrow's direction; what lies to the side of it counts as twice as far.
function neighbour(from, [right, down]) {
  const [x, y] = centre(from);
  let best = null;
  for (const link of from.closest("svg").querySelectorAll("a")) {
    const [dx, dy] = [centre(link)[0] - x, centre(link)[1] - y];
    const [ahead, aside] = [dx * right + dy * down, Math.abs(dx * down) + Math.abs(dy * right)];
    if (ahead <= 0 || ahead < aside / 2) continue;
    const far = ahead + 2 * aside;
    if (!best || far < best.far) best = { link, far };
  }
  return best?.link;
}

function walk(event) {
  const link = event.target.closest?.("svg.map a");
  if (!link) return;
  if (event.key === "Escape") hide();
  if (!(event.key in AHEAD)) return;
  event.preventDefault();
  neighbour(link, AHEAD[event.key])?.focus();
}

function arrive(event) {
  const link = event.target.closest?.("svg.map a");
  if (!link) return hide();
  for (const other of link.closest("svg").querySelectorAll('a[tabindex="0"]')) other.setAttribute("tabindex", "-1");
  link.setAttribute("tabindex", "0");
  if (!link.matches(":focus-visible")) return; // the pointer tells by itself
  const box = link.getBoundingClientRect();
  const [clientX, clientY] = [box.left + box.width / 2, box.top + box.height / 2];
  tell(shownMap(), { target: link.firstElementChild, clientX, clientY }).catch(console.error);
}

function later(event) {
  clearTimeout(waiting);
  const map = shownMap();
  if (!map?.contains(event.target)) return hide();
  waiting = setTimeout(() => tell(map, event).catch(console.error), REST);
}

async function open(event) {
  const map = shownMap();
  if (!map?.contains(event.target) || event.target.closest("a")) return;
  const [first] = await pointedAt(map, event);
  if (first) window.location.href = map.dataset.item.replace(/0$/, String(first.id));
}

// The picture as PNG, in the reader's colours, made from the file that the SVG link gives.
async function savePng(name) {
  const address = new URL(document.querySelector("[data-map-svg]").href);
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${answer.status}`);
  const image = new Image();
  image.src = URL.createObjectURL(await answer.blob());
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [2 * image.naturalWidth, 2 * image.naturalHeight];
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  const link = document.createElement("a");
  link.href = canvas.toDataURL("image/png");
  link.download = `${name}.png`;
  link.click();
}

function prepare() {
  hide();
  shownMap()?.querySelector("a")?.setAttribute("tabindex", "0");
  const offer = document.querySelector("[data-map-png]");
  if (!offer) return;
  offer.hidden = false;
  offer.querySelector("button").onclick = () => savePng(offer.dataset.mapPng).catch(console.error);
  const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  const file = document.querySelector("[data-map-svg]");
  const address = new URL(file.href);
  address.searchParams.set("theme", dark ? "dark" : "light");
  file.href = address;
}

document.addEventListener("pointermove", later);
document.addEventListener("keydown", walk);
document.addEventListener("focusin", arrive);
window.addEventListener("resize", hide);
document.addEventListener("click", (event) => open(event).catch(console.error));
document.addEventListener("input", (event) => {
  const slider = event.target.closest("[data-shown-by]");
  if (slider) slider.parentElement.querySelector(slider.dataset.shownBy).textContent = slider.value;
});
document.addEventListener("htmx:afterSettle", (event) => { if (event.target.id === "map") prepare(); });
prepare();
