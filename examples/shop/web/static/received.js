// The live log: carries on from what the server has drawn.
(() => {
  const shown = 50; // lines in a card, as in received.go
  const cards = new Map([...document.querySelectorAll("[data-party]")].map((card) => [card.dataset.party, card]));
  const template = document.getElementById("hit");

  function row(hit) {
    const li = template.content.firstElementChild.cloneNode(true);
    const time = li.querySelector("time");
    time.dateTime = hit.time;
    time.textContent = hit.time.slice(11, 19); // the server's clock, as in the lines that the server drew
    li.querySelector("code").textContent = `${hit.method} ${hit.path}${hit.query && "?" + hit.query}`;
    li.querySelector(".hit-more").textContent = `to ${hit.host}${hit.referer && ", from " + hit.referer}`;
    li.querySelector(".hit-cookie").hidden = !hit.cookie;
    return li;
  }

  document.addEventListener("shop:received", ({ detail: news }) => {
    if (news.reset) cards.forEach((card) => card.querySelector(".hits").replaceChildren());
    for (const hit of news.hits) cards.get(hit.party)?.querySelector(".hits").prepend(row(hit));

    let total = 0;
    for (const [name, card] of cards) {
      const n = news.counts[name] || 0;
      total += n;
      card.querySelector(".party-count").textContent = n;
      card.classList.toggle("some", n > 0);
      const hits = card.querySelector(".hits");
      while (hits.childElementCount > shown) hits.lastElementChild.remove();
    }
    const verdict = document.getElementById("verdict");
    verdict.classList.toggle("some", total > 0);
    document.getElementById("total").textContent = total;
    verdict.querySelector("[data-when=none]").hidden = total > 0;
    verdict.querySelector("[data-when=some]").hidden = total === 0;
  });
})();
