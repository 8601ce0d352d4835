// Drivewell's only script: live rows, and the connect window as a pop-up. Without it the menu's forms lead on by themselves.
"use strict";
(() => {
  const rows = document.getElementById("rows");
  const empty = document.getElementById("empty");
  const notices = document.getElementById("notices");
  const said = document.getElementById("said");
  const CLOSED_EVERY_MS = 400;

  // Live updates.

  function rowOf(html) {
    const holder = document.createElement("ul");
    holder.innerHTML = html; // our own server's template; everything foreign in it is escaped there
    return holder.firstElementChild;
  }

  function showRow({ id, html }) {
    const row = rowOf(html);
    const old = document.getElementById(`row-${id}`);
    if (!old) rows.append(row);
    else if (old.dataset.version !== row.dataset.version) {
      const menu = old.querySelector("summary");
      const focused = document.activeElement === menu;
      row.querySelector("details").open = old.querySelector("details").open;
      row.classList.add("changed");
      old.replaceWith(row);
      if (focused) row.querySelector("summary").focus();
    }
    empty.hidden = rows.children.length > 0;
  }

  const live = new EventSource("/connections/events");
  live.addEventListener("row", (event) => showRow(JSON.parse(event.data)));
  live.addEventListener("notices", (event) => { notices.innerHTML = JSON.parse(event.data).html; });
  live.addEventListener("gone", (event) => {
    document.getElementById(`row-${JSON.parse(event.data).id}`)?.remove();
    empty.hidden = rows.children.length > 0;
  });

  // The connect window.

  async function connect(form) {
    const left = window.screenX + (window.outerWidth - 560) / 2;
    // Opened by the click itself, else a blocker takes it; the address comes a moment later.
    const popup = window.open("", "regrant", `popup,width=560,height=760,left=${left},top=${window.screenY + 60}`);
    let answer;
    try {
      answer = await fetch(form.action, { method: "POST", headers: { Accept: "application/json" } });
    } catch {
      popup?.close();
      return say("Drivewell can't be reached at the moment.");
    }
    const told = await answer.json();
    if (!answer.ok) {
      popup?.close();
      return say(told.detail);
    }
    if (!popup) return window.location.assign(told.url); // blocked: the whole page goes, and comes back
    popup.location.replace(told.url);
    popup.focus();
    watch(popup, told.attempt_id);
  }

  // Whether the window came to an end is the backend's to know: a closed one is only told.
  function watch(popup, attempt) {
    const timer = setInterval(() => {
      if (!popup.closed) return;
      clearInterval(timer);
      fetch(`/attempts/${attempt}/cancel`, { method: "POST", keepalive: true });
    }, CLOSED_EVERY_MS);
  }

  function say(text) { said.textContent = text; }

  async function post(address, button) {
    button.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(address, { method: "POST" });
      return await answer.json();
    } catch {
      return { said: "That didn't work." };
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    event.preventDefault();
    const button = event.submitter || form.querySelector("button");
    form.closest("details")?.removeAttribute("open");
    if ("connect" in form.dataset) return connect(form);
    if ("sync" in form.dataset) {
      const { invoices } = await post(form.action, button);
      return say(invoices === null ? "The sync failed: the list says why." : `Synced: ${invoices ?? 0} invoices.`);
    }
    const { control } = button.dataset;
    const realm = document.getElementById("realm").value;
    const told = await post(`/demo/${control}?realm=${encodeURIComponent(realm)}`, button);
    say(told.said || told.detail);
  });

  // The menu closes by Escape, and when something else is chosen.
  document.addEventListener("keydown", (event) => {
    const open = document.querySelector(".menu[open]");
    if (event.key !== "Escape" || !open) return;
    open.removeAttribute("open");
    open.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll(".menu[open]")) {
      if (!menu.contains(event.target)) menu.removeAttribute("open");
    }
  });
})();
