#include "tests/packager/registry_process.h"

#include <arpa/inet.h>
#include <csignal>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "base/http_client.h"
#include "tests/packager/sample_model.h"

namespace bundle::packager::sample {
namespace {

int free_port() {
  const Fd fd(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("no free port");
  }
  return ntohs(address.sin_port);
}

}  // namespace

RegistryProcess::RegistryProcess(const Path& folder) {
  address_ = "127.0.0.1:" + std::to_string(free_port());
  std::filesystem::create_directories(folder);
  write_text(folder / "config.yml",
             "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
             "storage: {filesystem: {rootdirectory: " +
                 (folder / "data").string() + "}, delete: {enabled: true}}\nhttp: {addr: '" +
                 address_ + "'}\n");
  const auto started =
      spawn({.argv = {"docker-registry", "serve", (folder / "config.yml").string()},
             .output = folder / "log"});
  if (!started) throw std::runtime_error(started.error().message());
  pid_ = *started;
  for (int i = 0; i < 400; ++i) {
    HttpRequest request;
    request.url = "http://" + address_ + "/v2/";
    if (const auto answer = http_request(request); answer && answer->status == 200) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  throw std::runtime_error("docker-registry does not answer");
}

RegistryProcess::~RegistryProcess() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

}  // namespace bundle::packager::sample
