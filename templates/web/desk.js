// The one script of the desk. Without it every page works; with it pages renew themselves and know the reader's zone.
"use strict";
(() => {
  const body = document.body;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const known = document.cookie.split("; ").includes(`zone=${encodeURIComponent(zone)}`);
  if (zone && !known) {
    const safe = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax${safe}`;
  }

  // Regions marked data-live="SECONDS" are fetched anew from the page's own address and replaced where they differ.
  const offline = document.getElementById("offline");
  const pace = () => Math.min(...[...document.querySelectorAll("[data-live]")].map((it) => Number(it.dataset.live) || 5));
  let failures = 0;

  const busy = (region) => region.contains(document.activeElement) && /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);

  const open = (region) => new Set([...region.querySelectorAll("details[open][id]")].map((it) => it.id));

  function replace(fresh) {
    for (const region of document.querySelectorAll("[data-live][id]")) {
      const now = fresh.getElementById(region.id);
      if (!now || busy(region) || now.innerHTML === region.dataset.was || now.innerHTML === region.innerHTML) continue;
      const focus = document.activeElement && region.contains(document.activeElement) ? document.activeElement.id : "";
      const kept = open(region);
      const html = now.innerHTML;
      now.querySelectorAll("details[id]").forEach((it) => kept.has(it.id) && it.setAttribute("open", ""));
      region.innerHTML = now.innerHTML;
      region.dataset.was = html;
      if (now.dataset.live) region.dataset.live = now.dataset.live; else region.removeAttribute("data-live");
      if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
    }
  }

  async function renew() {
    const answer = await fetch(location.href, { headers: { "X-Live": "1" }, redirect: "manual", signal: AbortSignal.timeout(15000) });
    if (answer.type === "opaqueredirect") { location.reload(); return; }
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    replace(fresh);
    body.dataset.at = fresh.body.dataset.at;
    body.dataset.renewed = String(Number(body.dataset.renewed || 0) + 1);
    failures = 0;
    if (offline) offline.hidden = true;
  }

  async function again() {
    const every = pace();
    if (!Number.isFinite(every)) return;
    if (!document.hidden) {
      try { await renew(); } catch { lost(); }
    }
    setTimeout(again, Math.min(60, every * 2 ** Math.min(failures, 4)) * 1000);
  }

  function lost() {
    failures += 1;
    if (failures < 2 || !offline) return;
    const at = body.dataset.at || "";
    offline.textContent = `The desk does not answer. This page stands as it was${at ? ` at ${at}` : ""}; it goes on trying.`;
    offline.hidden = false;
  }

  document.addEventListener("visibilitychange", () => { if (!document.hidden && Number.isFinite(pace())) renew().catch(lost); });
  if (zone && !known && zone !== body.dataset.zone) renewWhole(); else if (Number.isFinite(pace())) setTimeout(again, pace() * 1000);

  // The zone was not known when this page was made: make it once more, in the reader's own time.
  async function renewWhole() {
    try {
      const answer = await fetch(location.href, { headers: { "X-Live": "1" }, signal: AbortSignal.timeout(15000) });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = fresh.getElementById("main");
      if (answer.ok && main && !document.querySelector("main form :focus")) {
        document.getElementById("main").innerHTML = main.innerHTML;
        document.querySelector("footer").innerHTML = fresh.querySelector("footer").innerHTML;
        body.dataset.zone = fresh.body.dataset.zone;
      }
    } catch { /* the page is right as it is, in the plan's zone */ }
    if (Number.isFinite(pace())) setTimeout(again, pace() * 1000);
  }

  // A button is pressed once: what takes a while says so.
  document.addEventListener("submit", (event) => {
    const button = event.submitter || event.target.querySelector("button:not([type=button])");
    if (!button || event.target.method === "get") return;
    setTimeout(() => { button.disabled = true; if (button.dataset.busy) button.textContent = button.dataset.busy; }, 0);
    setTimeout(() => { button.disabled = false; }, 20000);
  });
  window.addEventListener("pageshow", () => document.querySelectorAll("button:disabled[data-busy]").forEach((it) => { it.disabled = false; }));

  // Copy what is meant to be copied.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try { await navigator.clipboard.writeText(button.dataset.copy); button.textContent = "Copied"; } catch { button.textContent = button.dataset.copy; }
  });
})();
