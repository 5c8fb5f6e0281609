// Optional improvements; every page works without JavaScript.
"use strict";

const WHEN = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

// Show moments in the reader's time zone; the title attribute keeps UTC.
function localMoments(root) {
  for (const time of root.querySelectorAll("time[data-moment]")) {
    time.textContent = WHEN.format(new Date(time.dateTime));
  }
}

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

// An input with data-submits sends its form when it changes.
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
});

// Tell the server the reader's time zone, for pages that count by days.
document.cookie = `dnc_zone=${Intl.DateTimeFormat().resolvedOptions().timeZone}; path=/; max-age=31536000; samesite=strict`;

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
localMoments(document);
document.addEventListener("htmx:after:swap", () => localMoments(document));
