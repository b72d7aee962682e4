// Markdown to DOM nodes. Text only ever becomes text nodes: what a model writes can not become markup
// of its own.

function element(name, ...children) {
  const node = document.createElement(name);
  node.append(...children);
  return node;
}

const INLINE = /(`+)([\s\S]*?[^`])\1(?!`)|\*\*([\s\S]+?)\*\*|__([\s\S]+?)__|\*([^\s*][^*]*?)\*|(?<![\w])_([^\s_][^_]*?)_(?![\w])|~~([\s\S]+?)~~|\[([^\]]*)\]\(([^\s)]+)\)/;

function link(text, address) {
  let url;
  try { url = new URL(address); } catch { return document.createTextNode(`[${text}](${address})`); }
  if (url.protocol !== "http:" && url.protocol !== "https:" && url.protocol !== "mailto:") {
    return document.createTextNode(`[${text}](${address})`);
  }
  const node = element("a", ...inline(text));
  node.href = url.href;
  node.rel = "noreferrer noopener";
  node.target = "_blank";
  return node;
}

export function inline(text) {
  const nodes = [];
  while (text !== "") {
    const match = INLINE.exec(text);
    if (!match) { nodes.push(document.createTextNode(text)); break; }
    if (match.index > 0) nodes.push(document.createTextNode(text.slice(0, match.index)));
    text = text.slice(match.index + match[0].length);
    if (match[1]) nodes.push(element("code", match[2].trim()));
    else if (match[3] ?? match[4]) nodes.push(element("strong", ...inline(match[3] ?? match[4])));
    else if (match[5] ?? match[6]) nodes.push(element("em", ...inline(match[5] ?? match[6])));
    else if (match[7]) nodes.push(element("del", ...inline(match[7])));
    else nodes.push(link(match[8], match[9]));
  }
  return nodes;
}

function codeBlock(lines, language) {
  const code = element("code", lines.join("\n"));
  if (language) code.dataset.language = language;
  const copy = element("button", "Copy");
  copy.type = "button";
  copy.setAttribute("aria-label", "Copy the code");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(code.textContent);
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });
  return element("pre", code, copy);
}

const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());

function table(lines) {
  const row = (line, kind) => element("tr", ...cells(line).map((cell) => element(kind, ...inline(cell))));
  return element("table", element("thead", row(lines[0], "th")),
                 element("tbody", ...lines.slice(2).map((line) => row(line, "td"))));
}

const BULLET = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;

// Items of one list; what is indented below an item belongs to it.
function list(lines, depth) {
  const first = BULLET.exec(lines[0]);
  const ordered = /\d/.test(first[2]);
  const node = element(ordered ? "ol" : "ul");
  if (ordered) node.start = parseInt(first[2], 10);
  const indent = first[1].length;
  let item = [];
  const flush = () => {
    if (item.length > 0) node.append(element("li", ...blocks(item, depth + 1, true)));
  };
  for (const line of lines) {
    const match = BULLET.exec(line);
    if (match && match[1].length <= indent) {
      flush();
      item = [match[3]];
    } else {
      item.push(line.replace(new RegExp(`^\\s{0,${indent + 2}}`), ""));
    }
  }
  flush();
  return node;
}

function takeWhile(lines, at, belongs) {
  let end = at;
  while (end < lines.length && belongs(lines[end], end)) ++end;
  return end;
}

const STARTS_BLOCK = /^\s*(```|~~~|#{1,6}\s|>|([-*_]\s*){3,}$)/;

function blocks(lines, depth, tight) {
  const out = [];
  for (let at = 0; at < lines.length;) {
    const line = lines[at];
    const fence = /^\s*(```+|~~~+)\s*(\S*)/.exec(line);
    const heading = /^(#{1,6})\s+(.*?)\s*#*$/.exec(line);
    if (line.trim() === "") { ++at; continue; }
    if (fence) {
      const end = takeWhile(lines, at + 1, (l) => !l.trim().startsWith(fence[1]));
      out.push(codeBlock(lines.slice(at + 1, end), fence[2]));
      at = end + 1;
    } else if (heading) {
      out.push(element("h" + Math.min(6, heading[1].length + 2), ...inline(heading[2])));
      ++at;
    } else if (/^\s*([-*_]\s*){3,}$/.test(line)) {
      out.push(element("hr"));
      ++at;
    } else if (/^\s*>/.test(line)) {
      const end = takeWhile(lines, at, (l) => /^\s*>/.test(l));
      const inner = lines.slice(at, end).map((l) => l.replace(/^\s*>\s?/, ""));
      out.push(element("blockquote", ...(depth < 16 ? blocks(inner, depth + 1) : inner)));
      at = end;
    } else if (BULLET.test(line) && depth < 16) {
      const end = takeWhile(lines, at, (l, i) => BULLET.test(l) || /^\s{2,}\S/.test(l) ||
        (l.trim() === "" && (BULLET.test(lines[i + 1] ?? "") || /^\s{2,}\S/.test(lines[i + 1] ?? ""))));
      out.push(list(lines.slice(at, end), depth));
      at = end;
    } else if (line.includes("|") && /^[\s|:-]*-[\s|:-]*$/.test(lines[at + 1] ?? "") && lines[at + 1].includes("|")) {
      const end = takeWhile(lines, at, (l) => l.includes("|"));
      out.push(table(lines.slice(at, end)));
      at = end;
    } else {
      const end = takeWhile(lines, at + 1, (l) => l.trim() !== "" && !STARTS_BLOCK.test(l) && !BULLET.test(l));
      const children = inline(lines.slice(at, end).join("\n"));
      if (tight && at === 0) out.push(...children); else out.push(element("p", ...children));
      at = end;
    }
  }
  return out;
}

export function markdown(text) {
  const fragment = document.createDocumentFragment();
  fragment.append(...blocks(text.replace(/\r\n?/g, "\n").split("\n"), 0, false));
  return fragment;
}
