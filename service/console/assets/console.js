// The console's only script of our own. Without it everything works by links and forms; with it the picture is live.
"use strict";
(() => {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const MOST_TRAVELLERS = 24; // at once: a wave is seen as a stream, and costs no more

  const picture = () => document.querySelector("[data-picture]");

  function set(element, attribute, value) {
    if (element && element.getAttribute(attribute) !== value) element.setAttribute(attribute, value);
  }

  function write(element, text) {
    if (element && element.textContent !== text) element.textContent = text;
  }

  // A snapshot holds everything that changes, so one that was lost is made good by the next; an older one is dropped.
  function show(told) {
    const svg = picture();
    if (!svg || told.at < svg.dataset.at) return;
    svg.dataset.at = told.at;
    for (const [state, node] of Object.entries(told.nodes)) {
      const drawn = svg.querySelector(`[data-node="${state}"]`);
      if (!drawn) continue;
      write(drawn.querySelector("[data-count]"), node.count);
      write(drawn.querySelector("[data-share]"), node.share);
      drawn.classList.toggle("some", node.some);
      set(drawn, "aria-label", node.said);
    }
    for (const [id, arrow] of Object.entries(told.arrows)) {
      const drawn = svg.querySelector(`[data-arrow="${id}"]`);
      const label = svg.querySelector(`[data-label="${id}"]`);
      if (!drawn || !label) continue;
      set(drawn.querySelector(".line"), "stroke-width", String(arrow.width));
      set(drawn, "aria-label", arrow.said);
      drawn.classList.toggle("moves", arrow.moves);
      label.classList.toggle("moves", arrow.moves);
      if (!arrow.text) continue; // it fades with its last word
      write(label.querySelector("text"), arrow.text);
      const half = arrow.text.length * 3.7 + 8;
      set(label.querySelector("rect"), "x", String(-half));
      set(label.querySelector("rect"), "width", String(2 * half));
    }
  }

  // One connector that changes its state: a dot that goes along the arrow.
  function travel(told) {
    const svg = picture();
    if (!svg || calm.matches || document.hidden) return;
    const layer = svg.querySelector("[data-travellers]");
    const line = svg.querySelector(`[data-arrow="${told.arrow}"] .line`);
    if (!line || layer.childElementCount >= MOST_TRAVELLERS) return;
    const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    dot.setAttribute("class", `traveller ${told.to}`);
    dot.setAttribute("r", "5.5");
    layer.append(dot);
    const length = line.getTotalLength();
    const takes = Math.min(1400, 500 + length * 1.6);
    let began;
    function step(now) {
      began ??= now;
      const gone = Math.min(1, (now - began) / takes);
      const eased = gone < 0.5 ? 2 * gone * gone : 1 - (2 - 2 * gone) ** 2 / 2;
      const at = line.getPointAtLength(length * eased);
      dot.setAttribute("cx", at.x);
      dot.setAttribute("cy", at.y);
      if (gone < 1) requestAnimationFrame(step);
      else dot.remove();
    }
    requestAnimationFrame(step);
  }

  const heard = { picture: show, moved: travel };

  document.addEventListener("htmx:sseBeforeMessage", (event) => {
    const hear = heard[event.detail.type];
    if (!hear) return;
    event.preventDefault(); // it isn't markup
    hear(JSON.parse(event.detail.data));
  });

  function lamp(on) {
    for (const one of document.querySelectorAll("[data-live]")) {
      one.classList.toggle("on", on);
      write(one, on ? "live" : "connecting …");
    }
  }
  document.addEventListener("htmx:sseOpen", () => lamp(true));
  document.addEventListener("htmx:sseError", () => lamp(false));

  // The slider says the time that it stands for, and goes there when it is let go.
  document.addEventListener("input", (event) => {
    const slider = event.target.closest("[data-hours-ago]");
    if (!slider) return;
    const then = new Date(Date.now() - Number(slider.max - slider.value) * 3600_000);
    const output = slider.form.querySelector("output");
    output.textContent = slider.value === slider.max ? "now" : `${then.toISOString().slice(0, 16).replace("T", " ")} UTC`;
  });
  document.addEventListener("change", (event) => {
    const slider = event.target.closest("[data-hours-ago]");
    if (slider) slider.form.requestSubmit();
  });

  // Copies what stands in the field beside the button.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copies]");
    if (!button) return;
    const field = document.getElementById(button.dataset.copies);
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Press Ctrl-C"; // the browser forbids it; the text is selected
    }
  });
  for (const button of document.querySelectorAll("[data-copies]")) button.hidden = false;
})();
