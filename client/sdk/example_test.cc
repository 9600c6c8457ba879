// Runs the example as its users do.

#include <stdlib.h>

#include <cstdio>
#include <string>
#include <utility>

#include "client/sdk/testing/fake_segment_service.h"
#include "client/sdk/testing/fake_weftd.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace weft::sdk {
namespace {

using ::testing::HasSubstr;
using ::testing::Pair;

// The exit status and the output of the example, given these arguments.
std::pair<int, std::string> RunExample(const std::string& arguments) {
  FILE* const out = popen(("client/sdk/weft_example " + arguments + " 2>&1").c_str(), "re");
  std::string text;
  for (int c = std::fgetc(out); c != EOF; c = std::fgetc(out)) text.push_back(static_cast<char>(c));
  return {WEXITSTATUS(pclose(out)), text};
}

class ExampleTest : public ::testing::Test {
 protected:
  ExampleTest() : service_(weftd_) {
    setenv("WEFT_SOCKET", weftd_.socket_path().c_str(), /*overwrite=*/1);
  }

  FakeWeftd weftd_;
  FakeSegmentService service_;
};

TEST_F(ExampleTest, WhatOneProcessWritesAnotherReads) {
  EXPECT_THAT(RunExample("write p/greeting 'hello, fabric'"), Pair(0, ""));
  EXPECT_THAT(RunExample("read p/greeting"), Pair(0, "hello, fabric\n"));
}

TEST_F(ExampleTest, SaysWhatWentWrong) {
  EXPECT_THAT(RunExample("read p/nothing"), Pair(1, HasSubstr("(SEGMENT_NOT_FOUND)")));
  EXPECT_THAT(RunExample("read"), Pair(2, HasSubstr("usage:")));
}

}  // namespace
}  // namespace weft::sdk
