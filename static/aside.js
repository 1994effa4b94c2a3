"use strict";

// The list of what the outbox has set aside: seen, copied, sent again or thrown away by hand.

class Aside {
  constructor(outbox, labels, words, onSentAgain) {
    Object.assign(this, { outbox, labels, words, onSentAgain });
    this.box = document.getElementById("aside");
    this.list = this.box.querySelector("ol");
    this.status = document.getElementById("aside-status");
    this.box.addEventListener("click", (event) => {
      const button = event.target.closest("[data-aside]");
      if (button) this[button.dataset.aside](button.closest("li")?.dataset.place);
    });
    window.addEventListener("storage", ({ key }) => {
      if (key === null || key.startsWith(outbox.aside.prefix)) this.show(); // another tab has seen to it
    });
  }

  show() {
    const records = this.outbox.setAsideRecords();
    const hadFocus = this.list.contains(document.activeElement);
    this.box.hidden = !records.length;
    this.box.querySelector("summary").textContent =
      records.length === 1 ? this.words.aside_one : this.words.aside_many.replace("{n}", records.length);
    this.box.querySelector("[data-aside=all]").hidden = !records.some((record) => record.status);
    this.list.replaceChildren(...records.map((record) => this.line(record)));
    this.status.textContent = "";
    if (hadFocus) document.querySelector(records.length ? "#aside summary" : "#work:not([hidden]) #item, #empty:not([hidden])")?.focus();
  }

  line(record) {
    const line = this.box.querySelector("template").content.firstElementChild.cloneNode(true);
    const told = this.tell(record);
    line.dataset.place = record.place;
    line.querySelector(".aside-what").textContent = told.what;
    line.querySelector(".aside-text").textContent = told.text;
    line.querySelector(".aside-why").textContent = told.why;
    line.querySelector("[data-aside=again]").hidden = !record.status;
    return line;
  }

  tell({ entry, raw, reason, status }) {
    if (!entry?.kind) return { what: this.words.aside_raw, text: raw, why: "" };
    const { kind, about, label, note } = entry;
    const what = kind === "answer" ? (about?.label ?? this.labels[label]) : this.words[`aside_${kind}`];
    const because = status ? this.words.refused.replace("{reason}", () => reason) : reason;
    const why = [note && this.words.aside_note.replace("{note}", () => note), entry.reason, because];
    return { what, text: about?.text ?? "", why: why.filter(Boolean).join(" · ") };
  }

  again(place) {
    this.send(this.outbox.setAsideRecords().filter((record) => record.place === place));
  }

  all() {
    this.send(this.outbox.setAsideRecords().filter((record) => record.status));
  }

  send(records) {
    this.outbox.sendAgain(records);
    this.onSentAgain();
  }

  discard(place) {
    if (window.confirm(this.words.aside_sure)) this.outbox.discard(place);
  }

  async copy() {
    const lines = this.outbox.setAsideRecords().map((record) => Object.values(this.tell(record)).filter(Boolean).join("\t"));
    try {
      await navigator.clipboard.writeText(lines.join("\n"));
      this.status.textContent = this.words.aside_copied;
    } catch {
      getSelection().selectAllChildren(this.list); // plain HTTP has no clipboard
      this.status.textContent = this.words.aside_copy;
    }
  }
}
