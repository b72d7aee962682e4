// The choice of tokens from rows of logits (TokenChoice, device.h). A row is cut into runs, of
// which the largest logit is found first: its likeliest tokens then lie in few runs, whatever their
// number. Where the weights of all tokens count, their sums over runs come second. Last, a block a
// row chooses: of few tokens by sorting them, of many by halving the interval in which the last one
// that stays must lie. Sums are double, in an order that depends on the vocabulary alone.
#include "runtime/kernels/cuda/ops/ops.h"
#include "runtime/kernels/cuda/ops/reduce.h"

namespace bundle::kernels::cuda {
namespace {

constexpr int kRunThreads = 256;
constexpr int kRunWarps = kRunThreads / kWarp;
constexpr int kRunsAWarp = 4;  // that weigh_runs adds up
constexpr int kThreads = 512;
constexpr int kWarps = kThreads / kWarp;
constexpr int kSorted = 2048;  // most tokens that are sorted
constexpr int kFewRuns = 128;  // whose largest logits a first guess at top_p's tokens reaches
constexpr int kManyRuns = 1024;
constexpr int kPivotRounds = 3;
constexpr int kTogether = 4;  // runs that a warp waits for at once
constexpr int kNone = 0x7FFFFFFF;
constexpr float kLargest = 3.4028234e38f;

BUNDLE_DEVICE float infinity() { return bits_as<float>(std::uint32_t{0x7F800000}); }

BUNDLE_DEVICE bool is_finite(float x) {
  return (bits_as<std::uint32_t>(x) & 0x7F800000u) != 0x7F800000u;
}

/// e^x for x <= 0. The sampler of the host has the same, to the bit: nothing may be fused.
BUNDLE_DEVICE float exp_unfused(float x) {
  constexpr float kToInteger = 12582912.0f;
  const float clamped = x < -87.0f ? -87.0f : x;
  const float shifted = plus(times(clamped, 1.44269504f), kToInteger);
  const float n = plus(shifted, -kToInteger);
  const float r = plus(plus(clamped, -times(n, 0.693359375f)), times(n, 2.12194440e-4f));
  float p = 1.0f / 5040.0f;
  p = plus(times(p, r), 1.0f / 720.0f);
  p = plus(times(p, r), 1.0f / 120.0f);
  p = plus(times(p, r), 1.0f / 24.0f);
  p = plus(times(p, r), 1.0f / 6.0f);
  p = plus(times(p, r), 0.5f);
  p = plus(times(p, r), 1.0f);
  p = plus(times(p, r), 1.0f);
  const std::uint32_t exponent = bits_as<std::uint32_t>(shifted) << 23;
  return x >= -87.0f ? bits_as<float>(bits_as<std::uint32_t>(p) + exponent) : 0.0f;
}

/// Numbers in the order of the floats that they stand for, without a gap: both zeros are one.
BUNDLE_DEVICE std::uint32_t ordered(float value) {
  const auto bits = bits_as<std::uint32_t>(value == 0.0f ? 0.0f : value);
  return (bits & 0x80000000u) != 0 ? ~bits + 1u : bits | 0x80000000u;
}

BUNDLE_DEVICE float from_ordered(std::uint32_t number) {
  return bits_as<float>((number & 0x80000000u) != 0 ? number & 0x7FFFFFFFu : ~(number - 1u));
}

template <typename T>
BUNDLE_DEVICE T read_field(const T& field) {
  return Global<const T>(&field)[0];
}

constexpr int kRunParts = kChoiceRun / kWarp;
struct RunPart {
  float logits[kRunParts];
};

/// One choice, and the row it is from.
struct Rule {
  Global<const float> logits;  // (cols)
  int cols;
  int runs;
  double uniform;
  double top_p;
  double offset;
  float scale;
  int top_k;

  BUNDLE_DEVICE Rule(const ChooseArgs& a, std::int64_t index)
      : logits(a.logits + read_field(a.choices[index].row) * a.cols),
        cols(static_cast<int>(a.cols)),
        runs(static_cast<int>(choice_runs(a.cols))),
        uniform(read_field(a.choices[index].uniform)),
        top_p(read_field(a.choices[index].top_p)),
        offset(read_field(a.choices[index].offset)),
        scale(read_field(a.choices[index].scale)),
        top_k(read_field(a.choices[index].top_k)) {}

  BUNDLE_DEVICE bool greedy() const { return scale < 0.0f; }
  BUNDLE_DEVICE bool limited() const { return top_k > 0 && top_k < cols; }
  BUNDLE_DEVICE bool weighs_all() const { return !greedy() && !limited(); }
  /// The least logit that min_p lets stay, given the largest.
  BUNDLE_DEVICE float floor(float max) const {
    const auto least = static_cast<float>(static_cast<double>(max) + offset);
    return largest(-kLargest, smallest(max, least));
  }
  BUNDLE_DEVICE float weight(float value, float max) const {
    return exp_unfused(times(plus(value, -max), scale));
  }
  BUNDLE_DEVICE int end_of(int run) const {
    const int end = (run + 1) * kChoiceRun;
    return end < cols ? end : cols;
  }
  /// This lane's logits of a run: lane_index(), 32 further, …; -infinity behind the row's end.
  BUNDLE_DEVICE RunPart load(int run) const {
    RunPart part;
    BUNDLE_UNROLL
    for (int i = 0; i < kRunParts; ++i) {
      const int id = part_id(run, i);
      part.logits[i] = id < cols ? logits[id] : -infinity();
    }
    return part;
  }
  BUNDLE_DEVICE static int part_id(int run, int i) {
    return run * kChoiceRun + i * kWarp + lane_index();
  }
};

/// Infinity where a logit of the run is not finite.
BUNDLE_KERNEL(kRunThreads, 1)
find_run_maxima(const ChooseArgs a) {
  wait_for_previous();
  const std::int64_t runs = choice_runs(a.cols);
  const std::int64_t index = std::int64_t{block_x()} * kRunWarps + warp_index();
  if (index >= a.count * runs) return;
  const Rule rule(a, index / runs);
  const int run = static_cast<int>(index % runs);
  float best = -infinity();
  const RunPart part = rule.load(run);
  BUNDLE_UNROLL
  for (int i = 0; i < kRunParts; ++i) {
    const bool missing = Rule::part_id(run, i) >= rule.cols;
    const float value = part.logits[i];
    best = largest(best, is_finite(value) || missing ? value : infinity());
  }
  best = max_lanes(best);
  if (lane_index() == 0) Global<float>(a.run_max).put(index, best);
}

BUNDLE_KERNEL(kRunThreads, 1)
weigh_runs(const ChooseArgs a) {
  wait_for_previous();
  const Rule rule(a, block_y());
  if (!rule.weighs_all()) return;
  const Global<const float> maxima(a.run_max + std::int64_t{block_y()} * rule.runs);
  const Global<double> sums(a.run_sums + std::int64_t{block_y()} * rule.runs);
  float best = -infinity();
  for (int run = thread_index(); run < rule.runs; run += kRunThreads) {
    best = largest(best, maxima[run]);
  }
  const float max = max_block(best, Shared<float>(0));
  const float floor = rule.floor(max);
  const int first = (block_x() * kRunWarps + warp_index()) * kRunsAWarp;
  for (int run = first; run < first + kRunsAWarp && run < rule.runs; ++run) {
    const RunPart part = rule.load(run);
    double sum = 0.0;
    BUNDLE_UNROLL
    for (int i = 0; i < kRunParts; ++i) {
      const float value = part.logits[i];
      if (value >= floor) sum += static_cast<double>(rule.weight(value, max));
    }
    sum = sum_lanes(sum);
    if (lane_index() == 0) sums.put(run, sum);
  }
}

/// A thread's part of sums over the block.
struct Part {
  double before;  // the sum of all parts of lower threads
  double after;   // with its own; the next thread's `before`
  double total;
};

/// Tokens of more than `value` stay, and of `value` those up to id `last`.
struct Cut {
  float value;
  int last;

  BUNDLE_DEVICE bool keeps(float other, int id) const {
    return other > value || (other == value && id <= last);
  }
};

/// What the block of a row shares, and the steps of its choice. All threads call every function.
struct Chooser {
  const Rule& rule;
  Shared<double> room;         // (kWarps)
  Shared<double> found_sum;    // (1)
  Shared<int> places;          // (kWarps)
  Shared<std::uint64_t> keys;  // (kSorted)
  Shared<double> sums;         // (runs)
  Shared<float> maxima;        // (runs)
  float max;
  float floor;

  static constexpr std::size_t kRoomBytes = (kWarps + 1) * sizeof(double) + kWarps * sizeof(int);
  static constexpr std::size_t kKeysAt = (kRoomBytes + 15) / 16 * 16;
  static constexpr std::size_t kSumsAt = kKeysAt + kSorted * sizeof(std::uint64_t);

  BUNDLE_DEVICE explicit Chooser(const Rule& of)
      : rule(of),
        room(0),
        found_sum(kWarps * sizeof(double)),
        places((kWarps + 1) * sizeof(double)),
        keys(kKeysAt),
        sums(kSumsAt),
        maxima(kSumsAt + static_cast<std::size_t>(of.runs) * sizeof(double)),
        max(0.0f),
        floor(0.0f) {}

  BUNDLE_DEVICE void begin(const ChooseArgs& a, std::int64_t index) {
    const Global<const float> run_max(a.run_max + index * rule.runs);
    const Global<const double> run_sums(a.run_sums + index * rule.runs);
    float best = -infinity();
    for (int run = thread_index(); run < rule.runs; run += kThreads) {
      const float value = run_max[run];
      maxima.put(run, value);
      if (rule.weighs_all()) sums.put(run, run_sums[run]);
      best = largest(best, value);
    }
    max = max_block(best, Shared<float>(0));
    floor = rule.floor(max);
    sync_block();
  }

  BUNDLE_DEVICE int least_of_block(int value) const {
    BUNDLE_UNROLL
    for (int mask = kWarp / 2; mask > 0; mask /= 2) {
      const int other = shuffle_xor(value, mask);
      value = other < value ? other : value;
    }
    sync_block();
    if (lane_index() == 0) places.put(warp_index(), value);
    sync_block();
    for (int warp = 0; warp < kWarps; ++warp) value = places[warp] < value ? places[warp] : value;
    return value;
  }

  BUNDLE_DEVICE Part add_block(double own) const {
    double inclusive = own;
    BUNDLE_UNROLL
    for (int step = 1; step < kWarp; step *= 2) {
      const int from = lane_index() < step ? 0 : lane_index() - step;
      const double other = shuffle_from(inclusive, from);
      if (lane_index() >= step) inclusive += other;
    }
    sync_block();
    if (lane_index() == kWarp - 1) room.put(warp_index(), inclusive);
    const double lower = shuffle_from(inclusive, lane_index() == 0 ? 0 : lane_index() - 1);
    sync_block();
    Part part{0.0, 0.0, 0.0};
    for (int warp = 0; warp < kWarps; ++warp) {
      if (warp == warp_index()) part.before = part.total;
      part.total += room[warp];
    }
    part.after = part.before + inclusive;
    if (lane_index() > 0) part.before += lower;
    return part;
  }

  /// Of n items a thread has neighbouring ones.
  BUNDLE_DEVICE int first_item(int n, int thread) const {
    const int at = (n + kThreads - 1) / kThreads * thread;
    return at < n ? at : n;
  }

  template <typename Item>
  BUNDLE_DEVICE Part add_items(int n, Item item) const {
    double own = 0.0;
    const int end = first_item(n, thread_index() + 1);
    for (int i = first_item(n, thread_index()); i < end; ++i) own += item(i);
    return add_block(own);
  }

  /// The first item at which the sums of add_items pass `goal` (or, with `reach`, come to it); the
  /// last that is not 0 where rounding lets none. found_sum is then the sum before it.
  template <typename Item>
  BUNDLE_DEVICE int find_item(int n, const Part& part, double goal, bool reach, Item item) const {
    int found = kNone;
    int last = -1;
    double found_before = 0.0;
    double sum = part.before;
    const bool here = reach ? part.after >= goal : part.after > goal;
    const int end = first_item(n, thread_index() + 1);
    for (int i = first_item(n, thread_index()); i < end && found == kNone; ++i) {
      const double weight = item(i);
      if (weight > 0.0) {
        last = i;
        found_before = sum;
      }
      sum += weight;
      if (here && (reach ? sum >= goal : sum > goal)) found = i;
    }
    if (here && found == kNone && last >= 0) found = last;
    int place = least_of_block(found);
    if (place == kNone) {
      place = -least_of_block(-last);
      found = last;
    }
    if (found == place && place >= 0) found_sum.put(0, found_before);
    sync_block();
    return place < 0 ? 0 : place;
  }

  BUNDLE_DEVICE std::uint64_t by_value(float value, int id) const {
    return std::uint64_t{~ordered(value)} << 32 | static_cast<std::uint32_t>(id);
  }
  BUNDLE_DEVICE float value_of(std::uint64_t key) const {
    return from_ordered(~static_cast<std::uint32_t>(key >> 32));
  }

  /// The first n keys, ascending.
  BUNDLE_DEVICE void sort(int n) const {
    int size = 1;
    while (size < n) size *= 2;
    for (int i = n + thread_index(); i < size; i += kThreads) keys.put(i, ~std::uint64_t{0});
    for (int span = 2; span <= size; span *= 2) {
      for (int step = span / 2; step > 0; step /= 2) {
        sync_block();
        for (int pair = thread_index(); pair < size / 2; pair += kThreads) {
          const int i = 2 * pair - (pair & (step - 1));
          const std::uint64_t a = keys[i];
          const std::uint64_t b = keys[i + step];
          if ((a > b) != ((i & span) == 0)) continue;
          keys.put(i, b);
          keys.put(i + step, a);
        }
      }
    }
    sync_block();
  }

  /// Calls visit(run, part) for this warp's runs that have a logit of at least `least`. Several are
  /// under way at once, since each takes long to come.
  template <typename Visit>
  BUNDLE_DEVICE void visit_runs(float least, Visit visit) const {
    for (int first = warp_index(); first < rule.runs; first += kWarps * kTogether) {
      RunPart parts[kTogether];
      bool wanted[kTogether];
      BUNDLE_UNROLL
      for (int i = 0; i < kTogether; ++i) {
        const int run = first + i * kWarps;
        wanted[i] = run < rule.runs && maxima[run] >= least;
        if (wanted[i]) parts[i] = rule.load(run);
      }
      BUNDLE_UNROLL
      for (int i = 0; i < kTogether; ++i) {
        if (wanted[i]) visit(first + i * kWarps, parts[i]);
      }
    }
  }

  /// Calls visit(id, logit) for this thread's part of those runs; logits behind the row's end are
  /// -infinity.
  template <typename Visit>
  BUNDLE_DEVICE void visit_tokens(float least, Visit visit) const {
    visit_runs(least, [&](int run, const RunPart& part) {
      BUNDLE_UNROLL
      for (int i = 0; i < kRunParts; ++i) visit(Rule::part_id(run, i), part.logits[i]);
    });
  }

  /// A logit that the largest of at least n runs reach, and of few more; n is at most `runs`.
  BUNDLE_DEVICE float reached_by(int n) const {
    float least = max;
    for (int run = thread_index(); run < rule.runs; run += kThreads) {
      least = smallest(least, maxima[run]);
    }
    sync_block();
    float low = -max_block(-least, Shared<float>(0));
    float high = max;
    for (int round = 0; round < kPivotRounds; ++round) {
      const auto pivot = [&](int i) {
        const float share = static_cast<float>(i) / static_cast<float>(kWarps);
        return i == 0 ? low : low * (1.0f - share) + high * share;
      };
      int reach = 0;
      const float mine = pivot(warp_index());
      for (int run = lane_index(); run < rule.runs; run += kWarp) reach += maxima[run] >= mine;
      reach = sum_lanes(reach);
      sync_block();
      if (lane_index() == 0) places.put(warp_index(), reach);
      sync_block();
      int best = 0;
      for (int i = 1; i < kWarps; ++i) best = places[i] >= n ? i : best;
      const float above = best + 1 < kWarps ? pivot(best + 1) : high;
      low = pivot(best);
      high = above;
    }
    return low;
  }

  /// Makes keys of the tokens from `least` on that wanted(id, logit) says, in no order, and gives
  /// their number; of more than kSorted it makes none.
  template <typename Wanted>
  BUNDLE_DEVICE int collect_if(float least, Wanted wanted) const {
    int count = 0;
    visit_tokens(least, [&](int id, float value) { count += wanted(id, value); });
    const Part part = add_block(count);
    if (part.total > kSorted) return kNone;
    int at = static_cast<int>(part.before);
    visit_tokens(least, [&](int id, float value) {
      if (wanted(id, value)) keys.put(at++, by_value(value, id));
    });
    sync_block();
    return static_cast<int>(part.total);
  }
  BUNDLE_DEVICE int collect(float least) const {
    return collect_if(least, [&](int, float value) { return value >= least; });
  }

  /// The token at the random share of the first n keys' weights.
  BUNDLE_DEVICE int draw_key(int n) const {
    for (int i = thread_index(); i < n; i += kThreads) {
      const std::uint64_t key = keys[i];
      keys.put(i, key << 32 | bits_as<std::uint32_t>(value_of(key)));
    }
    sort(n);
    const auto weight = [&](int i) {
      const auto bits = static_cast<std::uint32_t>(keys[i]);
      return static_cast<double>(rule.weight(bits_as<float>(bits), max));
    };
    const Part part = add_items(n, weight);
    const int place = find_item(n, part, rule.uniform * part.total, false, weight);
    return static_cast<int>(keys[place] >> 32);
  }

  /// Chooses from n keys, of which top_k's are the first. -1 where they are not `all` tokens that
  /// min_p lets stay, and too few for top_p of `total`.
  BUNDLE_DEVICE int choose_sorted(int n, bool all, double total) const {
    sort(n);
    if (rule.limited() && rule.top_k < n) n = rule.top_k;
    if (rule.top_p >= 1.0) return draw_key(n);
    const auto weight = [&](int i) {
      return static_cast<double>(rule.weight(value_of(keys[i]), max));
    };
    const Part part = add_items(n, weight);
    const double goal = rule.top_p * (rule.limited() ? part.total : total);
    if (!rule.limited() && !all && part.total < goal) return -1;
    return draw_key(find_item(n, part, goal, true, weight) + 1);
  }

  /// sums = of each run, item(id, logit) of its tokens.
  template <typename Item>
  BUNDLE_DEVICE void sum_runs(Item item) const {
    sync_block();
    visit_runs(-infinity(), [&](int run, const RunPart& part) {
      double sum = 0.0;
      BUNDLE_UNROLL
      for (int i = 0; i < kRunParts; ++i) sum += item(Rule::part_id(run, i), part.logits[i]);
      sum = sum_lanes(sum);
      if (lane_index() == 0) sums.put(run, sum);
    });
    sync_block();
  }

  BUNDLE_DEVICE Part add_runs() const {
    return add_items(rule.runs, [&](int run) { return sums[run]; });
  }

  /// The id at which items, whose sums over runs are in `sums` and `part`, pass the goal.
  template <typename Item>
  BUNDLE_DEVICE int find_id(const Part& part, double goal, Item item) const {
    const int run = find_item(rule.runs, part, goal, false, [&](int r) { return sums[r]; });
    const int first = run * kChoiceRun;
    const int n = rule.end_of(run) - first;
    const auto in_run = [&](int i) { return item(first + i, rule.logits[first + i]); };
    const double left = goal - found_sum[0];
    const Part inside = add_items(n, in_run);
    return first + find_item(n, inside, left, false, in_run);
  }

  /// Cuts behind the first tokens, in order, that `within` keeps and whose weigh(logit) add up to
  /// `need`. The last of them is closed in from both sides, by halving the interval of its logit
  /// and that of its bits in turn, until what lies between can be sorted or is of one logit.
  template <typename Weigh>
  BUNDLE_DEVICE Cut cut_behind(const Cut& within, float low, double need, Weigh weigh) const {
    float high = from_ordered(ordered(max) + 1);
    double above = 0.0;        // the weights of logits of at least `high`
    double above_count = 0.0;  // their number
    double count = rule.cols;  // the number of those of at least `low`, at most
    for (int turn = 0; count - above_count > kSorted; ++turn) {
      const std::uint32_t distance = ordered(high) - ordered(low);
      if (distance <= 1) return cut_ties(within, low, need - above, weigh(low));
      float middle = 0.5f * low + 0.5f * high;
      if (turn % 2 == 1 || !(middle > low && middle < high)) {
        middle = from_ordered(ordered(low) + distance / 2);
      }
      double own = 0.0;
      int own_count = 0;
      visit_tokens(middle, [&](int id, float value) {
        if (!(value >= middle && value < high && within.keeps(value, id))) return;
        own += weigh(value);
        ++own_count;
      });
      const double reached = above + add_block(own).total;
      const double number = above_count + add_block(own_count).total;
      if (reached >= need) {
        low = middle;
        count = number;
      } else {
        high = middle;
        above = reached;
        above_count = number;
      }
    }
    return cut_sorted(within, low, high, need - above, weigh);
  }

  /// The same of the tokens between two logits, of which there are few.
  template <typename Weigh>
  BUNDLE_DEVICE Cut cut_sorted(const Cut& within, float low, float high, double need,
                               Weigh weigh) const {
    const int n = collect_if(low, [&](int id, float value) {
      return value >= low && value < high && within.keeps(value, id);
    });
    // Rounding can ask for more than there is.
    if (n == 0) return {low, low == within.value ? within.last : kNone};
    sort(n);
    const auto item = [&](int i) { return weigh(value_of(keys[i])); };
    const Part part = add_items(n, item);
    const std::uint64_t last = keys[find_item(n, part, need, true, item)];
    return {value_of(last), static_cast<int>(last & 0xFFFFFFFFu)};
  }

  /// Of the tokens with logit `value` as many as `need` asks for, each weighing `weight`.
  BUNDLE_DEVICE Cut cut_ties(const Cut& within, float value, double need, double weight) const {
    const auto tied = [&](int id, float other) {
      return other == value && within.keeps(other, id) ? 1.0 : 0.0;
    };
    sum_runs(tied);
    const Part part = add_runs();
    if (!(need < part.total * weight)) return {value, value == within.value ? within.last : kNone};
    auto count = static_cast<double>(static_cast<std::int64_t>(need / weight));
    if (count * weight < need || count == 0.0) count += 1.0;
    return {value, find_id(part, count - 0.5, tied)};
  }

  /// Where more tokens stay than are sorted.
  BUNDLE_DEVICE int choose_wide() const {
    Cut cut{floor, kNone};
    if (rule.limited()) {
      cut = cut_behind(cut, floor, rule.top_k, [](float) { return 1.0; });
    }
    const auto weight = [&](float value) { return static_cast<double>(rule.weight(value, max)); };
    const auto kept = [&](int id, float value) {
      return cut.keeps(value, id) ? weight(value) : 0.0;
    };
    sum_runs(kept);
    Part part = add_runs();
    if (rule.top_p < 1.0) {
      // No token below has a weight.
      const float low = largest(cut.value, max - 88.0f / rule.scale);
      cut = cut_behind(cut, low, rule.top_p * part.total, weight);
      sum_runs(kept);
      part = add_runs();
    }
    return find_id(part, rule.uniform * part.total, kept);
  }

  BUNDLE_DEVICE int choose_limited() const {
    const float least = rule.top_k <= rule.runs ? largest(floor, reached_by(rule.top_k)) : floor;
    const int n = collect(least);
    return n == kNone ? choose_wide() : choose_sorted(n, false, 0.0);
  }

  BUNDLE_DEVICE int choose_nucleus(double total) const {
    const int most = rule.runs - rule.runs / 4;
    for (int reach = kFewRuns; reach <= kManyRuns; reach *= kManyRuns / kFewRuns) {
      const bool all = rule.cols <= kSorted;
      const float least = all ? floor : largest(floor, reached_by(reach < most ? reach : most));
      const int n = collect(least);
      if (n == kNone) break;
      const int id = choose_sorted(n, all || least == floor, total);
      if (id >= 0) return id;
    }
    return choose_wide();
  }

  BUNDLE_DEVICE int choose_any() const {
    const Part part = add_runs();
    if (rule.top_p < 1.0) return choose_nucleus(part.total);
    return find_id(part, rule.uniform * part.total, [&](int, float value) {
      return value >= floor ? static_cast<double>(rule.weight(value, max)) : 0.0;
    });
  }

  BUNDLE_DEVICE int likeliest() const {
    int first = kNone;
    for (int run = thread_index(); run < rule.runs && first == kNone; run += kThreads) {
      if (maxima[run] == max) first = run;
    }
    const int run = least_of_block(first);
    const int id = run * kChoiceRun + thread_index();
    return least_of_block(id < rule.end_of(run) && rule.logits[id] == max ? id : kNone);
  }

  BUNDLE_DEVICE int choose() const {
    if (max == infinity()) return -1;
    if (rule.greedy()) return likeliest();
    return rule.limited() ? choose_limited() : choose_any();
  }
};

BUNDLE_KERNEL(kThreads, 1)
choose_rows(const ChooseArgs a) {
  wait_for_previous();
  const Rule rule(a, block_x());
  Chooser chooser(rule);
  chooser.begin(a, block_x());
  const int id = chooser.choose();
  if (thread_index() == 0) Global<std::int32_t>(a.ids).put(block_x(), id);
}

}  // namespace

void choose(Stream stream, const ChooseArgs& args) {
  if (args.count == 0) return;
  const std::int64_t runs = choice_runs(args.cols);
  const auto blocks = [](std::int64_t n, std::int64_t each) {
    return static_cast<unsigned>((n + each - 1) / each);
  };
  launch(stream, "find_run_maxima", find_run_maxima,
         {.x = blocks(args.count * runs, kRunWarps), .threads = kRunThreads}, args);
  if (args.weighs_all) {
    launch(stream, "weigh_runs", weigh_runs,
           {.x = blocks(runs, kRunWarps * kRunsAWarp),
            .y = static_cast<unsigned>(args.count),
            .threads = kRunThreads,
            .shared_bytes = kRunWarps * sizeof(float)},
           args);
  }
  launch(stream, "choose_rows", choose_rows,
         {.x = static_cast<unsigned>(args.count),
          .threads = kThreads,
          .shared_bytes =
              Chooser::kSumsAt + static_cast<std::size_t>(runs) * (sizeof(double) + sizeof(float))},
         args);
}

}  // namespace bundle::kernels::cuda
