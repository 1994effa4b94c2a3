"use strict";

// What the expert did and the server has not yet confirmed. Each entry is stored in the browser before the page goes
// on, is sent in order, and is removed when the server says that it is on disk. Its key makes it happen once, however
// often it is sent. What the server will not have, or what can't be read, is set aside (aside.js shows it), so that it
// neither vanishes nor holds up what comes after it.

// Every entry has a place of its own in the storage, so that two tabs never overwrite each other. Where the storage is
// full or forbidden, the page itself holds the entry, and says that it must stay open.
class Shelf {
  constructor(name) {
    this.prefix = `${name}:`;
    this.held = new Map(); // place → text, of what the storage did not take
    window.addEventListener("beforeunload", (event) => this.held.size && event.preventDefault());
  }

  put(place, text) {
    try {
      localStorage.setItem(place, text);
    } catch {
      this.held.set(place, text);
    }
  }

  places() {
    return [...this.stored(), ...this.held.keys()].sort();
  }

  stored() {
    try {
      return Object.keys(localStorage).filter((place) => place.startsWith(this.prefix));
    } catch {
      return []; // the browser forbids storage
    }
  }

  read(place) {
    return this.held.get(place) ?? localStorage.getItem(place);
  }

  remove(place) {
    if (!this.held.delete(place)) localStorage.removeItem(place);
  }

  get size() {
    return this.places().length;
  }
}

class Outbox {
  constructor({ name, aside, url, csrf, describe, onDone, onState, onAside }) {
    Object.assign(this, { name, url, csrf, describe, onDone, onState, onAside });
    this.shelf = new Shelf(name);
    this.aside = new Shelf(aside);
    this.counter = 0;
    this.failures = 0;
    this.timer = null;
    this.sending = false;
    window.addEventListener("online", () => {
      this.failures = 0; // those without a network say nothing of the server: if it fails now, it is asked again soon
      this.flush();
    });
    document.addEventListener("visibilitychange", () => document.hidden || this.flush());
  }

  add(entry) {
    // A clock that was set back must not send an undo before its answer: never earlier than what waits already.
    const last = Number(this.shelf.places().at(-1)?.slice(this.shelf.prefix.length).split(":")[0]) || 0;
    const time = String(Math.max(Date.now(), last + 1)).padStart(15, "0");
    const place = `${time}:${String(this.counter++).padStart(6, "0")}:${entry.key.slice(0, 8)}`;
    this.shelf.put(this.shelf.prefix + place, JSON.stringify(entry));
    return this.flush();
  }

  // One that a person, an extension or a crash has spoiled is null: it must not stop the others.
  static entry(text) {
    try {
      const entry = JSON.parse(text);
      return typeof entry?.key === "string" && typeof entry.kind === "string" ? entry : null;
    } catch {
      return null;
    }
  }

  entries() {
    return this.shelf.places().map((place) => Outbox.entry(this.shelf.read(place))).filter(Boolean);
  }

  get size() {
    return this.shelf.size;
  }

  get isHeld() {
    return this.shelf.held.size + this.aside.held.size > 0;
  }

  // Items that are answered or skipped here and not yet there: they must not be shown again.
  settled() {
    const last = new Map();
    for (const entry of this.entries()) {
      if (entry.assignment) last.set(entry.assignment, entry.kind !== "undo");
    }
    return new Set([...last].filter(([, done]) => done).map(([assignment]) => assignment));
  }

  async flush() {
    if (this.sending) return;
    this.sending = true;
    clearTimeout(this.timer);
    try {
      // Only one tab sends at a time. Plain HTTP on a network has no locks; the keys make that safe, too.
      if (navigator.locks) await navigator.locks.request(this.name, () => this.drain());
      else await this.drain();
    } finally {
      this.sending = false;
    }
  }

  async drain() {
    for (let place = this.shelf.places()[0]; place; place = this.shelf.places()[0]) {
      const stored = this.shelf.read(place);
      if (stored === null) continue; // another tab has sent it
      const entry = Outbox.entry(stored);
      const outcome = entry ? await this.deliver(entry) : { raw: stored };
      if (outcome === "later") return;
      if (outcome !== "sent") this.setAside(place, outcome);
      this.shelf.remove(place);
      this.failures = 0;
      this.onState({ waiting: this.size, ...(outcome.status && { trouble: "refused", ...outcome }) });
    }
  }

  // Says "sent", "later", or why the entry is set aside.
  async deliver(entry) {
    const withdrawn = entry.kind === "undo" && entry.assignment && this.withdraw(entry.assignment);
    return withdrawn ? "sent" : this.send(entry);
  }

  async send(entry) {
    const { about, ...sent } = entry; // what it is about is for the expert's eyes
    let response;
    try {
      response = await fetch(this.url, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRF-Token": this.csrf },
        body: JSON.stringify({ ...sent, have: this.describe() }),
        signal: AbortSignal.timeout(15000),
        keepalive: true,
      });
    } catch {
      return this.retry();
    }
    if (!response.ok) return this.refused(entry, response);
    const desk = await response.json().catch(() => null);
    if (!Array.isArray(desk?.tasks)) return this.retry(); // something between the browser and the server has answered
    this.onDone(entry, desk);
    if (desk.done?.kind === "notice") return entry.kind === "answer" ? { entry, reason: desk.done.text } : "sent";
    if (entry.kind !== "undo") this.withdraw(entry.assignment); // this one stands in its place
    return "sent";
  }

  async refused(entry, response) {
    const { status } = response;
    if (status === 429 || status >= 500) return this.retry();
    const body = await response.json().catch(() => ({}));
    // A 403 without our words is a proxy's, which dislikes this entry and will dislike it after a reload, too.
    if (status === 401 || (status === 403 && body.error)) {
      this.onState({ waiting: this.size, trouble: status === 401 ? "signed-out" : "out-of-date" });
      return "later";
    }
    return { entry, status, reason: body.error ?? String(status) };
  }

  retry() {
    this.failures += 1;
    this.onState({ waiting: this.size, trouble: "offline" });
    this.timer = setTimeout(() => this.flush(), Math.min(30000, 500 * 2 ** this.failures));
    return "later";
  }

  // --- set aside ------------------------------------------------------------------------------------------------

  // First to its new place, then away from the old one: a crash in between shows it twice, and loses nothing.
  setAside(place, record) {
    this.aside.put(this.aside.prefix + place.slice(this.shelf.prefix.length), JSON.stringify(record));
    this.onAside();
  }

  // In order: {place, entry, reason, status}, or {place, raw} of what can't be read. Only what was refused with a status
  // can be sent another time; the rest came too late.
  setAsideRecords() {
    return this.aside.places().map((place) => {
      const raw = this.aside.read(place);
      try {
        return { raw, ...JSON.parse(raw), place };
      } catch {
        return { raw, place };
      }
    });
  }

  // Forgets what was set aside of that text; whether there was an answer or a skip that the server never had.
  withdraw(assignment) {
    const records = this.setAsideRecords().filter(({ entry }) => entry?.assignment === assignment && entry.kind !== "undo");
    for (const { place } of records) this.aside.remove(place);
    if (records.length) this.onAside();
    return records.some(({ status }) => status);
  }

  discard(place) {
    this.aside.remove(place);
    this.onAside();
  }

  sendAgain(records) {
    for (const { place, entry } of records) {
      this.add(entry);
      this.aside.remove(place);
    }
    this.onAside();
  }
}
