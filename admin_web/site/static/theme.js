// Before the first paint: light or dark, as the person chose, else as the system says.
document.documentElement.classList.add("js");
document.documentElement.dataset.bsTheme =
  localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
