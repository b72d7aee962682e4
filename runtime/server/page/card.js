// The model card: what runs here, by which digest, and what it can do.
import { getJson } from "./api.js";

const by = (id) => document.getElementById(id);

function text(value) {
  if (value === null || value === undefined || value === "") return "–";
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.map(text).join(", ");
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return value.toLocaleString("en");
  if (typeof value === "object") return Object.entries(value).map(([k, v]) => `${k}: ${text(v)}`).join("; ");
  return String(value);
}

function table(caption, rows) {
  const node = document.createElement("table");
  const title = document.createElement("caption");
  title.textContent = caption;
  title.className = "unseen";
  const body = document.createElement("tbody");
  for (const [name, value] of rows) {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    const cell = document.createElement("td");
    head.scope = "row";
    head.textContent = name;
    cell.textContent = text(value);
    row.append(head, cell);
    body.append(row);
  }
  node.append(title, body);
  return node;
}

function heading(words) {
  const node = document.createElement("h2");
  node.textContent = words;
  return node;
}

const words = (name) => name.replaceAll("_", " ");

export async function load() {
  const model = (await getJson("v1/models")).data[0];
  let version = {};
  try { version = await getJson("version"); } catch { /* the key may not see it */ }
  by("card").replaceChildren(
    heading("What runs here"),
    table("What runs here", [
      ["name", model.id], ["content digest", model.content_digest], ["architecture", model.architecture],
      ["context, tokens", model.max_model_len], ["vocabulary", model.vocab_size],
      ["server version", version.version], ["system fingerprint", version.system_fingerprint]]),
    heading("What it can do"),
    table("What it can do", Object.entries(model.capabilities).map(([name, value]) => [words(name), value])));
  return model;
}
