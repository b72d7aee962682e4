#include "runtime/launch/service_manager.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/launch/watched_files.h"
#include "tests/golden/temp_folder.h"

namespace bundle::launch {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;

/// Sets a variable and takes it away again.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { ::unsetenv(name_); }

 private:
  const char* name_;
};

/// systemd's end of the notification socket.
class Manager {
 public:
  explicit Manager(const std::string& address) : socket_(::socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, address.data(), address.size());
    if (address[0] == '@') name.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&name), length), 0);
  }
  std::string next() const {
    char text[512];
    const ssize_t size = ::recv(socket_.get(), text, sizeof text, MSG_DONTWAIT);
    return size < 0 ? "" : std::string(text, static_cast<std::size_t>(size));
  }

 private:
  Fd socket_;
};

TEST(ServiceManager, HearsWhatHappens) {
  const golden::TempFolder folder;
  for (const std::string& address :
       {(folder.path() / "notify").string(), "@bundle-test-" + std::to_string(::getpid())}) {
    const Manager systemd(address);
    const Variable variable("NOTIFY_SOCKET", address);
    const ServiceManager manager;
    manager.ready("ready");
    EXPECT_THAT(systemd.next(), StartsWith("READY=1\nSTATUS=ready\nMAINPID="));
    manager.heartbeat();
    EXPECT_EQ(systemd.next(), "WATCHDOG=1");
    manager.reloading();
    EXPECT_THAT(systemd.next(), HasSubstr("RELOADING=1\nMONOTONIC_USEC="));
    manager.stopping();
    EXPECT_THAT(systemd.next(), HasSubstr("STOPPING=1"));
  }
}

TEST(ServiceManager, WithoutSystemdNothingHappens) {
  const ServiceManager manager;
  manager.ready("ready");
  EXPECT_FALSE(manager.heartbeat_interval());
  EXPECT_FALSE(manager.socket("http"));
}

TEST(ServiceManager, BeatsTwiceAsOftenAsSystemdWaits) {
  const Variable time("WATCHDOG_USEC", "30000000");
  EXPECT_EQ(ServiceManager().heartbeat_interval(), 15000ms);
  const Variable other("WATCHDOG_PID", "1");
  EXPECT_FALSE(ServiceManager().heartbeat_interval()) << "meant for another process";
}

TEST(ServiceManager, FindsSocketsByName) {
  const Variable count("LISTEN_FDS", "2");
  const Variable names("LISTEN_FDNAMES", "admin:web");
  EXPECT_FALSE(ServiceManager().socket("http")) << "no process is named";
  const Variable pid("LISTEN_PID", std::to_string(::getpid()));
  // Whatever is open there is marked; the test's own descriptors 3 and 4 need no protection.
  EXPECT_EQ(ServiceManager().socket("admin"), 3);
  EXPECT_EQ(ServiceManager().socket("http"), 4);
  EXPECT_FALSE(ServiceManager().socket("other"));
  const Variable other("LISTEN_PID", "1");
  EXPECT_FALSE(ServiceManager().socket("http"));
}

TEST(WatchedFiles, SeeReplacedAndRewrittenFiles) {
  const golden::TempFolder folder;
  const std::string path = (folder.path() / "keys").string();
  ASSERT_TRUE(write_file_atomic(path, "one"));
  WatchedFiles files({"", path});
  EXPECT_FALSE(files.empty());
  EXPECT_FALSE(files.changed());
  ASSERT_TRUE(write_file_atomic(path, "two"));
  EXPECT_TRUE(files.changed());
  EXPECT_FALSE(files.changed());
  std::filesystem::remove(path);
  EXPECT_TRUE(files.changed());
  EXPECT_TRUE(WatchedFiles({"", ""}).empty());
}

}  // namespace
}  // namespace bundle::launch
