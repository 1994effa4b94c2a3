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

  // The form is a new one after it was sent: back to the text, or to what is still wanted.
  document.addEventListener("htmx:afterSwap", () => {
    const form = document.getElementById("suggest");
    if (!form || form.dataset.seen || document.activeElement !== document.body) return;
    form.dataset.seen = "yes";
    if (!form.querySelector(".receipt")) return form.querySelector("textarea").focus();
    document.querySelector("#contrast, #work:not([hidden]) #item, #empty:not([hidden])")?.focus({ preventScroll: true });
    const column = form.closest(".guideline");
    column.scrollTop = column.scrollHeight;
  });

  const notice = document.getElementById("guideline-news");
  notice?.querySelector("button").addEventListener("click", () => {
    const state = JSON.parse(document.getElementById("desk-state").textContent);
    fetch(notice.dataset.url, { method: "POST", headers: { "X-CSRF-Token": state.csrf } });
    notice.remove();
    document.getElementById("item").focus();
  });
})();
