// Before anything is drawn: the theme somebody chose, and how to choose one. Without a choice the system's holds.
"use strict";
(function () {
  const root = document.documentElement;
  const order = ["auto", "light", "dark"];
  let chosen = "auto";
  try { chosen = localStorage.getItem("theme") || "auto"; } catch (_) { /* a page opened as a file may keep nothing */ }
  if (!order.includes(chosen)) chosen = "auto";
  function apply() {
    if (chosen === "auto") root.removeAttribute("data-theme"); else root.setAttribute("data-theme", chosen);
  }
  apply();
  document.addEventListener("DOMContentLoaded", function () {
    const button = document.getElementById("theme");
    if (!button) return;
    function tell() { button.textContent = button.dataset[chosen]; }
    button.hidden = false;
    tell();
    button.addEventListener("click", function () {
      chosen = order[(order.indexOf(chosen) + 1) % order.length];
      try { localStorage.setItem("theme", chosen); } catch (_) { /* then it holds for this page */ }
      apply();
      tell();
    });
  });
})();
