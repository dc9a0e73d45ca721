// Replaces what has changed in the view, as the gateway sends it. Without this the page is the same, and stands still.
"use strict";

const link = document.getElementById("link");
const main = document.getElementById("main");

// Brings `old` to the form of `next`, and keeps what the visitor has done: focus, selection, scroll, open details.
function morph(old, next) {
  if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName) return old.replaceWith(next.cloneNode(true));
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes])
    if (!next.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
  for (const { name, value } of next.attributes)
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  morphChildren(old, next);
}

function morphChildren(old, next) {
  const before = [...old.childNodes];
  const after = [...next.childNodes];
  after.forEach((node, index) => {
    if (before[index] === undefined) old.appendChild(node.cloneNode(true));
    else morph(before[index], node);
  });
  for (const node of before.slice(after.length)) node.remove();
}

function isTyping() {
  const active = document.activeElement;
  return active !== null && main.contains(active) && /^(?:INPUT|TEXTAREA|SELECT)$/.test(active.nodeName);
}

function tell(text, isCurrent) {
  if (link.textContent !== text) link.textContent = text;
  link.classList.toggle("current", isCurrent);
}

if (link !== null) {
  const source = new EventSource(link.dataset.live);
  source.addEventListener("open", () => tell("live", true));
  source.addEventListener("view", ({ data }) => {
    tell("live", true);
    if (isTyping()) return;
    const next = new DOMParser().parseFromString(data, "text/html").body;
    morphChildren(main, next);
  });
  source.addEventListener("ended", () => location.reload());
  source.addEventListener("error", () => {
    tell(`OUTDATED: no connection to the gateway since ${new Date().toLocaleTimeString()}`, false);
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
  });
}
