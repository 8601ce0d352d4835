// The window's only script. Everything works without it; with it the page follows the checks without reloading,
// tells the host's page how it went, and goes on by itself where a sign-in was interrupted.
"use strict";
(() => {
  const { hostOrigin, status, offline, retry, retryS } = document.body.dataset;
  const panel = document.querySelector("[data-panel]");
  const said = document.querySelector("[data-said]");
  const CONTINUED = "regrant-continued";
  const LEADS_AWAY = /^\/connect\/[^/]+$|\/again$/; // to the provider
  const ANSWERS_WITHIN_MS = 5000;
  const SILENT_AT_MOST_MS = 25000;
  const [, attempt] = location.pathname.match(/^\/connect\/attempts\/([0-9a-f-]{36})$/) || [];

  const card = () => panel.querySelector("[data-screen]");
  const isFinal = () => card().dataset.final === "yes";

  // The host's page hears how far it is and how it ended: no more than its own backend can ask.
  let told = "";

  function tellHost({ step, outcome } = card().dataset) {
    if (!hostOrigin || !window.opener || told === `${step} ${outcome}` || !(step || outcome)) return;
    told = `${step} ${outcome}`;
    const known = Object.entries({ attempt_id: attempt, step, outcome }).filter(([, value]) => value);
    window.opener.postMessage({ type: "regrant:attempt", ...Object.fromEntries(known) }, hostOrigin);
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
    if (LEADS_AWAY.test(new URL(event.target.action).pathname)) tellHost({ step: "provider_page" });
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

  // Where the clipboard isn't ours to write, the link is selected, and the person copies it.
  function offerCopy(button) {
    const link = panel.querySelector(".link");
    button.hidden = false;
    button.parentElement.querySelector("[data-without-script]").hidden = true;
    button.addEventListener("click", async () => {
      link.select();
      try {
        await navigator.clipboard.writeText(link.value);
      } catch {
        return;
      }
      button.textContent = button.dataset.copied;
      say(button.dataset.copied);
    });
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
    for (const button of panel.querySelectorAll("[data-copy]")) offerCopy(button);
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
    const another = before !== card().dataset.screen;
    if (another && (focused || card().dataset.outcome)) panel.querySelector("h1").focus();
    else if (focused) (panel.querySelector("[data-primary] .button") || panel.querySelector("h1")).focus();
    say(answer.said);
  }

  // By server-sent events. Where they are refused, kept back by a proxy, or fail twice, by asking.
  function follow() {
    if (!window.EventSource) return ask();
    const source = new EventSource(status.replace(/status$/, "events"));
    let errors = 0;
    let patience;
    const stop = () => { clearTimeout(patience); source.close(); };
    const giveUp = () => { stop(); ask(); };
    const wait = (ms) => { clearTimeout(patience); patience = setTimeout(giveUp, ms); };
    const heard = () => { errors = 0; wait(SILENT_AT_MOST_MS); };
    source.addEventListener("still", heard);
    source.addEventListener("screen", (event) => {
      heard();
      show(JSON.parse(event.data));
      if (isFinal()) stop();
    });
    source.addEventListener("gone", () => { stop(); location.reload(); }); // the page itself says why
    source.addEventListener("error", () => {
      errors += 1;
      if (source.readyState === EventSource.CLOSED || errors > 1) giveUp();
      else wait(ANSWERS_WITHIN_MS);
    });
    wait(ANSWERS_WITHIN_MS);
  }

  async function ask() {
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
