// Optional improvements; every page works without JavaScript.
"use strict";

// A toggle shows and hides the element named by its aria-controls.
document.addEventListener("click", (event) => {
  const toggle = event.target.closest("[data-toggle]");
  if (toggle) {
    const open = toggle.getAttribute("aria-expanded") !== "true";
    toggle.setAttribute("aria-expanded", String(open));
    document.getElementById(toggle.getAttribute("aria-controls")).classList.toggle("open", open);
  }
  if (event.target.closest("[data-theme-switch]")) {
    const next = document.documentElement.dataset.bsTheme === "dark" ? "light" : "dark";
    document.documentElement.dataset.bsTheme = next;
    localStorage.setItem("theme", next);
  }
});

// Send a form only once, however often its button is clicked.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  for (const button of form.querySelectorAll("button[type=submit]")) button.setAttribute("aria-disabled", "true");
});
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

// The sign-in form carries the browser's time zone, which a person without one of their own gets.
for (const field of document.querySelectorAll("[data-own-zone]")) {
  field.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
}

// Make tables that are wider than the page reachable by keyboard, so that they can be scrolled.
const sizes = new ResizeObserver((places) => {
  for (const { target } of places) {
    const place = target.closest(".table-responsive");
    if (place.scrollWidth > place.clientWidth) place.tabIndex = 0;
    else place.removeAttribute("tabindex");
  }
});
function reachableTables() {
  sizes.disconnect();
  for (const part of document.querySelectorAll(".table-responsive, .table-responsive > table")) sizes.observe(part);
}
document.addEventListener("htmx:after:swap", reachableTables);

reachableTables();
