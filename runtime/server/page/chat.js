// The chat: a conversation in memory, one answer at a time, as it streams.
import { stream } from "./api.js";
import { markdown } from "./markdown.js";

const by = (id) => document.getElementById(id);
const number = (id) => (by(id).value === "" ? undefined : Number(by(id).value));

let model = "";
let conversation = [];
let running = null;  // the AbortController of the answer under way

export function setModel(name) { model = name; }

function atEnd(box) { return box.scrollHeight - box.scrollTop - box.clientHeight < 48; }

function addMessage(role) {
  by("empty").hidden = true;
  const node = document.createElement("article");
  node.className = "message " + role;
  const who = document.createElement("h2");
  who.textContent = role === "user" ? "You" : "Assistant";
  const reasoning = document.createElement("details");
  reasoning.className = "reasoning";
  reasoning.hidden = true;
  const summary = document.createElement("summary");
  summary.textContent = "Reasoning";
  const thoughts = document.createElement("div");
  reasoning.append(summary, thoughts);
  const body = document.createElement("div");
  body.className = "body";
  const figures = document.createElement("p");
  figures.className = "figures";
  node.append(who, reasoning, body, figures);
  by("messages").append(node);
  return { node, reasoning, summary, thoughts, body, figures };
}

function show(into, text) {
  into.replaceChildren(markdown(text));
}

function request() {
  const messages = [];
  if (by("system").value.trim() !== "") messages.push({ role: "system", content: by("system").value });
  return {
    model, messages: messages.concat(conversation), stream: true, stream_options: { include_usage: true },
    temperature: number("temperature"), max_tokens: number("max-tokens"), seed: number("seed"),
  };
}

function setBusy(busy) {
  by("send").hidden = busy;
  by("stop").hidden = !busy;
  by("again").disabled = busy || !conversation.some((m) => m.role === "user");
  by("messages").setAttribute("aria-busy", String(busy));
}

function describe(answer) {
  const seconds = (answer.last - answer.first) / 1000;
  const tokens = answer.usage?.completion_tokens;
  const parts = [];
  if (answer.first) parts.push(`first token after ${((answer.first - answer.started) / 1000).toFixed(2)} s`);
  if (tokens > 1 && seconds > 0) parts.push(`${((tokens - 1) / seconds).toFixed(1)} tokens/s`);
  if (answer.usage) {
    const cached = answer.usage.prompt_tokens_details?.cached_tokens || 0;
    parts.push(`${answer.usage.prompt_tokens} tokens in` + (cached ? ` (${cached} cached)` : ""), `${tokens} out`);
  }
  if (answer.finish && answer.finish !== "stop") parts.push(`ended: ${answer.finish}`);
  return parts.join(" · ");
}

// Takes one event in and says whether anything visible came.
function take(answer, event) {
  if (event.usage) answer.usage = event.usage;
  const choice = event.choices?.[0];
  if (!choice) return false;
  if (choice.finish_reason) answer.finish = choice.finish_reason;
  const thought = choice.delta?.reasoning_content ?? choice.delta?.reasoning ?? "";
  const text = choice.delta?.content ?? "";
  if (thought === "" && text === "") return false;
  answer.first ||= performance.now();
  answer.last = performance.now();
  answer.reasoning += thought;
  answer.content += text;
  return true;
}

function draw(view, answer) {
  const box = by("messages");
  const follow = atEnd(box);
  view.reasoning.hidden = answer.reasoning === "";
  if (answer.reasoning !== "") {
    show(view.thoughts, answer.reasoning);
    view.summary.textContent = answer.content === "" && running ? "Reasoning …" : "Reasoning";
  }
  show(view.body, answer.content);
  if (follow) box.scrollTop = box.scrollHeight;
}

function complain(view, error) {
  const node = document.createElement("p");
  node.className = "problem";
  node.setAttribute("role", "alert");
  const wait = error.retryAfter ? ` Try again in ${error.retryAfter} s.` : "";
  node.textContent = `${error.message}${wait}` + (error.code ? ` (${error.code})` : "");
  view.node.append(node);
  if (error.status === 401) by("key-button").click();
}

async function answer() {
  const view = addMessage("assistant");
  const state = { content: "", reasoning: "", started: performance.now(), first: 0, last: 0 };
  running = new AbortController();
  setBusy(true);
  let drawing = false;
  const redraw = () => {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => { drawing = false; draw(view, state); });
  };
  try {
    await stream("v1/chat/completions", request(), running.signal, (event) => { if (take(state, event)) redraw(); });
    by("announcer").textContent = state.content;
  } catch (error) {
    if (error.name === "AbortError") state.finish = "stopped"; else complain(view, error);
  }
  running = null;
  draw(view, state);
  view.figures.textContent = describe(state);
  if (state.content !== "") conversation.push({ role: "assistant", content: state.content });
  setBusy(false);
}

function send(text) {
  conversation.push({ role: "user", content: text });
  show(addMessage("user").body, text);
  by("messages").scrollTop = by("messages").scrollHeight;
  return answer();
}

// Asks the last question again, without the answer that it got.
function again() {
  while (conversation.at(-1)?.role === "assistant") conversation.pop();
  const messages = by("messages");
  while (messages.lastElementChild?.classList.contains("assistant")) messages.lastElementChild.remove();
  return answer();
}

function fresh() {
  running?.abort();
  conversation = [];
  by("messages").querySelectorAll(".message").forEach((node) => node.remove());
  by("empty").hidden = false;
  setBusy(false);
  by("prompt").focus();
}

export function start() {
  by("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = by("prompt").value.trim();
    if (text === "" || running) return;
    by("prompt").value = "";
    send(text);
  });
  by("prompt").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    by("composer").requestSubmit();
  });
  by("stop").addEventListener("click", () => running?.abort());
  by("again").addEventListener("click", again);
  by("fresh").addEventListener("click", fresh);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") running?.abort(); });
}
