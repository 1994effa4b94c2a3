"use strict";

// Keys of the contrast card. It comes up while the expert is answering, so keys and taps count only once it has been in
// sight for a moment.

(() => {
  const MOMENT = 500; // milliseconds

  function arm() {
    const card = document.getElementById("contrast");
    if (!card || card.dataset.armed) return;
    card.dataset.armed = "yes";
    card.focus({ preventScroll: true });
    new IntersectionObserver((changes, observer) => {
      if (!changes.some((change) => change.isIntersecting)) return;
      observer.disconnect();
      setTimeout(() => (card.dataset.ready = "yes"), MOMENT);
    }).observe(card);
  }

  const isNew = () => !document.querySelector("#contrast[data-ready]");

  document.addEventListener("htmx:afterSwap", arm);
  document.addEventListener("click", (event) => {
    if (!isNew() || !event.target.closest("#contrast button, #contrast summary")) return;
    event.preventDefault(); // it was meant for the text that was here before
    event.stopPropagation();
  }, { capture: true });
  document.addEventListener("keydown", (event) => {
    const card = document.getElementById("contrast");
    if (!card || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.matches("textarea, input, select, button, summary, a")) return;
    const target = card.querySelector(`[data-contrast-key="${CSS.escape(event.key.length === 1 ? event.key.toLowerCase() : event.key)}"]`);
    if (!target) return;
    event.preventDefault();
    if (isNew()) return;
    target.click();
    if (target.matches("summary")) card.querySelector("textarea")?.focus();
  });
  arm();
})();
