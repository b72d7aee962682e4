// The page's frame: views, theme, key, and what the server says of itself.
import { ApiError, getJson, key, setKey } from "./api.js";
import * as card from "./card.js";
import * as chat from "./chat.js";
import * as dashboard from "./dashboard.js";

const by = (id) => document.getElementById(id);
const tabs = [...document.querySelectorAll("[role=tab]")];

function choose(tab, focus) {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    by(other.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (focus) tab.focus();
  history.replaceState(null, "", "#" + tab.id.replace("tab-", ""));
}

function startTabs() {
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => choose(tab, false));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: i + 1, ArrowLeft: i - 1 + tabs.length, Home: 0, End: tabs.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      choose(tabs[to % tabs.length], true);
    });
  });
  const named = by("tab-" + location.hash.slice(1));
  if (named) choose(named, false);
}

const THEMES = { "": "as the system has it", light: "light", dark: "dark" };

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme; else delete document.documentElement.dataset.theme;
  localStorage.setItem("theme", theme);
  by("theme-button").setAttribute("aria-label", "Theme: " + THEMES[theme]);
  by("theme-button").title = "Theme: " + THEMES[theme];
}

function startTheme() {
  const stored = localStorage.getItem("theme") || "";
  setTheme(stored in THEMES ? stored : "");
  by("theme-button").addEventListener("click", () => {
    const names = Object.keys(THEMES);
    setTheme(names[(names.indexOf(localStorage.getItem("theme") || "") + 1) % names.length]);
  });
}

function startKey() {
  by("key-button").addEventListener("click", () => {
    by("key").value = key();
    if (!by("key-dialog").open) by("key-dialog").showModal();
  });
  by("key-dialog").addEventListener("close", () => {
    if (by("key-dialog").returnValue !== "save") return;
    setKey(by("key").value.trim());
    loadModel();
  });
}

function setState(state, words) {
  if (by("state").textContent === words) return;
  by("state").dataset.state = state;
  by("state").textContent = words;
}

// Readiness needs no key.
async function watchState() {
  try {
    await getJson("ready");
    setState("ready", "ready");
  } catch (error) {
    const busy = error instanceof ApiError && ["overloaded", "model_loading", "engine_restarting"].includes(error.code);
    setState(busy ? "busy" : "down", error instanceof ApiError ? (error.code || "down").replaceAll("_", " ") : "no connection");
  }
  setTimeout(watchState, 3000);
}

let retry = 0;

async function loadModel() {
  clearTimeout(retry);
  try {
    const model = await card.load();
    chat.setModel(model.id);
    by("model-name").textContent = model.id;
    document.title = model.id + " · bundle";
  } catch (error) {
    by("card").textContent = error.message;
    if (error instanceof ApiError && error.status === 401) by("key-button").click();
    else retry = setTimeout(loadModel, 3000);
  }
}

startTheme();
startTabs();
startKey();
chat.start();
dashboard.start();
watchState();
loadModel();
