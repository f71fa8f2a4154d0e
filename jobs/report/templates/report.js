(function () {
  "use strict";
  var root = document.documentElement, button = document.getElementById("theme");
  var system = window.matchMedia("(prefers-color-scheme: dark)");
  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
  }
  function label() {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", "Show in " + (isDark() ? "light" : "dark") + " colours");
  }
  // A browser may keep no storage for files.
  try { var kept = localStorage.getItem("backprompt-theme"); if (kept === "dark" || kept === "light") root.dataset.theme = kept; } catch (error) { kept = null; }
  button.hidden = false;
  button.addEventListener("click", function () {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("backprompt-theme", root.dataset.theme); } catch (error) { /* shown all the same */ }
    label();
  });
  system.addEventListener("change", label);
  // What is printed is not folded away.
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (each) { each.open = true; });
  });
  label();
})();
