// The few things that HTML alone cannot do. Every page works without this file.
"use strict";

// <button data-copy="text" data-copied="Copied">: copies, and says so to eyes and screen readers for two seconds.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    // Without HTTPS there is no clipboard: mark the code so that the phone's own menu can copy it.
    const code = button.parentElement.querySelector(".code");
    if (code) getSelection().selectAllChildren(code);
    return;
  }
  const label = button.textContent;
  button.setAttribute("aria-live", "polite");
  button.textContent = button.dataset.copied;
  setTimeout(() => { button.textContent = label; }, 2000);
});

// The language menu closes when the visitor goes on elsewhere.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll(".languages[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

// After a swap the mistakes in a form are what to read next; otherwise the place in the page stays where it was.
let place = "";
document.addEventListener("htmx:before:swap", () => { place = document.activeElement.id; });
document.addEventListener("htmx:after:swap", () => {
  const summary = document.querySelector(".error-summary:not([data-read])");
  if (summary) {
    summary.dataset.read = "";
    summary.focus();
  } else if (place && document.activeElement === document.body) {
    document.getElementById(place)?.focus();
  }
});

// No answer, or none in time: says so where the answer was to appear, keeps what was typed, offers to try again.
const complaints = new Map();
const complain = ({ detail: { ctx } }) => {
  const source = ctx?.sourceElement;
  const status = ctx?.response?.status ?? 0;
  if (!source?.isConnected || complaints.has(source) || (status && status < 500 && status !== 429)) return;
  const polls = ctx.sourceEvent.type === "every";
  const note = document.getElementById("no-answer").content.firstElementChild.cloneNode(true);
  const why = polls ? "waiting" : status === 429 ? "busy" : "silent";
  for (const line of note.querySelectorAll("[data-why]")) line.hidden = line.dataset.why !== why;
  const button = note.querySelector("button");
  button.parentElement.hidden = polls;
  button.addEventListener("click", () => {
    settle(source);
    if (source.matches("form")) source.requestSubmit();
    else source.dispatchEvent(new Event("retry"));
  });
  if (source.matches("form")) source.append(note);
  else source[polls ? "before" : "after"](note);
  complaints.set(source, note);
};
const settle = (source) => {
  complaints.get(source)?.remove();
  complaints.delete(source);
};
document.addEventListener("htmx:error", complain);
document.addEventListener("htmx:response:error", complain);
document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
  if (ctx.response.status < 500) settle(ctx.sourceElement);
});
addEventListener("online", () => {
  for (const note of complaints.values()) note.querySelector("button").click();
});

// Back from the payment page to a page that the browser has kept: what it says of the order may be old by now.
addEventListener("pageshow", (event) => {
  if (event.persisted && document.querySelector(".htmx-request")) location.reload();
});

// <div data-keep="address of a copy of this page">: kept for when the shop cannot be reached (worker.js shows it then).
// An empty address says that there is nothing to keep any more.
async function keepCopy() {
  const address = document.querySelector("[data-keep]")?.dataset.keep;
  if (address === undefined || !navigator.serviceWorker) return;
  const page = location.pathname;
  const kept = await caches.open("kept");
  if (!address) return void (await kept.delete(page, { ignoreVary: true }));
  await navigator.serviceWorker.register("/worker.js", { scope: new URL(".", location).pathname });
  // The address changes with what the copy holds.
  const old = await kept.match(page, { ignoreVary: true });
  if (old?.url === new URL(address, location).href) return;
  const copy = await fetch(address);
  if (copy.ok && !copy.redirected) await kept.put(page, copy);
}
// Where the browser allows no copy, the page is what it would be without this.
for (const moment of ["DOMContentLoaded", "htmx:after:swap"]) {
  document.addEventListener(moment, () => keepCopy().catch(() => {}));
}

// Whoever has signed out, or signed in after somebody else, finds no copies of what the one before had.
if (location.hash === "#fresh") {
  globalThis.caches?.delete("kept");
  history.replaceState(history.state, "", location.pathname + location.search);
}
