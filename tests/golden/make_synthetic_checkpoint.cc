// make_synthetic_checkpoint CONFIG_JSON OUT_DIR [SEED]: writes a checkpoint of that configuration,
// of whatever size, with weights from golden's formula.
#include <cstdlib>
#include <iostream>

#include "tests/golden/synthetic_checkpoint.h"

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) {
    std::cerr << "usage: make_synthetic_checkpoint CONFIG_JSON OUT_DIR [SEED]\n";
    return 2;
  }
  const std::uint64_t seed = argc == 4 ? std::strtoull(argv[3], nullptr, 10) : 1;
  const auto config = bundle::read_file(argv[1]);
  int percent = -1;
  const auto tell = [&](std::string_view stage, std::uint64_t done, std::uint64_t total) {
    const int now = static_cast<int>(100 * done / total);
    if (now / 10 != percent / 10 || percent < 0) std::cerr << stage << ": " << now << " %\n";
    percent = now;
    return true;
  };
  const bundle::Status done =
      config ? bundle::golden::write_synthetic_checkpoint(*config, seed, argv[2], tell)
             : bundle::Status(config.error());
  if (done) return 0;
  std::cerr << "error: " << done.error().message() << "\n";
  return static_cast<int>(done.error().code);
}
