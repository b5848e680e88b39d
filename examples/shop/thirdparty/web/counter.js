// The House counter, a stand-in for an analytics company's script. It counts a page view when it loads and at each
// houseCounter.page(); after houseCounter.stop() it sends and stores nothing any more.
(() => {
  const self = new URL(document.currentScript.src);
  const account = self.searchParams.get("id") || "";
  const year = 365 * 24 * 60 * 60;
  let running = true;

  function remember() {
    const known = /(?:^|; )hc_id=([^;]+)/.exec(document.cookie);
    const id = known ? known[1] : Math.random().toString(36).slice(2, 12);
    document.cookie = `hc_id=${id}; Max-Age=${year}; Path=/; SameSite=Lax`;
    try {
      localStorage.setItem("hc_seen", String(Date.now()));
    } catch {
      // Storage is switched off. A counter counts all the same.
    }
  }

  function page() {
    if (!running) return;
    remember();
    const hit = new URL("/hit", self.origin);
    hit.searchParams.set("site", account);
    hit.searchParams.set("u", location.pathname);
    fetch(hit, { mode: "no-cors", keepalive: true }).catch(() => {});
  }

  window.houseCounter = { page, stop: () => { running = false; } };
  page();
})();
