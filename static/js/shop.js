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

// After a form came back with mistakes, the summary of them is what to read next.
document.addEventListener("htmx:after:swap", () => {
  document.querySelector(".error-summary")?.focus();
});
