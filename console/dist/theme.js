// Runs before anything is drawn, so that a page whose reader chose light or dark does not flash in the other.
(function () {
  try {
    var chosen = localStorage.getItem("skald.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch (refused) {
    // Without storage the system's wish is followed.
  }
})();
