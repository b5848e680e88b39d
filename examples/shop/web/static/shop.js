// Keeps the bar "Third parties have received" up to date. Other scripts of the shop hear the same news as the event
// "shop:received" on document.
(() => {
  const counters = document.querySelectorAll("[data-parties]");
  if (!counters.length) return;

  function draw({ counts }) {
    for (const counter of counters) {
      const n = counter.dataset.parties.split(" ").reduce((sum, name) => sum + (counts[name] || 0), 0);
      const figure = counter.querySelector("b");
      const grew = n > Number(figure.textContent);
      figure.textContent = n;
      counter.classList.toggle("some", n > 0);
      if (grew && figure.animate && !matchMedia("(prefers-reduced-motion: reduce)").matches) {
        figure.animate([{ transform: "scale(1.7)" }, { transform: "none" }], { duration: 350, easing: "ease-out" });
      }
    }
  }

  // Only the page that is looked at listens: a browser opens six connections to a host at most, and a page with one open
  // is worth less to the back/forward cache. The first message after opening has everything, so nothing is missed.
  let source = null;
  function listen() {
    if (source || document.hidden) return;
    source = new EventSource("/received/events");
    source.onmessage = (message) => {
      const news = JSON.parse(message.data);
      draw(news);
      document.dispatchEvent(new CustomEvent("shop:received", { detail: news }));
    };
  }
  function rest() {
    source?.close();
    source = null;
  }
  // After the deferred scripts, so that none of them comes too late for the first message.
  document.addEventListener("DOMContentLoaded", listen);
  addEventListener("pageshow", (event) => event.persisted && listen());
  addEventListener("pagehide", rest);
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
})();
