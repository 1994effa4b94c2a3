"use strict";

// Keys of the labelling page: what they do, and how to change them.

class Keys {
  constructor(keys, words, save) {
    this.keys = keys; // action → key
    this.words = words;
    this.save = save; // stores preferences; resolves to whether the server has them
    this.dialog = document.getElementById("keys");
    this.status = document.getElementById("keys-status");
    this.waiting = null;
    this.dialog.addEventListener("click", (event) => this.clicked(event));
    this.dialog.addEventListener("keydown", (event) => this.captured(event), true);
  }

  action(key) {
    return Object.keys(this.keys).find((action) => this.keys[action] === key.toLowerCase());
  }

  toggle() {
    if (this.dialog.open) this.dialog.close();
    else this.dialog.showModal();
  }

  clicked(event) {
    const button = event.target.closest("[data-remap]");
    this.stopWaiting();
    if (event.target.closest("#keys-close")) this.dialog.close();
    else if (event.target.closest("#keys-reset")) this.change({});
    else if (button) {
      this.waiting = button.dataset.remap;
      button.classList.add("waiting");
      button.querySelector("kbd").textContent = "…";
      this.status.textContent = this.words.pressed;
    }
  }

  captured(event) {
    if (!this.waiting) {
      if (event.key === "?") {
        event.preventDefault();
        this.dialog.close();
      }
      return;
    }
    if (event.key === "Tab" || event.key === "Shift") return;
    event.preventDefault();
    event.stopPropagation();
    const action = this.waiting;
    this.stopWaiting();
    if (event.key === "Escape" || event.key.length !== 1 || event.key === " " || event.key === "?") return;
    const key = event.key.toLowerCase();
    const owner = this.action(key);
    if (owner && owner !== action) this.status.textContent = this.words.key_taken;
    else this.change({ ...this.keys, [action]: key });
  }

  stopWaiting() {
    this.waiting = null;
    for (const button of this.dialog.querySelectorAll(".waiting")) button.classList.remove("waiting");
    this.status.textContent = "";
    this.show();
  }

  async change(keys) {
    const stored = await this.save({ keys });
    if (!stored) return;
    this.keys = stored.keys;
    this.status.textContent = this.words.keys_saved;
    this.show();
  }

  show() {
    for (const hint of document.querySelectorAll("kbd[data-key-of]")) {
      hint.textContent = this.keys[hint.dataset.keyOf].toUpperCase();
    }
  }
}
