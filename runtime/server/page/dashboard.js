// The dashboard: a page of metrics every two seconds, drawn as lines over the last minutes.
import { getJson, getText } from "./api.js";
import { Interval, parse } from "./metrics.js";

const EVERY = 2000;
const POINTS = 150;
const SVG = "http://www.w3.org/2000/svg";
const by = (id) => document.getElementById(id);

const seconds = (v) => (v === null ? "–" : v < 1 ? `${(v * 1000).toFixed(0)} ms` : `${v.toFixed(2)} s`);
const plain = (v) => (v === null ? "–" : v >= 100 ? v.toFixed(0) : v.toFixed(1).replace(/\.0$/, ""));
const percent = (v) => (v === null ? "–" : `${(v * 100).toFixed(0)} %`);

const CHARTS = [
  { title: "Throughput, tokens per second", format: plain, lines: [
    ["output", (i) => i.rate("vllm:generation_tokens_total")],
    ["prompts", (i) => i.rate("vllm:prompt_tokens_total")]] },
  { title: "Time to first token", format: seconds, lines: [
    ["mean", (i) => i.mean("vllm:time_to_first_token_seconds")],
    ["predicted wait", (i) => i.value("bundle_predicted_wait_seconds")]] },
  { title: "Time between tokens", format: seconds, lines: [
    ["mean", (i) => i.mean("vllm:inter_token_latency_seconds")]] },
  { title: "Requests", format: plain, lines: [
    ["running", (i) => i.value("vllm:num_requests_running")],
    ["waiting", (i) => i.value("vllm:num_requests_waiting")]] },
  { title: "KV cache in use", format: percent, most: 1, lines: [
    ["used", (i) => i.value("vllm:kv_cache_usage_perc")]] },
  { title: "Prompts found in the cache", format: percent, most: 1, lines: [
    ["hits", (i) => i.share("vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total")]] },
];

class Chart {
  constructor(plan) {
    this.plan = plan;
    this.points = plan.lines.map(() => []);
    this.figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    this.scale = document.createElement("span");  // what the upper line stands for
    caption.append(plan.title, this.scale);
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("viewBox", "0 0 100 40");
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("role", "img");
    this.label = document.createElementNS(SVG, "title");
    this.label.textContent = plan.title;
    this.svg.append(this.label, this.rule(0.5), this.rule(39.5));
    this.paths = plan.lines.map((_, i) => {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", i === 0 ? "one" : "two");
      this.svg.append(path);
      return path;
    });
    const legend = document.createElement("dl");
    this.values = plan.lines.map(([name], i) => {
      const pair = document.createElement("div");
      const term = document.createElement("dt");
      const value = document.createElement("dd");
      term.textContent = name;
      term.className = i === 0 ? "one" : "two";
      value.textContent = "–";
      pair.append(term, value);
      legend.append(pair);
      return value;
    });
    this.figure.append(caption, this.svg, legend);
  }

  rule(y) {
    const line = document.createElementNS(SVG, "line");
    for (const [name, value] of [["x1", 0], ["x2", 100], ["y1", y], ["y2", y]]) line.setAttribute(name, value);
    return line;
  }

  add(interval) {
    this.plan.lines.forEach(([, read], i) => {
      const value = read(interval);
      this.points[i].push(value);
      if (this.points[i].length > POINTS) this.points[i].shift();
      this.values[i].textContent = this.plan.format(value);
    });
    this.draw();
  }

  draw() {
    const known = this.points.flat().filter((v) => v !== null);
    const most = this.plan.most ?? Math.max(1e-9, ...known);
    this.paths.forEach((path, i) => path.setAttribute("d", this.line(this.points[i], most)));
    this.scale.textContent = known.length > 0 ? this.plan.format(most) : "";
    const parts = this.plan.lines.map(([name], i) => `${name} ${this.values[i].textContent}`);
    this.label.textContent = `${this.plan.title}: ${parts.join(", ")}; the top is ${this.plan.format(most)}`;
  }

  // Gaps stay gaps; a value between two of them is a dot.
  line(points, most) {
    let out = "";
    let pen = "M";
    points.forEach((value, i) => {
      if (value === null) { pen = "M"; return; }
      const x = 100 - (points.length - 1 - i) * (100 / (POINTS - 1));
      out += `${pen}${x.toFixed(2)} ${(39.5 - 39 * Math.min(value / most, 1)).toFixed(2)}${pen === "M" ? "h0" : ""}`;
      pen = "L";
    });
    return out;
  }
}

let charts = [];
let before = null;
let at = 0;

async function look() {
  const now = parse(await getText("metrics"));
  const time = performance.now();
  const interval = new Interval(before ?? now, now, (time - at) / 1000);
  if (before) charts.forEach((chart) => chart.add(interval));
  before = now;
  at = time;
  const advice = await getJson("autoscale");
  by("advice").textContent =
    `${advice.replicas.desired} ${advice.replicas.desired === 1 ? "replica is" : "replicas are"} called for: ${advice.reason}.`;
}

async function loop() {
  if (by("live").checked && !document.hidden) {
    try { await look(); } catch (error) { by("advice").textContent = error.message; before = null; }
  }
  setTimeout(loop, EVERY);
}

export function start() {
  charts = CHARTS.map((plan) => new Chart(plan));
  by("charts").append(...charts.map((chart) => chart.figure));
  loop();
}
