// What makes the pages better where there is a script; none of them needs it.
"use strict";

// A copy button appears where copying works.
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
    button.setAttribute("aria-live", "polite");
  });
}

// What is shown once is not left by mistake.
const leave = document.querySelector("[data-leave]");
if (leave) {
  const ask = (event) => event.preventDefault();
  window.addEventListener("beforeunload", ask);
  leave.form.addEventListener("submit", () => window.removeEventListener("beforeunload", ask));
}

// A form is sent once, however often its button is pressed.
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => delete form.dataset.sent);
}

// A page that waits for a key's first request looks for it.
if (document.querySelector("[data-wait]")) {
  const look = async () => {
    if (document.hidden) return;
    const answer = await fetch(location.pathname, { headers: { accept: "text/html" } });
    if (answer.ok && !answer.redirected && !(await answer.text()).includes("data-wait")) location.replace(location.pathname);
  };
  setInterval(() => look().catch(() => {}), 3000);
}

// A long list is narrowed by typing. What is ticked stays to be seen.
for (const field of document.querySelectorAll("[data-narrow]")) {
  field.hidden = false;
  const list = document.getElementById(field.dataset.narrow);
  field.addEventListener("input", () => {
    const words = field.value.trim().toLowerCase();
    for (const group of list.querySelectorAll(".group")) {
      let shown = 0;
      for (const label of group.querySelectorAll("label")) {
        const fits = label.textContent.toLowerCase().includes(words) || label.querySelector("input").checked;
        label.hidden = !fits;
        shown += fits;
      }
      group.hidden = !shown;
    }
  });
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
}

// What is chosen for one action is counted on its button, which has nothing to do without a choice.
for (const form of document.querySelectorAll("form[data-chosen]")) {
  const button = form.querySelector("button");
  const count = () => {
    const chosen = [...form.elements].filter((box) => box.type === "checkbox" && box.checked).length;
    button.disabled = !chosen;
    button.textContent = chosen ? `Revoke ${chosen} chosen…` : button.dataset.label;
  };
  button.dataset.label = button.textContent;
  form.ownerDocument.addEventListener("change", count);
  window.addEventListener("pageshow", count);
}

// A screen reader says what changes on a page, not what it begins with: what was done, or is wrong, is said once more, where
// nobody sees it and nothing moves.
for (const said of document.querySelectorAll("[role=alert], p.notice[role=status]")) {
  const again = document.createElement("p");
  again.className = "hidden";
  again.setAttribute("role", said.getAttribute("role"));
  document.querySelector("main").append(again);
  requestAnimationFrame(() => { again.textContent = said.textContent; });
}
// The keyboard goes on where the first mistake is, before anybody can have moved it.
document.querySelector("main [aria-invalid]")?.focus();

// Coming back to a page, the keyboard is where it was.
const places = "keywright.places";
const remembered = () => { try { return JSON.parse(sessionStorage.getItem(places)) ?? {}; } catch { return {}; } };
const described = (element) => element?.id ? `#${CSS.escape(element.id)}` : element?.getAttribute?.("href") ? `a[href="${CSS.escape(element.getAttribute("href"))}"]` : "";
document.addEventListener("click", (event) => {
  const from = described(event.target.closest("main a, main button"));
  if (from) sessionStorage.setItem(places, JSON.stringify({ ...remembered(), [location.pathname]: from }));
});
window.addEventListener("pageshow", () => {
  const all = remembered();
  const from = all[location.pathname];
  if (!from || document.activeElement !== document.body) return;
  delete all[location.pathname];
  sessionStorage.setItem(places, JSON.stringify(all));
  document.querySelector(from)?.focus({ preventScroll: true });
});
