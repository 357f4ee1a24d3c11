// Popup and layer are opened by PIPE's script, in the click; without script the forms go to the payment page by themselves.
"use strict";
window._PIPE_PG_CLOSE = function () { document.getElementById("said").textContent = "_PIPE_PG_CLOSE() — " + new Date().toLocaleTimeString(); };
document.querySelectorAll("form.buy").forEach(function (form) {
  form.addEventListener("submit", function (event) {
    var mode = form.elements.open_type.value;
    if (mode === "redirect" || !window.PIPE) { return; }
    event.preventDefault();
    var url = fetch(form.action, { method: "POST", headers: { Accept: "application/json" }, body: new URLSearchParams(new FormData(form)) })
      .then(function (r) { if (!r.ok) { throw new Error("the shop answered " + r.status); } return r.json(); })
      .then(function (d) { return d.invoice_url; });
    window.PIPE.open(url, {
      mode: mode,
      onStatus: function (s) { document.getElementById("said").textContent = "status " + s.status + ", deposit_status " + s.deposit_status; },
      onClose: function () { document.getElementById("said").textContent = "closed"; }
    });
  });
});
