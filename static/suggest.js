"use strict";

// The form under the guideline speaks of the text in hand; a notice that the guideline changed is put away for good.

(() => {
  const inHand = () => document.querySelector("#answer input[name=assignment]")?.value ?? "";

  document.addEventListener("htmx:configRequest", (event) => {
    if (event.target.id === "suggest") event.detail.parameters.assignment = inHand();
  });

  // In the narrow column the form would open below its lower edge.
  for (const ask of document.querySelectorAll(".guideline details.ask")) {
    const column = ask.closest(".guideline");
    ask.addEventListener("toggle", () => {
      if (!ask.open) return;
      if (column.scrollHeight > column.clientHeight) column.scrollTop = column.scrollHeight; // the page stays in its place
      else ask.scrollIntoView({ block: "nearest" });
    });
  }

  const notice = document.getElementById("guideline-news");
  notice?.querySelector("button").addEventListener("click", () => {
    const state = JSON.parse(document.getElementById("desk-state").textContent);
    fetch(notice.dataset.url, { method: "POST", headers: { "X-CSRF-Token": state.csrf } });
    notice.remove();
    document.getElementById("item").focus();
  });
})();
