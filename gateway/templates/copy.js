// Buttons that copy a ticket's text. Without this, the texts stand there to be selected.
"use strict";
const said = document.getElementById("copied");
for (const button of document.querySelectorAll("button[data-copies]")) {
  const field = document.getElementById(button.dataset.copies);
  const offer = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(field.textContent);
      said.textContent = "Copied.";
      button.textContent = "Copied";
    } catch {
      // An old browser, or no TLS: select it, so that one key is left to press.
      getSelection().selectAllChildren(field);
      said.textContent = "Selected: copy it with your keyboard or menu.";
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = offer; said.textContent = ""; }, 4000);
  });
}
