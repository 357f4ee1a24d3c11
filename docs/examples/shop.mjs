// A shop in one file, for Node 18 or newer: PIPE_URL=… PIPE_KEY=… PIPE_SECRET=… SHOP_URL=… node shop.mjs
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const { PIPE_URL, PIPE_KEY, PIPE_SECRET, SHOP_URL, PORT = "3000" } = process.env;
const orders = new Map(); // a real shop has a database

// call asks PIPE's API. Errors carry PIPE's code.
async function call(path, body) {
  const res = await fetch(`${PIPE_URL}/api/v1/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${PIPE_KEY}` },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  });
  const answer = await res.json();
  if (answer.code !== 1) throw Object.assign(new Error(answer.message), { code: answer.code });
  return answer.data;
}

// verify is the callback that PIPE signed, or null. body is what was received, as bytes, before anything reads it.
export function verify(headers, body, secret) {
  const id = headers["webhook-id"], time = headers["webhook-timestamp"];
  if (!id || !(Math.abs(Date.now() / 1000 - Number(time)) <= 300)) return null;
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const want = createHmac("sha256", key).update(`${id}.${time}.`).update(body).digest();
  const good = (headers["webhook-signature"] ?? "").split(" ").some((s) => {
    const got = Buffer.from(s.replace(/^v1,/, ""), "base64");
    return s.startsWith("v1,") && got.length === want.length && timingSafeEqual(got, want);
  });
  return good ? { id, ...JSON.parse(body) } : null;
}

function paid({ id, code, data }) {
  if (id.startsWith("test_") || data.refund_id) return; // a trial, or what became of a refund
  const order = orders.get(data.order_id);
  if (!order || order.currency !== data.price_currency || order.price !== data.price) return;
  if (code === 4092) order.state = "reversed"; // do not ship
  else if (data.status === 2 && order.state === "open") order.state = "paid"; // ship once, however often it is told
}

createServer((req, res) => {
  const parts = [];
  req.on("data", (part) => parts.push(part));
  req.on("end", async () => {
    try {
      if (req.method === "POST" && req.url === "/buy") {
        const order = { id: `o-${Date.now()}`, price: 10500, currency: "KRW", state: "open" };
        orders.set(order.id, order);
        const made = await call("invoice/create", {
          price: order.price, price_currency: order.currency, order_id: order.id, language: "kr",
          callback_url: `${SHOP_URL}/callback`, redirect_url: `${SHOP_URL}/thanks`,
        });
        order.invoice = made.invoice_id;
        return res.writeHead(303, { Location: made.invoice_url }).end();
      }
      if (req.method === "POST" && req.url === "/callback") {
        const callback = verify(req.headers, Buffer.concat(parts), PIPE_SECRET);
        if (!callback) return res.writeHead(403).end("not signed");
        paid(callback);
        return res.end("ok");
      }
      if (req.url.startsWith("/thanks")) return res.end("Thank you. The order is on its way once it is paid.");
      if (req.url === "/orders") return res.end(JSON.stringify([...orders.values()]));
      res.writeHead(200, { "Content-Type": "text/html" }).end('<form method="post" action="/buy"><button>10,500 KRW</button></form>');
    } catch (err) {
      console.error(err.code ?? "", err.message);
      res.writeHead(502).end("try again");
    }
  });
}).listen(Number(PORT), "127.0.0.1");
