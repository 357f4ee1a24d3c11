// PIPE.open(invoice_url, {mode: 'auto' | 'layer' | 'popup' | 'redirect', onStatus, onClose}) opens a payment page.
// invoice_url may be a promise of one: a popup is then opened inside the click. All of it is advisory: ask invoice/get.
(() => {
  'use strict';
  const script = document.currentScript;
  if (!script || window.PIPE) return;
  const home = new URL(script.src).origin;
  const READY = 5000; // without a sign of life from the frame by then, go on without it
  const EVERY = 3000; // how often a popup's status is read

  const korean = () => (document.documentElement.lang || '').toLowerCase().startsWith('ko');

  const check = (text) => {
    const url = new URL(text);
    const found = /^\/invoice-([0-9A-Fa-f]{64})$/.exec(url.pathname);
    if (url.origin !== home || !found) throw new TypeError('PIPE.open: not an invoice URL of ' + home);
    return { href: url.href, id: found[1].toUpperCase() };
  };

  // A shop's function that fails must not keep the payment from ending well.
  const call = (f, arg) => {
    if (typeof f !== 'function') return;
    try { f(arg); } catch (e) { window.setTimeout(() => { throw e; }, 0); }
  };

  const choose = () => {
    const inApp = /KAKAOTALK|NAVER|FBAN|FBAV|Instagram|Line\/|DaumApps/i.test(navigator.userAgent);
    const coarse = window.matchMedia('(pointer: coarse)').matches;
    return inApp || coarse || window.innerWidth < 768 || !window.HTMLDialogElement ? 'redirect' : 'layer';
  };

  const style = (element, rules) => Object.keys(rules).forEach((k) => element.style.setProperty(k, rules[k]));

  const layer = (inv, options) => {
    const opener = document.activeElement;
    const overflow = document.documentElement.style.overflow;
    const dialog = document.createElement('dialog');
    const frame = document.createElement('iframe');
    let closed = false;
    let paid = false;
    let last = null;
    style(dialog, { position: 'fixed', inset: '0', width: '100vw', height: '100vh', 'max-width': 'none', 'max-height': 'none', margin: '0', padding: '0', border: '0', background: 'rgba(12,15,20,.55)', overflow: 'hidden' });
    style(frame, { display: 'block', border: '0', width: 'min(100vw, 480px)', height: 'min(100vh, 720px)', 'max-height': '100vh', margin: '0 auto', position: 'relative', top: '50%', transform: 'translateY(-50%)', 'border-radius': '16px', background: '#fff', 'color-scheme': 'normal' });
    frame.title = korean() ? '결제' : 'Payment';
    frame.setAttribute('allow', 'clipboard-write');
    dialog.setAttribute('aria-label', frame.title);

    const down = () => {
      closed = true;
      window.removeEventListener('message', hear);
      window.clearTimeout(late);
      if (dialog.open) dialog.close();
      dialog.remove();
      document.documentElement.style.overflow = overflow;
      if (opener && opener.focus) opener.focus();
    };
    const finish = () => {
      if (closed) return;
      down();
      if (paid) call(window._PIPE_PG_CLOSE);
      call(options.onClose, last);
    };
    const hear = (e) => {
      const m = e.data;
      if (closed || e.origin !== home || e.source !== frame.contentWindow) return;
      if (!m || m.pipe !== 1 || m.invoice_id !== inv.id) return;
      window.clearTimeout(late);
      if (m.type === 'height' && m.height > 0) {
        frame.style.setProperty('height', 'min(100vh, ' + Math.min(Math.ceil(m.height), 4000) + 'px)');
      } else if (m.type === 'status') {
        const now = { invoice_id: inv.id, status: m.status, deposit_status: m.deposit_status };
        paid = paid || m.status === 2;
        if (!last || last.status !== now.status || last.deposit_status !== now.deposit_status) call(options.onStatus, now);
        last = now;
      } else if (m.type === 'close') {
        finish();
      }
    };
    const late = window.setTimeout(() => {
      down();
      window.location.assign(inv.href);
    }, READY);

    window.addEventListener('message', hear);
    dialog.addEventListener('cancel', (e) => {
      e.preventDefault();
      const text = korean() ? '결제가 끝나지 않았습니다. 창을 닫으시겠습니까?' : 'Not paid yet. Close?';
      if (paid || window.confirm(text)) finish();
    });
    dialog.addEventListener('close', finish);
    frame.src = inv.href;
    dialog.appendChild(frame);
    document.body.appendChild(dialog);
    document.documentElement.style.overflow = 'hidden';
    dialog.showModal();
    frame.focus();
    return finish;
  };

  const blank = () => window.open('', 'pipe_pg', 'popup=yes,width=480,height=860');

  const popup = (inv, win, options) => {
    let closed = false;
    let last = null;
    win.location.href = inv.href;
    const read = () => fetch(home + '/invoice/' + inv.id + '/status', { credentials: 'omit', cache: 'no-store' })
      .then((r) => (r.ok ? r.json() : null))
      .then((s) => {
        if (!s) return;
        const now = { invoice_id: inv.id, status: s.status, deposit_status: s.deposit_status };
        if (!last || last.status !== now.status || last.deposit_status !== now.deposit_status) call(options.onStatus, now);
        last = now;
      })
      .catch(() => {}); // the next round asks again
    const reading = window.setInterval(read, EVERY);
    const finish = () => {
      if (closed) return;
      closed = true;
      window.clearInterval(reading);
      window.clearInterval(watching);
      if (!win.closed) win.close();
      read().then(() => call(options.onClose, last));
    };
    const watching = window.setInterval(() => { if (win.closed) finish(); }, 500);
    read();
    return finish;
  };

  const open = (url, given) => {
    const options = Object.assign({}, given);
    let mode = options.mode || 'auto';
    if (['auto', 'layer', 'popup', 'redirect'].indexOf(mode) < 0) throw new TypeError('PIPE.open: unknown mode ' + mode);
    if (mode === 'auto') mode = choose();
    const win = mode === 'popup' ? blank() : null;
    let close = null;
    let wanted = false;
    const start = (inv) => {
      if (wanted) return;
      if (mode === 'layer') close = layer(inv, options);
      else if (win) close = popup(inv, win, options);
      else window.location.assign(inv.href);
    };
    if (url && typeof url.then === 'function') {
      url.then((text) => start(check(text))).catch((e) => {
        if (win) win.close();
        throw e;
      });
    } else {
      try { start(check(url)); } catch (e) { if (win) win.close(); throw e; }
    }
    return { close: () => { if (close) close(); else { wanted = true; if (win) win.close(); } } };
  };

  Object.defineProperty(window, 'PIPE', { value: Object.freeze({ open }) });
})();
