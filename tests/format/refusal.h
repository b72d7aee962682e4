// How tests say "this is refused, and the message tells this".
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string_view>

#include "base/result.h"

namespace bundle::format {

template <typename T>
void expect_refused(const Result<T>& result, std::string_view part,
                    ErrorCode code = ErrorCode::kBadInput) {
  ASSERT_TRUE(result.has_error()) << "accepted, but expected: " << part;
  EXPECT_THAT(result.error().message(), testing::HasSubstr(std::string(part)));
  EXPECT_EQ(result.error().code, code) << result.error().message();
}

}  // namespace bundle::format
