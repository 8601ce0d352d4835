// The window's only script. Everything works without it; with it the page follows the checks without reloading,
// tells the host's page how it went, and goes on by itself where a sign-in was interrupted.
"use strict";
(() => {
  const { hostOrigin, status, offline, retry, retryS } = document.body.dataset;
  const panel = document.querySelector("[data-panel]");
  const said = document.querySelector("[data-said]");
  const CONTINUED = "regrant-continued";

  const card = () => panel.querySelector("[data-screen]");
  const isFinal = () => card().dataset.final === "yes";

  function tellHost() {
    const { outcome } = card().dataset;
    if (!outcome || !hostOrigin || !window.opener) return;
    window.opener.postMessage({ type: "regrant:attempt", outcome }, hostOrigin);
  }

  // In a pop-up "back" means closing it: the host's page is still open behind it.
  function leave(event) {
    if (!window.opener) return;
    event.preventDefault();
    window.close();
  }

  // A second click would spend the link again and land on "can't be used any more".
  function once(event) {
    const button = event.target.querySelector("button");
    if (button.getAttribute("aria-busy") === "true") event.preventDefault();
    button.setAttribute("aria-busy", "true");
  }

  // Goes on by itself once a tab: a provider that interrupts every time must not make a circle.
  function continueOnce(form) {
    try {
      if (sessionStorage.getItem(CONTINUED)) return;
      sessionStorage.setItem(CONTINUED, "yes");
    } catch {
      return; // storage is blocked: the button is there
    }
    form.requestSubmit();
  }

  function arrange() {
    for (const form of panel.querySelectorAll("form")) form.addEventListener("submit", once);
    for (const link of panel.querySelectorAll("[data-back]")) link.addEventListener("click", leave);
    if (window.opener) {
      for (const button of panel.querySelectorAll("[data-close]")) {
        button.hidden = false;
        button.addEventListener("click", leave);
        button.parentElement.querySelector("[data-without-script]").hidden = true;
      }
    }
    const byItself = panel.querySelector("form[data-by-itself]");
    if (byItself) continueOnce(byItself);
    tellHost();
  }

  function say(text) {
    if (said.textContent !== text) said.textContent = text;
  }

  function show(answer) {
    const before = card().dataset.screen;
    const focused = panel.contains(document.activeElement);
    panel.innerHTML = answer.html; // our own server's template; everything foreign in it is escaped there
    document.title = answer.title;
    arrange();
    if (answer.final || (focused && before !== card().dataset.screen)) panel.querySelector("h1").focus();
    say(answer.said);
  }

  async function follow() {
    let etag = "";
    for (let asked = 1; !isFinal(); asked += 1) {
      await new Promise((resume) => setTimeout(resume, asked < 30 ? 700 : 3000));
      let answer;
      try {
        answer = await fetch(status, { headers: etag ? { "If-None-Match": etag } : {}, cache: "no-store" });
        if (answer.status === 200) {
          etag = answer.headers.get("ETag") || "";
          show(await answer.json());
        }
      } catch {
        say(offline); // the network is away: ask again
        continue;
      }
      if (answer.status === 404) return location.reload(); // the page itself says why
      if (answer.status >= 500) say(offline);
    }
  }

  window.addEventListener("pageshow", (event) => {
    if (event.persisted) for (const button of panel.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  });
  arrange();
  if (status) follow();
  if (retryS) setTimeout(() => location.replace(retry || location.href), retryS * 1000);
})();
