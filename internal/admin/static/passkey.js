// Forms with data-ask use a passkey: the ceremony is asked for there, and its answer goes with the form. Without script, or where
// the browser knows no passkeys, these forms stay hidden and the others do all.
"use strict";
(() => {
  const known = window.PublicKeyCredential && PublicKeyCredential.parseRequestOptionsFromJSON && PublicKeyCredential.parseCreationOptionsFromJSON;
  if (!known) return;
  for (const form of document.querySelectorAll("form[data-ask]")) {
    const wrong = form.querySelector("[role=alert]");
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      wrong.textContent = "";
      form.setAttribute("aria-busy", "true");
      try {
        const reply = await fetch(form.dataset.ask, { method: "POST", body: new URLSearchParams(new FormData(form)) });
        const ceremony = await reply.json();
        if (!reply.ok) {
          wrong.textContent = ceremony.error;
          return;
        }
        const made = form.dataset.make
          ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(ceremony.options) })
          : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(ceremony.options) });
        form.querySelector("input[data-answer]").value = JSON.stringify({ token: ceremony.token, answer: made.toJSON() });
        HTMLFormElement.prototype.submit.call(form);
      } catch (error) {
        wrong.textContent = form.dataset.failed;
      } finally {
        form.removeAttribute("aria-busy");
      }
    });
  }
})();
