// The chat, a stand-in for a support company's widget. As many of them do, it offers no way to stop it: what it drew and
// stored stays until the page is left.
(() => {
  if (document.getElementById("chat-widget")) return;

  document.cookie = `chat_id=${Math.random().toString(36).slice(2, 12)}; Max-Age=15552000; Path=/; SameSite=Lax`;
  const open = (state) => {
    try {
      localStorage.setItem("chat_open", state ? "1" : "0");
    } catch {
      // Storage is switched off: the chat forgets whether it was open.
    }
  };
  open(false);

  const host = document.createElement("div");
  host.id = "chat-widget";
  // The widget's own tree, styled through the CSSOM, which a content security policy for inline styles does not touch.
  const tree = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    :host { all: initial; position: fixed; right: 16px; bottom: 16px; z-index: 900; font: 15px/1.45 system-ui, sans-serif; }
    button { display: grid; place-items: center; width: 52px; height: 52px; border: 0; border-radius: 50%; cursor: pointer;
      margin-left: auto; background: #5b3cc4; color: #fff; box-shadow: 0 4px 16px rgb(0 0 0 / .28); }
    button:focus-visible { outline: 3px solid #5b3cc4; outline-offset: 3px; box-shadow: 0 0 0 3px #fff; }
    svg { width: 26px; height: 26px; }
    p { box-sizing: border-box; width: min(260px, calc(100vw - 32px)); margin: 0 0 10px; padding: 12px 14px;
      border-radius: 14px 14px 4px 14px; background: #fff; color: #211a3d; box-shadow: 0 4px 20px rgb(0 0 0 / .24); }
    p[hidden] { display: none; }
  `);
  tree.adoptedStyleSheets = [sheet];

  const note = document.createElement("p");
  note.id = "note";
  note.hidden = true;
  note.textContent = "Hello! This is the stand-in chat. Nobody answers here, but it did store chat_id and chat_open.";

  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-label", "Chat with us");
  button.setAttribute("aria-expanded", "false");
  button.setAttribute("aria-controls", "note");
  const ns = "http://www.w3.org/2000/svg";
  const icon = document.createElementNS(ns, "svg");
  icon.setAttribute("viewBox", "0 0 24 24");
  icon.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS(ns, "path");
  shape.setAttribute("fill", "currentColor");
  shape.setAttribute("d", "M4 4h16a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2h-7l-5 4v-4H4a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2z");
  icon.append(shape);
  button.append(icon);
  button.addEventListener("click", () => {
    note.hidden = !note.hidden;
    button.setAttribute("aria-expanded", String(!note.hidden));
    open(!note.hidden);
  });

  tree.append(note, button);
  const show = () => document.body.append(host);
  if (document.body) show();
  else document.addEventListener("DOMContentLoaded", show, { once: true });
})();
