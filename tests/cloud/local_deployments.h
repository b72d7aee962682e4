// Deployments on this machine, in a home of their own, whose server is a stand-in.
#pragma once

#include <cstdlib>
#include <gtest/gtest.h>

#include "cloud/local/local_provider.h"

namespace bundle::cloud {

/// Nothing of them is left after a test.
class LocalDeployments : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "bundle_cloud_XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    home_ = name;
    ::setenv("BUNDLE_HOME", home_.c_str(), 1);
  }
  void TearDown() override {
    const auto all = provider_->list();
    for (const auto& status : *all) (void)provider_->remove(status.name, {});
    std::filesystem::remove_all(home_);
  }

  static DeploymentSpec stub_spec(const std::string& name, const std::string& bundle) {
    DeploymentSpec spec;
    spec.name = name;
    spec.target = "local";
    spec.bundle = bundle;
    spec.digest = "sha256:00";
    spec.server = {STUB_SERVER};
    spec.launch =
        JsonObject{{"name", bundle.substr(0, bundle.find(':'))}, {"runtime", JsonObject{}}};
    spec.drain_seconds = 1;
    return spec;
  }

  Path home_;
  std::unique_ptr<Provider> provider_ = make_local_provider();
};

}  // namespace bundle::cloud
