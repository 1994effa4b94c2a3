"use strict";

// Keys, the time taken, and honest words when an answer could not be sent. The page works without any of it.

let shownAt = performance.now();

function typing(element) {
  return element instanceof HTMLTextAreaElement || (element instanceof HTMLInputElement && element.type !== "checkbox");
}

function press(key) {
  const target = document.querySelector(`#task [data-key="${CSS.escape(key)}"]`);
  if (!target || target.disabled) return false;
  if (target instanceof HTMLTextAreaElement) target.focus();
  else target.click();
  return true;
}

function toggleKeys() {
  const dialog = document.getElementById("keys");
  if (dialog.open) dialog.close();
  else dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "?") {
    toggleKeys();
    event.preventDefault();
  } else if (!document.getElementById("keys").open && press(event.key.toLowerCase())) {
    event.preventDefault();
  }
});

document.addEventListener("click", (event) => {
  if (event.target.closest("#show-keys")) toggleKeys();
});

document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.elt.id === "answer") {
    event.detail.parameters.set("seconds", ((performance.now() - shownAt) / 1000).toFixed(2));
  }
});

function trouble(text) {
  const place = document.getElementById("trouble");
  place.textContent = text;
  place.hidden = false;
}

// The form keeps its idempotency key, so an answer that did arrive is not stored twice when it is sent again.
document.addEventListener("htmx:sendError", () => {
  trouble("Not saved: the server can't be reached. Your item is kept; answer again when you are back online.");
});
document.addEventListener("htmx:timeout", () => {
  trouble("Not saved yet: the server did not answer in time. Answer again; it will be stored once.");
});
document.addEventListener("htmx:responseError", () => {
  trouble("Not saved. Answer again, or reload the page if this goes on.");
});

function ready() {
  document.getElementById("show-keys").hidden = false;
  shownAt = performance.now();
}

document.addEventListener("htmx:afterSwap", (event) => {
  const item = document.getElementById("item");
  if (event.detail.target.id !== "task" || !item) return;
  ready();
  item.focus({ preventScroll: false });
});

ready();
