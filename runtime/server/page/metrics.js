// Prometheus' text format into numbers: samples are summed over their labels.

export function parse(page) {
  const sums = new Map();
  for (const line of page.split("\n")) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/.exec(line);
    if (!match || match[1].endsWith("_bucket")) continue;
    const value = Number(match[3]);
    if (Number.isFinite(value)) sums.set(match[1], (sums.get(match[1]) || 0) + value);
  }
  return sums;
}

// What happened between two pages, `seconds` apart.
export class Interval {
  constructor(before, now, seconds) {
    this.before = before;
    this.now = now;
    this.seconds = seconds;
  }
  value(name) { return this.now.get(name) ?? null; }
  increase(name) {
    const now = this.now.get(name);
    // A counter that fell was started anew.
    return now === undefined ? null : Math.max(0, now - (this.before.get(name) ?? now));
  }
  rate(name) {
    const increase = this.increase(name);
    return increase === null || this.seconds <= 0 ? null : increase / this.seconds;
  }
  mean(histogram) {
    const count = this.increase(histogram + "_count");
    return count > 0 ? this.increase(histogram + "_sum") / count : null;
  }
  share(part, whole) {
    const all = this.increase(whole);
    return all > 0 ? this.increase(part) / all : null;
  }
}
