"use strict";

// The secret stands behind the # of the printed address: it is never sent as part of an
// address, and a reload of the page finds it in the tab.
let secret = "";
function admit() {
  secret = location.hash.slice(1) || sessionStorage.getItem("secret") || "";
  sessionStorage.setItem("secret", secret);
  history.replaceState(null, "", location.pathname);
}

const at = (id) => document.getElementById(id);
let shown = null; // the unit on the page
let found = []; // what the search has found
let picked = 0;
let busy = false; // keys that come before the next unit is seen are not for it
let asking = 0;
let entered = false; // Enter was pressed before the answer came

function make(tag, text, kind) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
}

function say(text, bad) {
  at("said").textContent = text;
  at("said").classList.toggle("bad", Boolean(bad));
}

async function ask(place, body) {
  let answer;
  try {
    answer = await fetch(place, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Review-Secret": secret },
      body: JSON.stringify(body || {}),
    });
  } catch {
    throw new Error("The server does not answer: the last key may not count, what was " +
      "saved before is kept. Start it again and open the address that it prints.");
  }
  const told = await answer.json();
  if (answer.ok) return told;
  const near = (told.details || []).filter((one) => one.where === "nearest");
  const more = near.map((one) => `; the nearest is ${one.reason}`).join("");
  const error = new Error(told.error + more);
  error.status = answer.status;
  throw error;
}

async function go(place, body, said) {
  if (busy) return;
  busy = true;
  try {
    show(await ask(place, body));
    say(said || "");
  } catch (error) {
    if (error.status === 409) {
      try {
        show(await ask("/now"));
      } catch { /* the first reason is the one to tell */ }
    }
    say(error.message, true);
  } finally {
    busy = false;
  }
}

function show(told) {
  shown = told.row === null ? null : told;
  if (told.pilot) {
    at("title").textContent = told.pilot;
    at("who").textContent = `${told.period} \u00b7 ${told.coder}`;
    at("synthetic").hidden = !told.synthetic;
    document.title = `${told.period} ${told.pilot}`;
  }
  at("far").textContent = `${told.done} coded, ${told.left} left` +
    (told.skipped ? `, ${told.skipped} of them skipped` : "");
  at("bar").max = Math.max(told.done + told.left, 1);
  at("bar").value = told.done;
  at("unit").hidden = !shown;
  at("end").hidden = Boolean(shown);
  at("back").disabled = at("undo").disabled = !told.back;
  close();
  if (shown) {
    unit(told);
  } else {
    const rest = [];
    if (told.skipped) rest.push(`${told.skipped} units were skipped.`);
    if (told.elsewhere) rest.push(`${told.elsewhere} units are with others.`);
    at("rest").textContent = rest.join(" ");
    at("again").hidden = !told.skipped;
  }
  at(shown ? "unit" : "end").focus();
}

function unit(told) {
  const fields = told.fields.flatMap((one, place) => {
    const text = make("dd", one.text || "\u2013", place ? "" : "text");
    text.dir = "auto";
    return [make("dt", one.name), text];
  });
  at("fields").replaceChildren(...fields);
  at("given").hidden = !told.given;
  at("given").textContent = told.given ? `You gave ${told.given}` : "";
  at("offer").hidden = !told.candidates.length;
  at("candidates").replaceChildren(...told.candidates.map((one, place) => {
    const button = make("button");
    button.type = "button";
    const title = make("span", one.title, "title");
    title.dir = "auto";
    button.append(make("kbd", String(place + 1)), make("span", one.code, "code"), title,
      make("span", one.score === null ? "" : one.score.toFixed(2), "score"));
    button.addEventListener("click", () => give(one));
    const item = make("li");
    item.append(button);
    return item;
  }));
  at("reason").textContent = told.reason;
}

function give(one) {
  if (!shown || busy) return;
  const body = { row: shown.row, code: one.code, replaces: shown.given };
  go("/code", body, `Saved for the last one: ${one.code} ${one.title}`.trim());
}

function close() {
  asking += 1;
  found = [];
  entered = false;
  at("words").value = "";
  list();
}

function list() {
  at("none").hidden = true;
  at("found").setAttribute("aria-busy", "false");
  at("found").replaceChildren(...found.map((one, place) => {
    const item = make("li");
    item.id = `found-${place}`;
    item.setAttribute("role", "option");
    item.append(make("span", one.code, "code"), make("span", one.title));
    item.addEventListener("mousedown", (event) => {
      event.preventDefault();
      give(one);
    });
    return item;
  }));
  at("words").setAttribute("aria-expanded", String(found.length > 0));
  pick(0);
}

function pick(place) {
  picked = Math.max(0, Math.min(place, found.length - 1));
  [...at("found").children].forEach((item, k) => {
    item.setAttribute("aria-selected", String(k === picked));
    if (k === picked) item.scrollIntoView({ block: "nearest" });
  });
  if (found.length) at("words").setAttribute("aria-activedescendant", `found-${picked}`);
  else at("words").removeAttribute("aria-activedescendant");
}

async function look() {
  const turn = ++asking;
  const words = at("words").value;
  found = []; // Enter must not choose from what was found for other words
  entered = false;
  at("found").setAttribute("aria-busy", "true"); // it still shows what other words found
  try {
    const told = words.trim() ? await ask("/search", { words }) : [];
    if (turn !== asking) return;
    found = told;
    list();
    at("none").hidden = found.length > 0 || !words.trim();
    // Who types a whole code has chosen it; anything else has to be seen first.
    if (entered && found.length && found[0].code === words.trim()) give(found[0]);
  } catch (error) {
    if (turn !== asking) return;
    list();
    say(error.message, true);
  }
}

at("words").addEventListener("input", look);
at("words").addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "ArrowDown") pick(picked + 1);
  else if (event.key === "ArrowUp") pick(picked - 1);
  else if (event.key === "Enter") {
    if (found.length && !event.repeat) give(found[picked]);
    else entered = true;
  } else if (event.key === "Escape") {
    close();
    at("unit").focus();
  } else return;
  event.preventDefault();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target === at("words") || event.isComposing) return;
  if (event.key === "u") go("/back");
  else if (!shown) return;
  else if (event.key === "/") at("words").focus();
  else if (event.key === "s") go("/skip", { row: shown.row });
  else if (/^[1-9]$/.test(event.key) && shown.candidates[event.key - 1])
    give(shown.candidates[event.key - 1]);
  else return;
  event.preventDefault();
});

at("skip").addEventListener("click", () => shown && go("/skip", { row: shown.row }));
for (const id of ["back", "undo"]) at(id).addEventListener("click", () => go("/back"));
at("again").addEventListener("click", () => go("/again"));

// The address of a server that was started again may differ in its secret alone.
addEventListener("hashchange", () => {
  if (location.hash.length > 1) {
    admit();
    go("/now");
  }
});
admit();
go("/now");
