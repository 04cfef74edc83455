// Shows the copy that the order page or the eSIM page left on this phone, when the shop cannot be reached.
//
// The pages keep and drop their copies themselves (shop.js); here they are only shown, and dropped when the shop says
// that the page is not this visitor's any more. Everything but a visit to one of these pages passes untouched.
// Lines that are a comment are left out when this file is served, so write none behind code.
"use strict";

const PAGES = /^\/[\w-]+\/(orders|account\/esims)\/\w+$/;
// How long the shop may take, in milliseconds, before somebody with a copy is shown that one.
const PATIENCE = 4000;

// A new version of this file takes over at once: it has nothing in memory that an open page could miss.
self.addEventListener("install", () => self.skipWaiting());

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.mode === "navigate" && request.method === "GET" && PAGES.test(url.pathname)) {
    event.respondWith(answer(event, url));
  }
});

async function answer(event, url) {
  const copy = await caches.match(url.pathname, { ignoreVary: true }).catch(() => undefined);
  const asked = ask(event.request, url);
  // Also when the copy was shown for want of patience, what the shop says in the end counts.
  event.waitUntil(asked.catch(() => {}));
  if (!copy) return asked;
  return Promise.race([
    asked.then((response) => (response.status < 500 ? response : copy), () => copy),
    new Promise((resolve) => setTimeout(resolve, PATIENCE, copy)),
  ]);
}

async function ask(request, url) {
  const response = await fetch(request);
  // A redirect leads to signing in; only the one that takes a mailed key out of the address leads back here.
  const gone = response.type === "opaqueredirect" ? !url.searchParams.has("key") : [401, 403, 404, 410].includes(response.status);
  if (gone) await (await caches.open("kept")).delete(url.pathname, { ignoreVary: true });
  return response;
}
