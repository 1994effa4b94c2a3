"use strict";

// Suggests a break after a long stretch of work. A pause of five minutes counts as one already.

class Breaks {
  constructor(minutes, onSuggest) {
    this.minutes = minutes;
    this.onSuggest = onSuggest;
    this.place = "linecall:stretch";
  }

  worked(now = Date.now()) {
    if (!this.minutes) return;
    const stretch = JSON.parse(sessionStorage.getItem(this.place) ?? "null");
    const goesOn = stretch && now - stretch.last < 5 * 60000;
    const present = goesOn ? { ...stretch, last: now } : { since: now, last: now };
    sessionStorage.setItem(this.place, JSON.stringify(present));
    const minutes = Math.floor((now - present.since) / 60000);
    if (minutes >= this.minutes) this.onSuggest(minutes);
  }

  later() {
    sessionStorage.removeItem(this.place);
  }
}
