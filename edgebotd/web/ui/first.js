// Before anything is painted: the theme that was chosen on this device. Not a module, which would come too late.
document.documentElement.dataset.theme = localStorage.getItem("edgebotd.theme") ?? "system";

// A file of the page does not come where the network changes while it loads: on the daemon's own machine the start of a
// container is enough. A browser never asks for a module again, and the page would stay blank.
addEventListener(
  "error",
  ({ target }) => {
    if (target instanceof HTMLLinkElement && target.rel === "stylesheet") {
      const tries = Number(target.dataset.tries ?? 0);
      target.dataset.tries = String(tries + 1);
      setTimeout(() => target.replaceWith(target.cloneNode()), Math.min(500 * 2 ** tries, 30_000));
    }
    if (target instanceof HTMLScriptElement) {
      // Of this tab; main.js forgets it when it runs.
      const tries = Number(sessionStorage.getItem("edgebotd.tries") ?? 0);
      sessionStorage.setItem("edgebotd.tries", String(tries + 1));
      const loadAgain = () =>
        // Not to the browser's own page for what can't be reached, which tries no more.
        fetch(location.href, { cache: "no-store" }).then(
          () => location.reload(),
          () => void setTimeout(loadAgain, 2000),
        );
      setTimeout(loadAgain, Math.min(500 * 2 ** tries, 30_000));
      const german = (localStorage.getItem("edgebotd.language") ?? navigator.language).startsWith("de");
      if (tries > 0) document.body.append(german ? "Die Seite ist nicht vollständig geladen. Neuer Versuch läuft." : "The page did not load whole. Trying again.");
    }
  },
  true,
);
