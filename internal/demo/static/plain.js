// A layer without /pipe.js. The first part is the shop's own; the listener is the six lines of docs/checkout.md.
"use strict";
var layer = document.getElementById("pay"), frame = null, invoiceID = "";
function _PIPE_PG_CLOSE() {
  document.getElementById("said").textContent = "_PIPE_PG_CLOSE() — " + new Date().toLocaleTimeString();
  layer.hidden = true;
  frame.remove();
}
document.querySelectorAll("form.buy").forEach(function (form) {
  form.addEventListener("submit", function (event) {
    event.preventDefault();
    fetch(form.action, { method: "POST", headers: { Accept: "application/json" }, body: new URLSearchParams(new FormData(form)) })
      .then(function (r) { return r.json(); })
      .then(function (d) {
        invoiceID = d.invoice_id;
        frame = document.createElement("iframe");
        frame.title = "Payment";
        frame.allow = "clipboard-write";
        frame.src = d.invoice_url;
        layer.replaceChildren(frame);
        layer.hidden = false;
      });
  });
});

window.addEventListener("message", function (event) {
  if (event.origin !== layer.dataset.pipe || !frame || event.source !== frame.contentWindow) { return; }
  var m = event.data;
  if (m && m.pipe === 1 && m.type === "close" && m.invoice_id === invoiceID && m.status === 2) { _PIPE_PG_CLOSE(); }
});
