"use strict";

// What the expert did and the server has not yet confirmed. Each entry is stored in the browser before the page goes
// on, is sent in order, and is removed when the server says that it is on disk. Its key makes it happen once, however
// often it is sent. Every entry has a place of its own in the storage, so that two tabs never overwrite each other.
// Where the storage is full or forbidden, the page itself holds the entry, and says that it must stay open.

class Outbox {
  constructor({ name, url, csrf, describe, onDone, onState }) {
    Object.assign(this, { name, url, csrf, describe, onDone, onState });
    this.counter = 0;
    this.failures = 0;
    this.timer = null;
    this.sending = false;
    this.held = new Map(); // place → entry, of what the storage did not take
    window.addEventListener("beforeunload", (event) => this.held.size && event.preventDefault());
    window.addEventListener("online", () => this.flush());
    document.addEventListener("visibilitychange", () => document.hidden || this.flush());
  }

  add(entry) {
    // A clock that was set back must not send an undo before its answer: never earlier than what waits already.
    const last = Number(this.places().at(-1)?.slice(this.name.length + 1).split(":")[0] ?? 0);
    const time = String(Math.max(Date.now(), last + 1)).padStart(15, "0");
    const place = `${this.name}:${time}:${String(this.counter++).padStart(6, "0")}:${entry.key.slice(0, 8)}`;
    try {
      localStorage.setItem(place, JSON.stringify(entry));
    } catch {
      this.held.set(place, JSON.stringify(entry));
    }
    return this.flush();
  }

  places() {
    return [...this.stored(), ...this.held.keys()].sort();
  }

  stored() {
    try {
      return Object.keys(localStorage).filter((place) => place.startsWith(`${this.name}:`));
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

  entries() {
    return this.places().map((place) => JSON.parse(this.read(place))).filter(Boolean);
  }

  get size() {
    return this.places().length;
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
    for (let place = this.places()[0]; place; place = this.places()[0]) {
      const stored = this.read(place);
      if (stored === null) continue; // another tab has sent it
      const outcome = await this.send(JSON.parse(stored));
      if (outcome === "later") return;
      this.remove(place);
      this.failures = 0;
      this.onState({ waiting: this.size });
    }
  }

  async send(entry) {
    let response;
    try {
      response = await fetch(this.url, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRF-Token": this.csrf },
        body: JSON.stringify({ ...entry, have: this.describe() }),
        signal: AbortSignal.timeout(15000),
        keepalive: true,
      });
    } catch {
      return this.retry();
    }
    if (response.ok) {
      const desk = await response.json().catch(() => null);
      if (desk === null) return this.retry();
      this.onDone(entry, desk);
      return "sent";
    }
    return this.refused(entry, response);
  }

  async refused(entry, response) {
    if (response.status === 401 || response.status === 403) {
      this.onState({ waiting: this.size, trouble: response.status === 401 ? "signed-out" : "out-of-date" });
      return "later";
    }
    if (response.status === 429 || response.status >= 500) return this.retry();
    const body = await response.json().catch(() => ({}));
    this.onState({ waiting: this.size - 1, trouble: "refused", reason: body.error ?? String(response.status), entry });
    return "refused";
  }

  retry() {
    this.failures += 1;
    this.onState({ waiting: this.size, trouble: "offline" });
    this.timer = setTimeout(() => this.flush(), Math.min(30000, 500 * 2 ** this.failures));
    return "later";
  }
}
