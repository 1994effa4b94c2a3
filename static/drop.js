"use strict";

// Drag and drop for upload forms. Without this script the same form has a file field and a button.

function dropZones(root) {
  for (const form of root.querySelectorAll("form[data-drop]:not([data-drop-ready])")) {
    form.dataset.dropReady = "";
    const words = form.querySelector("[data-drop-words]");
    if (words) words.hidden = false;
    const over = (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault(); // otherwise the browser opens the file
      form.classList.add("drop-over");
    };
    form.addEventListener("dragenter", over);
    form.addEventListener("dragover", over);
    form.addEventListener("dragleave", (event) => {
      if (!form.contains(event.relatedTarget)) form.classList.remove("drop-over");
    });
    form.addEventListener("drop", (event) => {
      event.preventDefault();
      form.classList.remove("drop-over");
      const files = event.dataTransfer.files;
      if (files.length > 1 && words) words.textContent = `One file at a time: taking ${files[0].name}`;
      if (files.length) send(form, files[0]);
    });
  }
}

function send(form, file) {
  const one = new DataTransfer();
  one.items.add(file);
  form.querySelector("input[type=file]").files = one.files;
  form.requestSubmit();
}

document.addEventListener("htmx:load", (event) => dropZones(event.detail.elt));
dropZones(document);
