// The gift finder: a single-page section on the History API. The route is the path, the answers are the query, so every
// state has an address, and nothing is stored.
(() => {
  const finder = document.getElementById("finder");
  const steps = { "/app/": "for", "/app/colour": "colour", "/app/size": "size", "/app/result": "result" };
  const questions = ["for", "colour", "size"];
  const weight = { for: 2, colour: 1, size: 1 };

  // suits keeps what answers the questions best: there is always something to give. Whom it is for weighs most.
  function suits(list, answers) {
    const items = [...list.children];
    const score = (item) => questions.reduce((sum, q) => sum + (item.dataset[q] === answers.get(q)) * weight[q], 0);
    const best = Math.max(...items.map(score));
    for (const item of items) if (score(item) < best) item.remove();
  }

  function draw() {
    const step = steps[location.pathname] || "for";
    const view = document.getElementById(`step-${step}`).content.cloneNode(true);
    if (step === "result") suits(view.querySelector(".grid"), new URLSearchParams(location.search));
    finder.replaceChildren(view);
    document.title = `${finder.querySelector("h1").textContent} · EasyDser`;
  }

  // arrive draws a new route as a page view of its own: the reader's focus goes to its heading, and a counter that is
  // allowed to count is told.
  function arrive() {
    draw();
    scrollTo(0, 0);
    finder.querySelector("h1").focus({ preventScroll: true });
    window.houseCounter?.page();
  }

  finder.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-answer]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    const to = new URL(link.href);
    to.search = location.search; // the basket travels along
    const [question, answer] = link.dataset.answer.split("=");
    if (question) to.searchParams.set(question, answer);
    else questions.forEach((q) => to.searchParams.delete(q));
    history.pushState(null, "", to);
    arrive();
  });
  addEventListener("popstate", arrive);
  draw();
})();
