"use strict";

// The labelling page: shows an item, notes down what the expert does, and shows the next one at once. outbox.js sends.

(() => {
  const byId = (id) => document.getElementById(id);
  const state = JSON.parse(byId("desk-state").textContent);
  const { urls, words, labels } = state;
  const form = byId("answer");
  const FEW = 5; // answers before which a pace says nothing; as queue.pace
  const note = form.elements.note;
  const flag = form.elements.flagged;

  let tasks = state.desk.tasks; // the first one is on the page
  let progress = state.desk.progress;
  let until = state.desk.until; // how long the server keeps the texts for this page
  let watch = { since: performance.now(), seen: 0 }; // how long the item has been looked at
  let paces = state.pace ? Array(FEW).fill(state.pace) : [];
  let contrastIsDue = state.desk.contrast;
  const recent = []; // answers of this page, so that undo is instant too

  // --- what is on the page ------------------------------------------------------------------------------------

  const current = () => tasks[0];
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const blocked = () => !current() || !byId("contrast-slot").hidden || document.querySelector("dialog[open]");

  function showItem(focus) {
    const task = current();
    const old = byId("item");
    const hadFocus = document.activeElement === old;
    byId("task").dataset.item = task?.item ?? "";
    byId("work").hidden = !task;
    byId("empty").hidden = Boolean(task);
    if (task) {
      const item = old.cloneNode(false); // a new element, so that a screen reader reads it out
      item.textContent = task.text;
      item.classList.remove("open", "small", "long");
      old.replaceWith(item);
      for (const field of document.querySelectorAll("#work input[name=assignment]")) field.value = task.assignment;
      note.value = drafts((store) => store.getItem(draftOf(task))) ?? task.note ?? "";
      flag.checked = task.flagged ?? false;
      watch = { since: document.hidden ? null : performance.now(), seen: 0 };
      fold();
    }
    if (focus || hadFocus) (task ? byId("item") : byId("empty")).focus({ preventScroll: true });
    bringIntoView(byId("item"), document.querySelector(".answer-bar").getBoundingClientRect().top);
  }

  // On a low screen, below an open list or after a look at the guideline, a new text must not be out of sight or under
  // the buttons.
  function bringIntoView(what, end) {
    const { top, bottom } = what.getBoundingClientRect();
    if (top < 0 || bottom > end + 1) what.scrollIntoView();
  }

  // A long text gets smaller letters first, and is folded if it is still too long for its frame, which ends above the
  // answers.
  function fold() {
    const item = byId("item");
    byId("work").style.setProperty("--bar", `${document.querySelector(".answer-bar").offsetHeight}px`);
    const button = byId("expand");
    const open = item.classList.contains("open");
    const overflows = () => item.scrollHeight > item.clientHeight + 4;
    item.classList.remove("small");
    item.classList.toggle("small", open || overflows());
    const long = open || overflows();
    button.hidden = !long;
    button.setAttribute("aria-expanded", String(open));
    item.classList.toggle("long", long && !open);
    button.querySelector("[data-when=folded]").hidden = open;
    button.querySelector("[data-when=open]").hidden = !open;
  }

  function showEmpty(empty) {
    const place = byId("empty");
    place.querySelector(".empty-title").textContent = empty.title;
    place.querySelector(".empty-text").textContent = `${empty.text} ${empty.more ?? ""}`.trim();
    byId("to-votes").hidden = !empty.votes;
    if (empty.votes) byId("to-votes").querySelector("a").href = urls.votes.replace("ROUND", empty.votes);
  }

  function showWaitingForNext() {
    showEmpty({ title: navigator.onLine && !outbox.failures ? words.loading : words.offline, text: outbox.failures ? words.waiting_next : "" });
  }

  function showProgress() {
    const done = progress.done + pendingAnswers();
    const left = Math.max(0, progress.left - pendingAnswers());
    const parts = [];
    if (progress.round_number) parts.push(fill(words.progress, { round: progress.round_number, done }));
    if (progress.round_number && left) parts.push(fill(words.left, { left }));
    const time = estimate(left);
    byId("progress-text").textContent = parts.join(", ") + (time ? ` · ${time}` : "");
    byId("progress-bar").hidden = !progress.round_number;
    byId("progress-bar").max = Math.max(1, done + left);
    byId("progress-bar").value = done;
    for (const button of document.querySelectorAll("[data-empty-action=undo]")) button.hidden = !done;
  }

  function pendingAnswers() {
    return outbox.entries().reduce((sum, entry) => sum + ({ answer: 1, undo: -1 }[entry.kind] ?? 0), 0);
  }

  function estimate(left) {
    if (paces.length < FEW || !left) return "";
    const sorted = [...paces].sort((a, b) => a - b);
    const minutes = (left * sorted[Math.floor(sorted.length / 2)]) / 60;
    if (minutes >= 90) return fill(words.hours, { n: (Math.round(minutes / 30) / 2).toLocaleString(document.documentElement.lang) });
    return minutes < 1.5 ? words.minute : fill(words.minutes, { n: Math.round(minutes) });
  }

  function say(text, kind = "saved") {
    const place = byId("receipt");
    place.className = `receipt receipt-${kind}`;
    place.textContent = kind === "saved" ? `✓ ${text}` : text;
  }

  function trouble(text, link) {
    const place = byId("trouble");
    place.hidden = !text;
    place.textContent = text ?? "";
    if (link) {
      const anchor = document.createElement("a");
      anchor.href = link;
      anchor.textContent = words.sign_in;
      place.append(" ", anchor);
    }
  }

  // --- sending ------------------------------------------------------------------------------------------------

  const channel = "BroadcastChannel" in window ? new BroadcastChannel(`linecall:${state.user}:${state.project}`) : null;
  const starts = new Map(); // entry key → when the key was pressed

  const outbox = new Outbox({
    name: `linecall:outbox:${state.user}:${state.project}`,
    aside: `linecall:aside:${state.user}:${state.project}`,
    url: urls.noted,
    csrf: state.csrf,
    describe: () => tasks.map((task) => task.assignment),
    onDone: arrived,
    onState: report,
    onAside: () => aside.show(),
  });
  const aside = new Aside(outbox, labels, words, takeOff);

  // What is on its way again must not be answered anew meanwhile.
  function takeOff() {
    const before = current();
    const settled = outbox.settled();
    tasks = tasks.filter((task) => !settled.has(task.assignment));
    if (current() !== before) showItem(true);
    if (!current()) showWaitingForNext();
    showProgress();
  }

  function report({ waiting, trouble: kind, reason, entry }) {
    if (kind) say("", "plain"); // an older receipt would look like one for what is not saved
    const kept = outbox.isHeld ? words.held : waiting === 1 ? words.kept_one : fill(words.kept_many, { n: waiting });
    if (kind === "offline") trouble(`${words.offline} ${waiting ? kept : ""}`);
    else if (kind === "signed-out") trouble(`${words.signed_out} ${waiting ? kept : ""}`, `${urls.sign_in}?next=${encodeURIComponent(urls.label)}`);
    else if (kind === "out-of-date") reloadOnce(reason);
    else if (kind === "refused") {
      trouble(fill(words.refused, { reason }));
      look();
    } else if (!waiting) {
      trouble(null);
      if (contrastIsDue) openContrast(); // not before all answers are on disk: the card shows them
    }
    if (kind && !current()) showWaitingForNext();
    showProgress();
    if (entry) starts.delete(entry.key);
  }

  // Signed in again in another tab, the page's token is out of date: a fresh page has one, and sends what waits.
  function reloadOnce() {
    const last = drafts((store) => Number(store.getItem("linecall:reloaded") ?? 0));
    const recently = Math.abs(Date.now() - (last ?? Date.now())) < 60000;
    if (recently || outbox.isHeld) return trouble(fill(words.refused, { reason: "403" }));
    drafts((store) => store.setItem("linecall:reloaded", String(Date.now())));
    location.reload();
  }

  function arrived(entry, desk) {
    const { done } = desk;
    if (starts.has(entry.key)) measure("linecall:saved", starts.get(entry.key));
    starts.delete(entry.key);
    drafts((store) => store.removeItem(draftOf(entry)));
    if (done) say(done.text, { notice: "notice", saved: "saved" }[done.kind] ?? "plain");
    if (entry.kind === "undo" && done?.kind === "notice") tasks = tasks.filter((task) => task.assignment !== entry.assignment);
    // Where the page knew which answer was meant, its text has been in hand since the key was pressed.
    take(desk, done?.kind === "undone" && !entry.assignment ? done.assignment_id : null, entry);
    if (done?.contrast || desk.contrast) contrastIsDue = true;
  }

  // The server's list, without what is answered here already; what is on the page stays there, since it may be being
  // read. `first` comes to the front: an answer taken back.
  function take(desk, first, entry) {
    const before = current();
    until = desk.until;
    const known = new Map(tasks.map((task) => [task.assignment, task]));
    const settled = outbox.settled();
    // The receipt of an answer that is being taken back meanwhile must not take its text away again.
    const undone = entry && outbox.entries().some((other) => other.kind === "undo" && other.assignment === entry.assignment);
    if (entry && entry.kind !== "undo" && !undone) settled.add(entry.assignment);
    const listed = desk.tasks
      .map((task) => ({ ...known.get(task.assignment), ...task })) // a text that is here is not sent again
      .filter((task) => task.text !== undefined && !settled.has(task.assignment));
    // A text whose undo is still under way is not on the server's list yet.
    const undoing = new Set(outbox.entries().map((other) => (other.kind === "undo" ? other.assignment : null)));
    const kept = tasks.filter((task) => undoing.has(task.assignment) && !settled.has(task.assignment));
    const head = listed.find((task) => task.assignment === first) ?? (before && !settled.has(before.assignment) ? before : null);
    const all = [head, ...kept, ...listed].filter(Boolean);
    tasks = [...new Map(all.map((task) => [task.assignment, task])).values()];
    if (!outbox.settled().size || !tasks.length) progress = desk.progress;
    else progress = { ...desk.progress };
    if (desk.empty && !tasks.length) showEmpty(desk.empty);
    if (current()?.assignment !== before?.assignment) showItem(true);
    showProgress();
  }

  async function look() {
    let response;
    try {
      response = await fetch(urls.next, { headers: { Accept: "application/json" } });
    } catch {
      return;
    }
    if (response.status === 401) return report({ waiting: outbox.size, trouble: "signed-out" });
    if (!response.ok) return;
    const had = Boolean(current());
    const desk = await response.json();
    take(desk, null);
    if (desk.contrast && !outbox.size && byId("contrast-slot").hidden) openContrast();
    if (!had && current()) announce();
  }

  function announce() {
    if (!document.hidden || !state.prefs.notify || window.Notification?.permission !== "granted") return;
    const notice = new Notification(words.work_title, { body: fill(words.work_text, { project: state.name }), tag: urls.label });
    notice.onclick = () => window.focus();
  }

  // --- what the expert does -----------------------------------------------------------------------------------

  const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const draftOf = (task) => `linecall:note:${task.assignment}`;

  // A note that is being written outlives a reload where the browser allows it; where it doesn't, labelling goes on.
  function drafts(use) {
    try {
      return use(sessionStorage);
    } catch {
      return null;
    }
  }

  function noteDown(entry, at) {
    const saving = setTimeout(() => outbox.size && !outbox.failures && say(words.saving, "plain"), 300);
    starts.set(entry.key, at);
    outbox.add(entry).finally(() => clearTimeout(saving));
    showProgress();
  }

  function settle(entry, at) {
    const task = tasks.shift();
    const label = entry.kind === "answer" ? labels[entry.label] : undefined;
    entry.about = { text: task.text.slice(0, 300), label }; // so that it can still be told what it was
    recent.push({ ...task, note: note.value, flagged: flag.checked }); // an undo brings these back, too
    if (recent.length > 50) recent.shift();
    showItem(true);
    if (!current()) showWaitingForNext();
    channel?.postMessage({ assignment: task.assignment });
    noteDown(entry, at);
    requestAnimationFrame(() => setTimeout(() => measure("linecall:shown", at)));
    breaks.worked();
  }

  function answer(label, at = performance.now()) {
    if (blocked() || label >= labels.length) return;
    const seconds = Math.min(1e5, (watch.seen + (watch.since === null ? 0 : performance.now() - watch.since)) / 1000);
    paces = [...paces.slice(-29), Math.min(seconds, 600)];
    const { assignment } = current();
    settle({ kind: "answer", key: newKey(), assignment, label, note: note.value, flagged: flag.checked, seconds }, at);
  }

  function skip() {
    if (blocked()) return;
    const dialog = byId("skip-reasons");
    dialog.querySelector("form").reset();
    dialog.returnValue = "";
    dialog.showModal();
  }

  function skipped() {
    const dialog = byId("skip-reasons");
    const chosen = dialog.returnValue;
    const reason = chosen === "other" ? dialog.querySelector("input").value : chosen;
    if (!chosen || !current()) return byId("item").focus();
    settle({ kind: "skip", key: newKey(), assignment: current().assignment, reason }, performance.now());
  }

  function undo() {
    if (!byId("contrast-slot").hidden) return;
    const task = recent.pop();
    if (task) {
      tasks = [task, ...tasks.filter((other) => other.assignment !== task.assignment)];
      showItem(true);
      say(words.undone, "plain");
    }
    const about = task && { text: task.text.slice(0, 300) };
    noteDown({ kind: "undo", key: newKey(), assignment: task?.assignment ?? null, about }, performance.now());
  }

  const actions = {
    undo,
    skip,
    flag: () => {
      flag.checked = !flag.checked;
      say(flag.checked ? words.flag_on : words.flag_off, "plain");
    },
    note: () => note.focus(),
    history: () => location.assign(urls.history),
    search: () => {
      document.querySelector(".guideline details").open = true;
      byId("guideline-search").focus();
    },
    expand: () => {
      byId("item").classList.toggle("open");
      fold();
    },
  };
  labels.forEach((_, index) => (actions[`label${index + 1}`] = (at) => answer(index, at)));

  // --- keys, clicks, touch ------------------------------------------------------------------------------------

  const typing = (element) => element.matches?.("textarea, select, input:not([type=checkbox], [type=radio]), [contenteditable]");

  const keys = new Keys(state.prefs.keys, words, savePreferences);
  const breaks = new Breaks(state.prefs.break_minutes, (minutes) => {
    byId("break").hidden = false;
    byId("break").querySelector("p").textContent = fill(words.break, { n: minutes });
  });

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (typing(event.target)) {
      if (event.key === "Escape" && form.contains(event.target)) byId("item").focus();
      if (event.key === "Enter" && event.target.name === "other") {
        event.preventDefault(); // or Enter would press the form's first button, which is another reason
        byId("skip-reasons").querySelector("[value=other]").click();
      }
      return;
    }
    const open = document.querySelector("dialog[open]");
    if (open?.id === "skip-reasons") return chooseReason(event, open);
    if (open) return;
    if (event.key === "?") return event.preventDefault(), keys.toggle();
    if (!byId("contrast-slot").hidden) return; // the contrast card has keys of its own
    const action = keys.action(event.key);
    if (!action || !actions[action] || (!current() && action !== "undo" && action !== "history")) return;
    event.preventDefault();
    actions[action](event.timeStamp);
  });

  function chooseReason(event, dialog) {
    const button = dialog.querySelector(`[data-reason="${CSS.escape(event.key)}"]`);
    if (!button) return;
    event.preventDefault();
    button.click();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-action], [data-empty-action], #show-keys, [data-break]");
    if (!button) return;
    if (button.id === "show-keys") return keys.toggle();
    if (button.dataset.break) return endBreak(button.dataset.break);
    const action = button.dataset.action ?? button.dataset.emptyAction;
    if (action === "flag" || action === "note" || action === "history") return;
    event.preventDefault();
    actions[action]?.(event.timeStamp);
  });

  form.addEventListener("submit", (event) => event.preventDefault()); // Enter in a field is not an answer
  byId("skip-reasons").addEventListener("close", skipped);
  note.addEventListener("input", () => current() && drafts((store) => store.setItem(draftOf(current()), note.value)));

  function endBreak(choice) {
    byId("break").hidden = true;
    breaks.later();
    if (choice === "never") {
      breaks.minutes = 0;
      byId("suggest-breaks").checked = false;
      savePreferences({ break_minutes: 0 });
    }
    byId("item").focus();
  }

  async function savePreferences(changes) {
    const headers = { "Content-Type": "application/json", Accept: "application/json", "X-CSRF-Token": state.csrf };
    try {
      const response = await fetch(urls.preferences, { method: "POST", headers, body: JSON.stringify(changes) });
      if (response.ok) return (state.prefs = await response.json());
    } catch {
      // no network: said below
    }
    keys.status.textContent = words.not_saved;
    say(words.not_saved, "notice");
    return null;
  }

  byId("suggest-breaks").addEventListener("change", async (event) => {
    breaks.minutes = event.target.checked ? 45 : 0;
    await savePreferences({ break_minutes: breaks.minutes });
  });
  byId("swipe").addEventListener("change", (event) => savePreferences({ swipe: event.target.checked }));
  byId("notify").addEventListener("change", async (event) => {
    const wanted = event.target.checked;
    const allowed = !wanted || (await Notification.requestPermission()) === "granted";
    event.target.checked = wanted && allowed;
    savePreferences({ notify: event.target.checked });
  });

  // A swipe is mostly sideways and a third of the screen wide; up and down it scrolls. The text goes with the finger, and
  // the answer that letting go would give stands out.
  let touch = null;
  const swipes = () => state.prefs.swipe && labels.length === 2;
  const sideways = ({ clientX, clientY }) => {
    const across = clientX - touch.x;
    const far = Math.abs(across) > innerWidth / 3 && Math.abs(across) > 2 * Math.abs(clientY - touch.y);
    return { across, label: far ? Number(across > 0) : null };
  };

  function aim(across, label) {
    byId("item").style.translate = across ? `${Math.round(across / 2)}px` : "";
    for (const [index, button] of document.querySelectorAll("#answer .label-button").entries()) {
      button.classList.toggle("aimed", index === label);
    }
  }

  document.addEventListener("touchstart", (event) => {
    const inItem = event.target.closest?.("#item");
    touch = inItem && event.touches.length === 1 ? { x: event.touches[0].clientX, y: event.touches[0].clientY } : null;
  }, { passive: true });
  document.addEventListener("touchmove", (event) => {
    if (!touch || !swipes()) return;
    const { across, label } = sideways(event.touches[0]);
    aim(Math.abs(across) > 20 ? across : 0, label);
  }, { passive: true });
  document.addEventListener("touchend", (event) => {
    if (!touch || !swipes()) return;
    const { label } = sideways(event.changedTouches[0]);
    aim(0, null);
    touch = null;
    if (label !== null) answer(label);
  }, { passive: true });
  document.addEventListener("touchcancel", () => {
    if (touch) aim(0, null);
    touch = null;
  });

  // --- the contrast card --------------------------------------------------------------------------------------

  function openContrast() {
    contrastIsDue = false;
    const slot = byId("contrast-slot");
    htmx.ajax("GET", urls.contrast, { target: slot, swap: "innerHTML" }).then(() => {
      if (!slot.querySelector("#contrast")) return;
      byId("work").hidden = true;
      byId("empty").hidden = true;
      byId("to-contrast")?.remove();
      slot.hidden = false;
      slot.querySelector("#contrast").focus({ preventScroll: true });
      bringIntoView(slot, innerHeight);
    });
  }

  document.addEventListener("linecall:said", (event) => say(event.detail.value));
  document.addEventListener("htmx:afterSwap", () => {
    const slot = byId("contrast-slot");
    if (slot.hidden || slot.querySelector("#contrast")) return;
    slot.hidden = true;
    showItem(true);
    look();
  });

  // --- other tabs, leaving, coming back -----------------------------------------------------------------------

  channel?.addEventListener("message", ({ data }) => {
    const here = current()?.assignment === data.assignment;
    tasks = tasks.filter((task) => task.assignment !== data.assignment);
    if (!here) return;
    showItem(false);
    say(words.other_tab, "notice");
    if (!current()) look();
  });

  document.addEventListener("visibilitychange", () => {
    if (document.hidden && watch.since !== null) watch = { since: null, seen: watch.seen + performance.now() - watch.since };
    else if (!document.hidden && watch.since === null) watch = { ...watch, since: performance.now() };
  });

  window.addEventListener("pagehide", () => {
    if (outbox.size) return; // what waits still needs its items
    const data = new FormData();
    data.set("csrf_token", state.csrf);
    if (until) data.set("until", until);
    navigator.sendBeacon(urls.release, data);
  });
  window.addEventListener("pageshow", (event) => event.persisted && look());
  window.addEventListener("resize", () => current() && fold());

  document.querySelector(".top-user form")?.addEventListener("submit", (event) => {
    if ((outbox.size || outbox.aside.size) && !window.confirm(words.leave)) event.preventDefault();
  });

  function measure(name, start) {
    performance.measure(name, { start, end: performance.now() });
  }

  // --- begin --------------------------------------------------------------------------------------------------

  byId("show-keys").hidden = false;
  document.querySelector("#keys .swipe").hidden = labels.length !== 2;
  document.querySelector(".notify").hidden = !("Notification" in window);
  keys.show();
  const settled = outbox.settled();
  tasks = tasks.filter((task) => !settled.has(task.assignment));
  showItem(true);
  if (!current() && settled.size) showWaitingForNext();
  showProgress();
  aside.show();
  if (outbox.size) outbox.flush();
  else if (contrastIsDue) openContrast();
  setInterval(() => !current() && !outbox.size && look(), 15000);
})();
