"use strict";

// Search in the guideline: marks every hit, counts them, Enter goes to the next one, Escape back to the text.

(() => {
  const field = document.getElementById("guideline-search");
  if (!field) return;
  const text = document.querySelector(".guideline-text");
  const status = document.getElementById("guideline-found");
  let present = -1;

  function clear() {
    for (const mark of text.querySelectorAll("mark.hit")) mark.replaceWith(...mark.childNodes);
    text.normalize();
    present = -1;
  }

  function markHits(wanted) {
    const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
    const nodes = [];
    while (walker.nextNode()) nodes.push(walker.currentNode);
    for (const node of nodes) {
      let rest = node;
      for (let at = find(rest, wanted); at >= 0; at = find(rest, wanted)) {
        const hit = rest.splitText(at);
        rest = hit.splitText(wanted.length);
        const mark = document.createElement("mark");
        mark.className = "hit";
        hit.replaceWith(mark);
        mark.append(hit);
      }
    }
  }

  const find = (node, wanted) => node.data.toLowerCase().indexOf(wanted);

  function search() {
    clear();
    const wanted = field.value.trim().toLowerCase();
    if (wanted.length < 2) return (status.textContent = "");
    markHits(wanted);
    next();
  }

  function next() {
    const hits = [...text.querySelectorAll("mark.hit")];
    hits[present]?.classList.remove("here");
    present = hits.length ? (present + 1) % hits.length : -1;
    hits[present]?.classList.add("here");
    hits[present]?.scrollIntoView({ block: "nearest" });
    status.textContent = hits.length ? `${present + 1} / ${hits.length}` : status.dataset.none;
  }

  field.addEventListener("input", search);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      next();
    } else if (event.key === "Escape") {
      field.value = "";
      search();
      document.getElementById("item")?.focus();
    }
  });
})();
