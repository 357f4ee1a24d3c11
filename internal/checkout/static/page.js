// Makes the payment page live. The server renders every state; this only fetches and shows what it says. No amount is ever
// read, formatted or computed here.
(() => {
  'use strict';
  const $ = (id) => document.getElementById(id);
  const live = () => $('live');
  const data = () => live().dataset;
  const framed = window.parent !== window;
  const popup = !framed && (window.name === 'pipe_pg' || (data().open === 'popup' && !!window.opener));
  const skew = Number(data().now) - Date.now(); // what to add to this clock to have the server's
  const POLL = 5000;

  // --- telling ---
  let said = '';
  let toldState = data().announce;
  let toldAlso = data().also; // how the refunds stand
  const say = (text, assertive) => {
    if (!text || text === said) return;
    said = text;
    const region = $('say');
    region.setAttribute('aria-live', assertive ? 'assertive' : 'polite');
    region.textContent = text;
  };

  // --- messages to a shop that framed the page: to each of its registered origins by name ---
  const post = (type, more) => {
    if (!framed) return;
    const d = data();
    const message = Object.assign({ pipe: 1, type, invoice_id: d.invoice, status: Number(d.status), deposit_status: Number(d.deposit), lang: document.documentElement.lang }, more);
    const above = window.location.ancestorOrigins;
    d.origins.split(' ').forEach((origin) => {
      if (origin && !(above && above.length && above[0] !== origin)) window.parent.postMessage(message, origin);
    });
  };

  // --- the page, fetched anew ---
  let fetching = false;
  let again = false;
  const refresh = (then) => {
    if (fetching) { again = true; return; }
    fetching = true;
    const x = new XMLHttpRequest(); // parses the answer without making a text into HTML (Trusted Types)
    x.responseType = 'document';
    x.timeout = 10000;
    x.open('GET', window.location.pathname + window.location.search);
    x.onloadend = () => {
      fetching = false;
      const next = x.status === 200 && x.response && x.response.getElementById('live');
      if (next) {
        swap(x.response, next);
        lost(false);
        if (then) then();
      } else if (x.status !== 200) {
        lost(x.status === 0);
      }
      if (again) { again = false; refresh(then); }
    };
    x.send();
  };

  const swap = (doc, next) => {
    const old = live();
    const was = document.activeElement;
    const inside = was && old.contains(was);
    const focus = inside ? was.id : '';
    const kept = {};
    old.querySelectorAll('details[id],input[id]').forEach((e) => { kept[e.id] = e; });
    const fresh = document.importNode(next, true);
    fresh.querySelectorAll('details[id],input[id]').forEach((e) => {
      const k = kept[e.id];
      if (!k) return;
      if (e.tagName === 'DETAILS') e.open = k.open;
      else if (e.type === 'radio' || e.type === 'checkbox') e.checked = k.checked;
      else e.value = k.value;
    });
    const changed = fresh.dataset.state !== old.dataset.state;
    old.replaceWith(fresh);
    document.title = doc.title;
    enhance();
    if (inside) {
      const to = (!changed && focus && $(focus)) || $('heading');
      if (to) to.focus({ preventScroll: true });
    }
    post('status');
  };

  const told = (s) => {
    lost(false);
    if (s.version === data().version) return;
    const news = [s.announce === toldState ? '' : s.announce, s.also === toldAlso ? '' : s.also].filter(Boolean);
    toldState = s.announce;
    toldAlso = s.also;
    refresh(() => say(news.join(' '), s.assertive));
  };

  // --- live: server-sent events, and polling where they fail ---
  let source = null;
  let polling = 0;
  let retry = 0;
  let missing = 0;
  const path = (name) => data().base + '/' + name + window.location.search;
  const lost = (yes) => {
    if (!yes) missing = 0;
    $('lost').hidden = !(yes && ++missing > 1);
  };
  const poll = () => {
    const x = new XMLHttpRequest();
    x.timeout = 10000;
    x.open('GET', path('status'));
    x.onload = () => { if (x.status === 200) told(JSON.parse(x.responseText)); };
    x.onerror = x.ontimeout = () => lost(true);
    x.send();
  };
  const startPolling = () => {
    if (polling) return;
    poll();
    polling = window.setInterval(poll, POLL);
  };
  const stopPolling = () => { window.clearInterval(polling); polling = 0; };
  const connect = () => {
    if (source || !window.EventSource) { if (!source) startPolling(); return; }
    window.clearTimeout(retry);
    source = new EventSource(path('feed'));
    source.onopen = () => { lost(false); stopPolling(); };
    source.onmessage = (e) => told(JSON.parse(e.data));
    source.onerror = () => {
      startPolling();
      if (source && source.readyState === EventSource.CLOSED) {
        source = null;
        retry = window.setTimeout(connect, 30000);
      }
    };
  };
  const disconnect = () => { if (source) source.close(); source = null; stopPolling(); };

  const shared = () => { // HTTP/1.1 has six connections per host; a hidden page must not hold one for ever
    const n = performance.getEntriesByType('navigation')[0];
    return !n || n.nextHopProtocol === 'http/1.1' || !n.nextHopProtocol;
  };
  let hide = 0;
  document.addEventListener('visibilitychange', () => {
    window.clearTimeout(hide);
    if (document.hidden) {
      if (shared()) hide = window.setTimeout(disconnect, 60000);
    } else {
      poll();
      connect();
    }
  });
  window.addEventListener('online', () => { poll(); connect(); });
  window.addEventListener('pageshow', (e) => { if (e.persisted) { poll(); connect(); } });

  // --- the clock ---
  let asked = 0;
  const tick = () => {
    const d = data();
    if (!d.until) return;
    const left = Math.ceil((Number(d.until) - Date.now() - skew) / 1000);
    const ending = d.state === 'ending';
    if ((left <= 120 && d.state === 'await') || left <= 0) {
      if (Date.now() - asked > POLL) { asked = Date.now(); poll(); }
      if (!ending) return;
    }
    if (!ending) return;
    const s = Math.max(left, 0);
    const text = String(Math.floor(s / 60)).padStart(2, '0') + ':' + String(s % 60).padStart(2, '0');
    const clock = live().querySelector('[data-clock]');
    if (clock) clock.textContent = d.left.replace('{time}', text);
    document.title = '⏳ ' + text;
    if (s === 60) say(d.ending.replace('{n}', '1'), false);
  };

  // --- copying ---
  const copied = (button) => {
    const text = button.dataset.text || button.textContent;
    button.dataset.text = text;
    button.textContent = data().copied;
    said = '';
    say(data().copied, false);
    window.setTimeout(() => { button.textContent = text; }, 2000);
  };
  const copyOld = (text) => {
    const area = document.createElement('textarea');
    area.value = text;
    area.setAttribute('readonly', '');
    area.className = 'sr';
    document.body.appendChild(area);
    area.select();
    const ok = document.execCommand('copy');
    area.remove();
    return ok;
  };
  document.addEventListener('click', (e) => {
    const button = e.target.closest && e.target.closest('[data-copy]');
    if (!button) return;
    const text = button.dataset.copy;
    const old = () => { if (copyOld(text)) { copied(button); button.focus(); } };
    if (navigator.clipboard && navigator.clipboard.writeText) navigator.clipboard.writeText(text).then(() => copied(button), old);
    else old();
  });

  // --- wallets in this browser (EIP-6963), and links to wallet apps ---
  const found = new Map(); // by the id that a wallet announces for this page
  let note = '';
  let busy = false;
  let sent = ''; // what was sent: it is not offered again
  let help = false;
  const wallets = () => {
    if ($('wallet-help')) $('wallet-help').hidden = !help;
    const box = $('wallets');
    if (!box) return;
    const done = sent === box.dataset.to + box.dataset.value && data().state !== 'dropped';
    box.hidden = found.size === 0;
    box.querySelectorAll('button').forEach((b) => b.remove());
    $('wallet-note').textContent = note;
    $('wallet-note').hidden = !note;
    if (done) return;
    found.forEach((w, id) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'button';
      button.id = 'wallet-' + id;
      button.disabled = busy;
      if (/^data:image\//i.test(w.info.icon || '')) {
        const icon = document.createElement('img'); // as an image an icon cannot run what it holds
        icon.src = w.info.icon;
        icon.alt = '';
        button.append(icon);
      }
      button.append(String(w.info.name || '').slice(0, 40));
      button.onclick = () => spend(w.provider);
      box.append(button);
    });
  };
  const noted = (text, working) => {
    note = text;
    busy = working;
    wallets();
    say(text, false);
  };
  const failure = (e, d) => {
    const code = e && (e.code || (e.data && e.data.originalError && e.data.originalError.code));
    const text = String((e && e.message) || '');
    if (code === 4001) return d.no;
    if (code === -32002) return d.pending;
    if (code === 'chain' || code === 4901 || code === 4902) return d.wrong;
    if (code === -32003 || /insufficient (funds|balance)/i.test(text)) return d.funds;
    return d.failed;
  };
  // The wallet is given the server's own address and value, and only if the page still asks for them.
  const spend = async (provider) => {
    const d = Object.assign({}, $('wallets').dataset);
    const call = (method, params) => provider.request({ method, params: params || [] });
    const right = async () => Number(await call('eth_chainId')) === Number(d.chain);
    noted(d.ask, true);
    try {
      const from = (await call('eth_requestAccounts'))[0];
      if (!from) throw new Error('no account');
      if (!(await right())) {
        await call('wallet_switchEthereumChain', [{ chainId: d.chain }]).catch(() => {});
        if (!(await right())) throw Object.assign(new Error('wrong chain'), { code: 'chain' });
      }
      const now = $('wallets');
      if (!now || now.dataset.to !== d.to || now.dataset.value !== d.value) { noted('', false); return; }
      await call('eth_sendTransaction', [{ from, to: d.to, value: d.value }]);
      sent = d.to + d.value;
      noted(d.sent, false);
    } catch (e) {
      noted(failure(e, d), false);
    }
  };
  window.addEventListener('eip6963:announceProvider', (e) => {
    const w = e.detail;
    if (!w || !w.info || !w.provider || typeof w.provider.request !== 'function' || found.size >= 12) return;
    found.set(String(w.info.uuid), w);
    wallets();
  });
  document.addEventListener('click', (e) => {
    if (!e.target.closest || !e.target.closest('[data-wallet]')) return;
    window.setTimeout(() => { // still here: no wallet took the link
      if (document.hidden) return;
      help = true;
      wallets();
    }, 1500);
  });

  // --- how the page ends: the way it was really opened ---
  const over = () => ['choose', 'await', 'ending', 'lapsed', 'dropped', 'partial'].indexOf(data().state) < 0;
  const leave = () => {
    if (framed) { post('close'); return; }
    if (popup) {
      window.close();
      window.setTimeout(() => { // still here: the browser refused
        if ($('auto')) $('auto').hidden = true;
        if ($('may-close')) $('may-close').hidden = false;
      }, 300);
      return;
    }
    if (data().back) window.location.assign(data().back);
  };
  const askLeave = () => {
    if (over() || !$('ask').showModal) leave();
    else if (!$('ask').open) $('ask').showModal();
  };
  let count = -1;
  let counting = 0;
  const countdown = () => {
    const d = data();
    if (!d.after || !$('auto') || count === 0 || !(framed || popup || d.back)) return;
    if (count < 0) count = Number(d.after);
    const text = framed || popup ? d.autoClose : d.autoBack;
    $('auto').hidden = false;
    $('may-close').hidden = true;
    $('auto-text').textContent = text.replace('{n}', String(count));
    $('stay').onclick = () => {
      window.clearInterval(counting);
      counting = 0;
      count = 0;
      $('auto').hidden = true;
    };
    if (counting) return;
    counting = window.setInterval(() => {
      if (--count <= 0) {
        window.clearInterval(counting);
        count = 0;
        leave();
        return;
      }
      if ($('auto-text')) $('auto-text').textContent = text.replace('{n}', String(count));
    }, 1000);
  };

  // --- what a fresh part of the page needs ---
  const enhance = () => {
    wallets();
    if (framed || popup) {
      const back = data().back;
      live().querySelectorAll('a[href]').forEach((a) => {
        if (back && a.getAttribute('href') === back) a.onclick = (e) => { e.preventDefault(); leave(); };
      });
    }
    countdown();
    tick();
  };

  if (framed) document.documentElement.classList.add('framed');
  if (framed || popup) {
    $('x').hidden = false;
    $('x').onclick = askLeave;
    document.addEventListener('keydown', (e) => {
      if (e.key === 'Escape' && !$('ask').open) { e.preventDefault(); askLeave(); }
    });
  }
  $('ask-close').onclick = () => { $('ask').close(); leave(); };
  $('ask-stay').onclick = () => $('ask').close();

  enhance();
  window.dispatchEvent(new Event('eip6963:requestProvider'));
  window.setInterval(tick, 1000);
  connect();
  post('ready');
  post('status');
  if (framed && window.ResizeObserver) {
    new ResizeObserver(() => post('height', { height: document.body.scrollHeight })).observe(document.body);
  }

  // With one coin there is nothing to choose: the choice is posted at once, but only for eyes that see the page.
  const auto = $('auto-choose');
  if (auto) {
    const nav = performance.getEntriesByType('navigation')[0];
    const go = () => { if (!document.hidden) { document.removeEventListener('visibilitychange', go); auto.submit(); } };
    if (!nav || nav.type !== 'back_forward') {
      document.addEventListener('visibilitychange', go);
      go();
    }
  }
})();
