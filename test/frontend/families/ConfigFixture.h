//===- ConfigFixture.h - A config.json that a test makes --------*- C++ -*-===//
//
// A checkpoint folder whose configuration a test changes and imports.
//
//   class FooConfig : public ConfigFixture {
//   protected:
//     void SetUp() override { config = {{"model_type", "foo"}, ...}; }
//   };
//   config["hidden_size"] = 0;
//   EXPECT_EQ(messageOf(), "DIR/config.json: hidden_size: expected ...");
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_FRONTEND_FAMILIES_CONFIGFIXTURE_H
#define VLMC_TEST_FRONTEND_FAMILIES_CONFIGFIXTURE_H

#include "frontend/Frontend.h"
#include "frontend/support/Json.h"
#include "test/frontend/support/TestFolder.h"

#include <gtest/gtest.h>

namespace vlmc {

class ConfigFixture : public testing::Test {
protected:
  explicit ConfigFixture(std::string file = "config.json")
      : file(std::move(file)) {}

  Result<spec::ModelSpec> import() {
    folder.write(file, config.dump());
    if (!processor.is_null())
      folder.write("preprocessor_config.json", processor.dump());
    return importCheckpoint(folder.path(), warnings);
  }
  /// "" where the import succeeds.
  std::string messageOf() {
    auto result = import();
    return result ? "" : folder.relative(result.message());
  }
  /// The same without the path of the configuration in front of its lines.
  std::string shortMessageOf() {
    std::string message = messageOf();
    const std::string begin = "DIR/" + file + ": ";
    for (size_t at = 0; (at = message.find(begin, at)) != message.npos;)
      message.erase(at, begin.size());
    return message;
  }
  /// Component `index` of what the import gives, which must succeed.
  spec::Component component(int index) {
    auto result = import();
    EXPECT_TRUE(result) << result.message();
    return result ? result->components(index) : spec::Component();
  }

  TestFolder folder;
  std::vector<std::string> warnings;
  Json config;
  Json processor; ///< preprocessor_config.json, if it is to be there

private:
  std::string file;
};

} // namespace vlmc

#endif // VLMC_TEST_FRONTEND_FAMILIES_CONFIGFIXTURE_H
