"use strict";
// Hover and keys tell the numbers of a point; buttons and switches hide series. No library, no network.
(() => {
  const tip = document.getElementById("tip");
  const NEAR = 28; // in units of a chart

  function tell(text, x, y) {
    tip.textContent = text;
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.max(4, Math.min(x + 14, innerWidth - width - 4));
    tip.style.left = `${left}px`;
    tip.style.top = `${y - height - 12 > 4 ? y - height - 12 : y + 18}px`;
  }

  function hush() {
    tip.hidden = true;
    document.querySelectorAll(".here").forEach((each) => each.classList.remove("here"));
  }

  function light(point) {
    hush();
    point.classList.add("here");
    const box = point.getBoundingClientRect();
    tell(point.dataset.tip, box.x + box.width / 2, box.y);
  }

  const place = (point) => [Number(point.getAttribute("x")), Number(point.getAttribute("y"))];
  const isShown = (series) => !series.classList.contains("off") && !series.classList.contains("gone");
  const pointsOf = (series) => [...series.querySelectorAll(".point")];

  function watch(svg) {
    const shown = () => [...svg.querySelectorAll(".series")].filter(isShown);
    svg.setAttribute("tabindex", "0");
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const unit = svg.viewBox.baseVal.width / box.width;
      const at = [(event.clientX - box.x) * unit, (event.clientY - box.y) * unit];
      let best = null, least = NEAR;
      for (const point of shown().flatMap(pointsOf)) {
        const [x, y] = place(point);
        const far = Math.hypot(x - at[0], y - at[1]);
        if (far < least) [best, least] = [point, far];
      }
      if (best) light(best); else hush();
    });
    svg.addEventListener("pointerleave", hush);
    svg.addEventListener("blur", hush);
    svg.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
      if (event.key === "Escape") hush();
      if (!(event.key in steps)) return;
      const lines = shown();
      if (!lines.length) return;
      event.preventDefault();
      const here = svg.querySelector(".here");
      if (!here) return light(pointsOf(lines[0])[0]);
      const [down, along] = steps[event.key];
      const now = lines.indexOf(here.closest(".series"));
      const next = pointsOf(lines[(now + down + lines.length) % lines.length]);
      const own = pointsOf(lines[now]);
      if (along) return light(own[Math.max(0, Math.min(own.length - 1, own.indexOf(here) + along))]);
      const [x] = place(here);
      const away = (point) => Math.abs(place(point)[0] - x);
      light(next.reduce((one, other) => (away(other) < away(one) ? other : one)));
    });
  }

  function connect(figure) {
    const lines = [...figure.querySelectorAll("svg .series")];
    figure.querySelectorAll(".legend button").forEach((button, number) => {
      button.addEventListener("click", () => {
        const pressed = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(pressed));
        lines[number].classList.toggle("off", !pressed);
        hush();
      });
      const only = (on) => {
        figure.classList.toggle("faded", on && isShown(lines[number]));
        lines[number].classList.toggle("lit", on);
      };
      for (const [name, on] of [["pointerenter", true], ["focus", true], ["pointerleave", false], ["blur", false]])
        button.addEventListener(name, () => only(on));
    });
  }

  document.querySelectorAll("figure.chart").forEach((figure) => {
    watch(figure.querySelector(":scope > svg"));
    connect(figure);
  });

  document.querySelectorAll("td[data-tip]").forEach((cell) => {
    cell.addEventListener("pointerenter", (event) => tell(cell.dataset.tip, event.clientX, event.clientY));
    cell.addEventListener("pointerleave", hush);
  });

  const switches = document.querySelector(".switches");
  if (switches) {
    switches.hidden = false;
    switches.addEventListener("change", (event) => {
      const { value, checked } = event.target;
      for (const each of document.querySelectorAll("[data-method]"))
        if (each.dataset.method === value) (each.closest("li") ?? each).classList.toggle("gone", !checked);
      hush();
    });
  }
  addEventListener("scroll", hush, { passive: true });
})();
