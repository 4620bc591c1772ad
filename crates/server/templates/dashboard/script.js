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
