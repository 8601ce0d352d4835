// Drivewell's only script of its own: live rows, and what to do with what regrant's element tells. Without either the
// menu's forms lead on by themselves.
"use strict";
(() => {
  const rows = document.getElementById("rows");
  const empty = document.getElementById("empty");
  const notices = document.getElementById("notices");
  const said = document.getElementById("said");

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
      // The element stays the same one: it may have a window open, and hears of it.
      const element = old.querySelector("regrant-connect");
      if (element) row.querySelector("regrant-connect")?.replaceWith(element);
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

  // The connect window, by regrant's element; what it tells.

  document.addEventListener("regrant:opened", (event) => event.target.closest("details")?.removeAttribute("open"));
  document.addEventListener("regrant:failed", (event) => {
    if (event.detail.why === "handoff") say(event.detail.message);
  });

  // Closed before the end: given up, unless the person may still be at the provider's pages. The attempt's deadline
  // sees to that; and the list follows the attempt by the backend's own events, whatever becomes of the window.
  document.addEventListener("regrant:closed", ({ detail }) => {
    if (!detail.certain || detail.outcome) return;
    fetch(`/attempts/${detail.attempt_id}/cancel`, { method: "POST", keepalive: true });
  });

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
