// A server over the fake engine, for clients that are programs of their own (the openai package, a
// load generator). Prints its URL, serves until standard input closes, then drains.
//   fake_server [STEP_MICROSECONDS [API_KEY]]
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/server/fixture.h"

int main(int argc, char** argv) {
  using namespace bundle::server;
  const std::chrono::microseconds step(argc > 1 ? std::atoi(argv[1]) : 1000);
  ServerOptions options;
  if (argc > 2) options.api_keys = {plain_key(argv[2])};
  auto engine = std::make_shared<FakeEngine>(fox_script, step);
  auto server = HttpServer::start(options, engine);
  if (server.has_error()) {
    std::fprintf(stderr, "%s\n", server.error().message().c_str());
    return 1;
  }
  (*server)->set_model(toy_model());
  std::printf("http://127.0.0.1:%d\n", (*server)->port());
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  (*server)->begin_drain();
  return (*server)->wait() ? 0 : 1;
}
