// <regrant-connect>: a button for a host's page that opens the connect window, and tells the page how it goes.
//
//   <script src="https://connect.example.com/connect/element.js" defer></script>
//   <regrant-connect src="/connections/42/attempts" label="Reconnect"> what works without script </regrant-connect>
//
// It asks nobody anything but the host's own backend, at `src`, for a link; keeps nothing; and needs no style or script
// inside the page. Its attributes, events and parts: docs/integrate.md.
"use strict";
(() => {
  const NAME = "regrant-connect";
  if (customElements.get(NAME)) return;
  if (!document.currentScript) throw new Error(`${NAME}: load this script by a tag, and not as a module`);

  const WORDS = {}; // by language; they are put in when the script is served
  const HOME = new URL(document.currentScript.src).origin; // the window comes from where this script comes from
  const LOOK_EVERY_MS = 400;
  const WIDTH = 560;
  const HEIGHT = 760;

  // A style sheet of its own, adopted: a page that allows no inline style allows this.
  const STYLE = new CSSStyleSheet();
  STYLE.replaceSync(`
    :host { display: inline-block; }
    :host([hidden]), [hidden] { display: none !important; }
    button {
      box-sizing: border-box; inline-size: 100%; min-block-size: 2.75rem; margin: 0; padding: .55em 1.15em;
      border: 1px solid transparent; border-radius: var(--regrant-radius, .6rem);
      background: var(--regrant-accent, #1f4fd8); color: var(--regrant-on-accent, #fff);
      font: inherit; font-weight: var(--regrant-weight, 600); line-height: 1.3; cursor: pointer;
    }
    button:hover { background: var(--regrant-accent-strong, #173eae); }
    button:focus-visible { outline: 3px solid var(--regrant-focus, var(--regrant-accent, #1f4fd8)); outline-offset: 2px; }
    button[aria-busy=true] { cursor: progress; }
    p { margin: .5em 0; font-size: .9em; line-height: 1.4; }
    p:empty { display: none; }
    @media (forced-colors: active) { button { border-color: ButtonText; } }
  `);

  function made(tag, part, inside) {
    const element = document.createElement(tag);
    element.setAttribute("part", part);
    inside.append(element);
    return element;
  }

  // The middle of the host's window: where the person looks.
  function features() {
    const left = window.screenX + (window.outerWidth - WIDTH) / 2;
    const top = window.screenY + Math.max(0, (window.outerHeight - HEIGHT) / 3);
    return `popup,width=${WIDTH},height=${HEIGHT},left=${Math.round(left)},top=${Math.round(top)}`;
  }

  // What the host's backend makes of POST `src`: `url`, or the API's own answer passed on.
  async function fetched(src) {
    const answer = await fetch(src, { method: "POST", headers: { Accept: "application/json" } });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.detail || told.title || `${answer.status}`);
    return told;
  }

  class RegrantConnect extends HTMLElement {
    static observedAttributes = ["label", "lang"];

    #box = document.createElement("div");
    #button = made("button", "button", this.#box);
    #message = made("p", "message", this.#box);
    #here = made("button", "button here", this.#box);
    #said = "";
    #opening = false;
    #watched = null; // the window that is open, or may be: `{ popup, attempt_id, step, outcome, end }`

    constructor() {
      super();
      for (const button of [this.#button, this.#here]) button.type = "button";
      this.#message.setAttribute("role", "status");
      this.#here.hidden = true;
      this.#button.addEventListener("click", () => this.open());
      this.#here.addEventListener("click", () => this.#leave());
      const root = this.attachShadow({ mode: "open", delegatesFocus: true });
      root.adoptedStyleSheets = [STYLE];
      root.append(this.#box);
    }

    connectedCallback() { this.#render(); }
    attributeChangedCallback() { if (this.isConnected) this.#render(); }

    // What a click does. A page that calls it has to do so in a click of its own, else the window is blocked.
    async open() {
      if (this.#opening) return;
      if (this.#watched && !this.#watched.popup.closed) return this.#watched.popup.focus();
      if (this.getAttribute("mode") === "redirect") return this.#leave();
      // Opened by the click itself, else a blocker takes it; its address comes a moment later.
      const popup = window.open("", "_blank", features());
      if (!popup || popup.closed) return this.#fail("blocked");
      popup.document.title = popup.document.body.textContent = this.#words.opening;
      const handoff = await this.#handoff();
      if (!handoff) return popup.close();
      this.#follow(popup, handoff.attempt_id);
      popup.location.replace(handoff.url);
      popup.focus();
      this.#say("open");
      this.#tell("opened", { mode: "popup" });
    }

    // In this tab: the window leads back to the attempt's return address by itself.
    async #leave() {
      const handoff = await this.#handoff();
      if (!handoff) return;
      this.#tell("opened", { mode: "redirect", ...(handoff.attempt_id && { attempt_id: handoff.attempt_id }) });
      location.assign(handoff.url);
    }

    // A link and its attempt, made when it is needed: links are short-lived. Nothing where that failed, which is told.
    async #handoff() {
      if (this.#opening) return null;
      this.#busy(true);
      try {
        const src = this.getAttribute("src");
        const given = this.getHandoff ? await this.getHandoff() : src ? await fetched(src) : this.getAttribute("handoff");
        const { url, handoff, attempt_id } = typeof given === "string" ? { url: given } : given || {};
        const address = new URL(url || handoff?.url);
        if (address.origin !== HOME) throw new Error(`the link leads to ${address.origin} instead of ${HOME}`);
        if (WORDS[this.#language]) address.searchParams.set("lang", this.#language); // the window speaks as the page does
        return { url: address.href, attempt_id };
      } catch (error) {
        this.#fail("handoff", error.message);
        return null;
      } finally {
        this.#busy(false);
      }
    }

    // Hears of the window by its messages, and looks whether it is there. It goes on where the page moves the element.
    #follow(popup, attempt_id) {
      this.#watched?.end.abort();
      const end = new AbortController();
      const watched = { popup, attempt_id, step: "", outcome: "", end };
      this.#watched = watched;
      window.addEventListener("message", (event) => {
        // Whoever has a handle on this page can send it anything: only the window itself, on its own pages, counts.
        if (event.source !== popup || event.origin !== HOME || event.data?.type !== "regrant:attempt") return;
        this.#hear(event.data);
      }, { signal: end.signal });
      const timer = setInterval(() => {
        if (!popup.closed) return;
        clearInterval(timer);
        this.#close(watched);
      }, LOOK_EVERY_MS);
      end.signal.addEventListener("abort", () => clearInterval(timer));
    }

    #hear({ attempt_id, step = "", outcome = "" }) {
      const watched = this.#watched;
      const before = { ...watched };
      Object.assign(watched, { attempt_id: attempt_id || watched.attempt_id, step: step || watched.step, outcome });
      if (step && step !== before.step) this.#tell("step");
      if (outcome === before.outcome) return;
      this.#say(outcome || "open");
      if (outcome) this.#tell(outcome);
    }

    // A provider's page may cut the tie (Cross-Origin-Opener-Policy), and then the window only looks closed: it is
    // certain where the last page that we heard of was ours. In doubt it is told again whenever the person comes back.
    #close(watched) {
      const certain = watched.step !== "" && watched.step !== "provider_page";
      const tell = () => this.#tell("closed", { certain, ...(watched.outcome && { outcome: watched.outcome }) });
      if (certain) watched.end.abort();
      else window.addEventListener("focus", tell, { signal: watched.end.signal });
      if (certain && !watched.outcome) this.#say("closed");
      tell();
    }

    // How it is shown.

    get #language() {
      const tag = this.closest("[lang]")?.lang || document.documentElement.lang || navigator.language;
      return tag.split("-")[0].toLowerCase();
    }

    get #words() { return WORDS[this.#language] || WORDS.en; }

    #render() {
      const words = this.#words;
      this.#box.lang = words.language;
      this.#box.dir = words.direction;
      this.#button.textContent = this.getAttribute("label") || words.connect;
      this.#here.textContent = words.here;
      this.#message.textContent = this.#said && words[this.#said];
    }

    #say(said) {
      this.#said = said;
      this.#here.hidden = said !== "blocked";
      this.#render();
    }

    #busy(busy) {
      this.#opening = busy;
      for (const button of [this.#button, this.#here]) button.setAttribute("aria-busy", busy);
    }

    // A page that says it in words of its own calls `preventDefault()`.
    #fail(why, message = "") {
      if (!this.#tell("failed", { why, message })) return;
      this.#say(why === "blocked" ? "blocked" : "failed");
      if (why === "blocked") this.#here.focus();
    }

    #tell(name, more = {}) {
      const { attempt_id, step } = this.#watched || {};
      const detail = { ...(attempt_id && { attempt_id }), ...(step && { step }), ...more };
      const told = { detail, bubbles: true, composed: true, cancelable: name === "failed" };
      return this.dispatchEvent(new CustomEvent(`regrant:${name}`, told));
    }
  }

  customElements.define(NAME, RegrantConnect);
})();
