//===- PublishedTest.cpp - Tests of models/*.textproto --------------------===//
//
// published/NAME holds the configuration files of a published checkpoint, with
// the keys that count; models/NAME.textproto is what importing them gives.
//
//===----------------------------------------------------------------------===//
#include "frontend/Frontend.h"

#include <gtest/gtest.h>

#include <filesystem>

using namespace vlmc;

static const std::string source = VLMC_SOURCE_DIR;

static std::vector<std::string> listPublished() {
  std::vector<std::string> names;
  for (const auto &entry : std::filesystem::directory_iterator(
           source + "/test/frontend/families/published"))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

namespace {
class PublishedTest : public testing::TestWithParam<std::string> {};
} // namespace

TEST_P(PublishedTest, SpecIsWhatImportGives) {
  std::vector<std::string> warnings;
  auto imported = importCheckpoint(
      source + "/test/frontend/families/published/" + GetParam(), warnings);
  ASSERT_TRUE(imported) << imported.message();
  auto model = readSpec(source + "/models/" + GetParam() + ".textproto");
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(printSpec(*model), printSpec(*imported));
  EXPECT_EQ(checkSpec(*model).value_or(Failure{}).message, "");
}

INSTANTIATE_TEST_SUITE_P(All, PublishedTest, testing::ValuesIn(listPublished()),
                         [](const auto &info) {
                           std::string name = info.param;
                           for (char &c : name)
                             if (!std::isalnum(static_cast<unsigned char>(c)))
                               c = '_';
                           return name;
                         });
