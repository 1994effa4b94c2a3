"use strict";

// Suggests a break after a long stretch of work. A pause of five minutes counts as one already.

class Breaks {
  constructor(minutes, onSuggest) {
    this.minutes = minutes;
    this.onSuggest = onSuggest;
    this.place = "linecall:stretch";
    this.held = null; // the stretch, where the browser forbids storage or it is full
  }

  kept() {
    try {
      return this.held ?? JSON.parse(sessionStorage.getItem(this.place) ?? "null");
    } catch {
      return null;
    }
  }

  keep(stretch) {
    this.held = null;
    try {
      sessionStorage.setItem(this.place, JSON.stringify(stretch));
    } catch {
      this.held = stretch;
    }
  }

  worked(now = Date.now()) {
    if (!this.minutes) return;
    const stretch = this.kept();
    const goesOn = stretch && now - stretch.last < 5 * 60000;
    const present = goesOn ? { ...stretch, last: now } : { since: now, last: now };
    this.keep(present);
    const minutes = Math.floor((now - present.since) / 60000);
    if (minutes >= this.minutes) this.onSuggest(minutes);
  }

  later() {
    this.keep(null);
  }
}
