// Set the theme before the first paint: the person's choice, else the system's.
document.documentElement.classList.add("js");
document.documentElement.dataset.bsTheme =
  localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
