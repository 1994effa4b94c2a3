"use strict";

// The same keys as when labelling: a digit answers.

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  document.querySelector(`form.answer button[data-key="${CSS.escape(event.key)}"]`)?.click();
});
