"use strict";

// The form under the guideline speaks of the text in hand; a notice that the guideline changed is put away for good.

(() => {
  const inHand = () => document.querySelector("#answer input[name=assignment]")?.value ?? "";

  document.addEventListener("htmx:configRequest", (event) => {
    if (event.target.id === "suggest") event.detail.parameters.assignment = inHand();
  });

  const notice = document.getElementById("guideline-news");
  notice?.querySelector("button").addEventListener("click", () => {
    const state = JSON.parse(document.getElementById("desk-state").textContent);
    fetch(notice.dataset.url, { method: "POST", headers: { "X-CSRF-Token": state.csrf } });
    notice.remove();
    document.getElementById("item").focus();
  });
})();
