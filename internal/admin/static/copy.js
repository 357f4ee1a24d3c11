// Buttons with data-copy copy the text of the element that they name. Without script they stay hidden: the text can be selected.
"use strict";
(() => {
  for (const button of document.querySelectorAll("button[data-copy]")) {
    const source = document.getElementById(button.dataset.copy);
    if (!source) continue;
    const name = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = button.dataset.done;
        setTimeout(() => { button.textContent = name; }, 2000);
      } catch {
        getSelection().selectAllChildren(source); // no clipboard here: one keystroke is left
      }
    });
  }
})();
