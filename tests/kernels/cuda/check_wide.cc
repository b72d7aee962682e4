#include "runtime/kernels/cuda/lane/lane.h"
#include "tests/kernels/cuda/check_weights.h"

namespace bundle::kernels::cuda {
namespace {

struct Case {
  DType type;
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t tokens;
  int tile;
  int parts = 2;
  int splits = 1;
  bool bias = false;
  bool accumulate = false;
  std::int64_t heads = 1;
  std::int64_t scale_rows = 128;

  std::string name() const {
    return "wide " + std::string(dtype_info(type).name) + " " + std::to_string(rows) + "x" +
           std::to_string(cols) + " tokens " + std::to_string(tokens) + " by " +
           std::to_string(tile) + " in " + std::to_string(parts) + " parts, " +
           std::to_string(splits) + " splits" + (heads > 1 ? " of heads" : "");
  }
  bool permuted() const { return type != DType::kBF16; }
};

/// As bfloat16 keeps it.
double rounded(float value) { return bf16_to_float(float_to_bf16(value)); }

/// A product with `heads` matrices beside each other in x and y.
CheckResult check(const Subject& subject, const Case& c) {
  std::mt19937 random(subject.seed);
  const DeviceWeights weights(subject, c.type, c.heads * c.rows, c.cols, random, c.scale_rows);
  const std::int64_t x_cols = c.heads * c.cols;
  const std::int64_t y_cols = c.heads * c.rows;
  const std::vector<float> x = random_values(static_cast<std::size_t>(c.tokens * x_cols), random);
  const std::vector<float> bias = random_values(static_cast<std::size_t>(c.rows), random);
  const std::vector<float> before =
      random_values(static_cast<std::size_t>(c.tokens * y_cols), random);
  const DeviceArray<float> in(subject, x);
  const DeviceArray<float> on_device(subject, bias, MemoryKind::kWeights);
  const DeviceArray<float> y(subject, c.accumulate ? before : unwritten(before.size()));
  const std::int64_t width = (x_cols + 63) / 64 * 64;
  const DeviceArray<std::uint16_t> planes(subject,
                                          static_cast<std::size_t>(c.parts * c.tokens * width));
  const DeviceArray<float> partial(
      subject, static_cast<std::size_t>(c.splits > 1 ? c.splits * c.tokens * c.rows : 0));
  subject.ops.cut_rows(subject.stream, {in.get(), x_cols, planes.get(), c.tokens, x_cols, width,
                                        c.parts, c.permuted()});
  WideArgs args{};
  args.product = {
      weights.matrix(), nullptr, nullptr,  0.0f,        c.bias ? on_device.get() : nullptr,
      y.get(),          y_cols,  c.tokens, c.accumulate};
  args.product.stack.count = c.heads;
  args.product.stack.x_step = c.cols;
  args.product.stack.y_step = c.rows;
  args.x = planes.get();
  args.x_rows = c.tokens;
  args.x_width = width;
  args.parts = c.parts;
  args.tile = c.tile;
  args.splits = c.splits;
  args.partial = partial.get();
  subject.ops.matmul_wide(subject.stream, args);
  std::vector<double> expected;
  const std::int64_t step = sampling_step(c.tokens * y_cols, c.cols);
  for (std::int64_t t = 0; t < c.tokens; ++t) {
    for (std::int64_t r = 0; r < y_cols; ++r) {
      if ((t + r) % step != 0) {
        expected.push_back(kAnyNumber);
        continue;
      }
      double sum = c.bias ? bias[static_cast<std::size_t>(r % c.rows)] : 0.0;
      if (c.accumulate) sum += before[expected.size()];
      for (std::int64_t k = 0; k < c.cols; ++k) {
        const float value = x[static_cast<std::size_t>(t * x_cols + r / c.rows * c.cols + k)];
        sum += weights.at(r, k) * (c.parts == 2 ? double{value} : rounded(value));
      }
      expected.push_back(sum);
    }
  }
  return result_of(subject, c.name(), largest_error(y.read(), expected),
                   c.parts == 2 ? 1e-4 : 2e-5);
}

/// Experts' slots in tiles, which share rows of x.
CheckResult check_slots(const Subject& subject, DType type, int parts) {
  constexpr std::int64_t kRows = 130, kCols = 136, kTokens = 40, kExperts = 3, kChoices = 2;
  constexpr std::int64_t kSlots = kTokens * kChoices;
  std::mt19937 random(subject.seed);
  const DeviceWeights weights(subject, type, kExperts * kRows, kCols, random,
                              type == DType::kI8 ? 1 : 128);
  const std::vector<float> x = random_values(kTokens * kCols, random);
  std::vector<std::int32_t> chosen;
  for (std::int64_t t = 0; t < kTokens; ++t) {
    chosen.push_back(t % 9 == 0 ? 1 : 2);
    chosen.push_back(0);
  }
  const DeviceArray<float> in(subject, x);
  const DeviceArray<std::int32_t> choice(subject, chosen);
  const DeviceArray<std::int32_t> order(subject, kSlots), starts(subject, kExperts + 1);
  const std::int64_t tile_count = most_expert_tiles(kSlots, kExperts, kTokensTile);
  const DeviceArray<ExpertTile> tiles(subject, static_cast<std::size_t>(tile_count));
  subject.ops.plan_experts(subject.stream, {choice.get(), kSlots, kExperts, kTokensTile,
                                            order.get(), starts.get(), tiles.get(), tile_count});
  constexpr std::int64_t kWidth = 192;
  const DeviceArray<std::uint16_t> planes(subject,
                                          static_cast<std::size_t>(parts * kTokens * kWidth));
  subject.ops.cut_rows(subject.stream, {in.get(), kCols, planes.get(), kTokens, kCols, kWidth,
                                        parts, type != DType::kBF16});
  const DeviceArray<float> y(subject, unwritten(kSlots * kRows));
  WideArgs args{};
  args.product.w = weights.matrix();
  args.product.y = y.get();
  args.product.y_stride = kRows;
  args.product.tokens = kSlots;
  args.product.stack.count = kExperts;
  args.product.stack.share = kChoices;
  args.product.stack.order = order.get();
  args.product.stack.tiles = tiles.get();
  args.product.stack.tile_count = tile_count;
  args.x = planes.get();
  args.x_rows = kTokens;
  args.x_width = kWidth;
  args.parts = parts;
  args.tile = kTokensTile;
  subject.ops.matmul_wide(subject.stream, args);
  std::vector<double> expected;
  for (std::int64_t s = 0; s < kSlots; ++s) {
    for (std::int64_t r = 0; r < kRows; ++r) {
      double sum = 0.0;
      for (std::int64_t k = 0; k < kCols; ++k) {
        const float value = x[static_cast<std::size_t>(s / kChoices * kCols + k)];
        sum += weights.at(chosen[static_cast<std::size_t>(s)] * kRows + r, k) *
               (parts == 2 ? double{value} : rounded(value));
      }
      expected.push_back(sum);
    }
  }
  return result_of(subject, "wide slots of experts " + std::string(dtype_info(type).name),
                   largest_error(y.read(), expected), parts == 2 ? 1e-4 : 2e-5);
}

}  // namespace

std::vector<CheckResult> check_wide(const Subject& subject) {
  std::vector<Case> cases = {{DType::kBF16, 70, 136, 19, 32, 2, 1, true, true},
                             {DType::kBF16, 200, 64, 40, 32, 1, 1, false, false},
                             {DType::kBF16, 130, 520, 70, 64, 1, 3, true, true},
                             {DType::kBF16, 128, 328, 65, 128, 2, 2, true, false},
                             {DType::kBF16, 64, 200, 300, 256, 1, 1, false, true},
                             {DType::kBF16, 40, 72, 50, 64, 2, 1, false, false, 3},
                             {DType::kF8E4M3, 150, 336, 20, 32, 2, 1, true, true},
                             {DType::kF8E4M3, 256, 400, 66, 64, 1, 2, true, false},
                             {DType::kF8E4M3, 130, 128, 130, 128, 2, 1, false, false},
                             {DType::kI8, 100, 272, 33, 32, 2, 1, false, false, 1, 1},
                             {DType::kF8E4M3, 128, 128, 40, 64, 2, 1, false, false, 2}};
  if (subject.large) {
    cases.push_back({DType::kBF16, 4096, 4096, 256, 256, 1, 4, true, true});
    cases.push_back({DType::kBF16, 6144, 4096, 2048, 256, 1, 1, false, false});
    cases.push_back({DType::kBF16, 1536, 8960, 100, 128, 2, 5, false, true});
    cases.push_back({DType::kF8E4M3, 2048, 7168, 128, 128, 2, 3, false, true});
    cases.push_back({DType::kF8E4M3, 7168, 2048, 700, 128, 1, 1, false, false});
    cases.push_back({DType::kI8, 1024, 4096, 64, 64, 1, 2, false, false, 1, 1});
  }
  std::vector<CheckResult> results;
  for (const Case& c : cases) results.push_back(check(subject, c));
  for (const int parts : {1, 2}) {
    results.push_back(check_slots(subject, DType::kBF16, parts));
    results.push_back(check_slots(subject, DType::kF8E4M3, parts));
  }
  return results;
}

}  // namespace bundle::kernels::cuda
