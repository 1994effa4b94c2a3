"use strict";

// Everything here adds comfort; pages work without it.

// The page's language, not the browser's; of the English ones the order in which 23 Nov cannot be misread.
const language = document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang;

function localTimes(root) {
  const day = { day: "numeric", month: "short", year: "numeric" };
  const styles = { date: day, datetime: { ...day, hour: "2-digit", minute: "2-digit" } };
  for (const element of root.querySelectorAll("time[data-local]")) {
    const style = styles[element.dataset.local];
    element.textContent = new Intl.DateTimeFormat(language, style).format(new Date(element.dateTime));
    element.removeAttribute("data-local");
  }
}

function copyButtons(root) {
  for (const button of root.querySelectorAll("button[data-copy][hidden]")) {
    button.hidden = false;
  }
}

async function copy(button) {
  const field = document.querySelector(button.dataset.copy);
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    document.execCommand("copy"); // plain HTTP has no clipboard object
  }
  button.textContent = button.dataset.copied;
}

function prepare(root) {
  localTimes(root);
  copyButtons(root);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-copy]");
  if (button) copy(button);
});

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

// On a phone the project's pages do not fit into one line: the present one is never outside it.
function showPresentTab() {
  const tab = document.querySelector("nav.tabs a[aria-current]");
  if (!tab) return;
  const row = tab.closest("ul");
  const [inner, outer] = [tab.getBoundingClientRect(), row.getBoundingClientRect()];
  row.scrollLeft += inner.left + inner.width / 2 - outer.left - outer.width / 2;
}

document.addEventListener("htmx:load", (event) => prepare(event.detail.elt));
showPresentTab();
window.addEventListener("resize", showPresentTab);
prepare(document);
