//===- DemoTest.cpp - The demo checkpoint classifies as it should ---------===//
//
// `vlmc classify` on each `models/*/expected.json`, which holds what
// transformers answers for the pictures beside it.
//
//===----------------------------------------------------------------------===//
#include "frontend/support/Json.h"
#include "test/e2e/Command.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

using namespace vlmc;
using namespace vlmc::e2e;

/// The prompts, in the order of the labels.
static std::vector<std::string> makePrompts(const Json &expected) {
  std::vector<std::string> prompts;
  for (const Json &label : expected["labels"]) {
    std::string prompt = expected["template"].get<std::string>();
    size_t place = prompt.find("{}");
    EXPECT_NE(place, prompt.npos) << prompt;
    prompts.push_back(prompt.replace(place, 2, label.get<std::string>()));
  }
  return prompts;
}

static Ended classify(const std::string &folder, const Json &expected,
                      const std::vector<std::string> &prompts) {
  std::vector<std::string> arguments{"classify", folder, "--json", "--image"};
  for (const Json &picture : expected["pictures"])
    arguments.push_back(folder + "/" + picture["file"].get<std::string>());
  std::string labels;
  for (const std::string &prompt : prompts)
    labels += (labels.empty() ? "" : ",") + prompt;
  arguments.insert(arguments.end(), {"--labels", labels});
  return runVlmc(arguments);
}

/// One line of the answer against what is expected of its picture.
static void expectPicture(const std::string &line, const Json &picture,
                          const Json &expected,
                          const std::vector<std::string> &prompts) {
  Result<Json> answer = parseJson(line, "answer");
  ASSERT_TRUE(answer) << answer.message();
  const Json &labels = (*answer)["labels"];
  const Json &wanted = picture["probabilities"];
  ASSERT_EQ(labels.size(), prompts.size());
  ASSERT_EQ(wanted.size(), prompts.size());
  size_t best = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(labels[i]["label"], prompts[i]);
    EXPECT_NEAR(labels[i]["probability"].get<double>(), wanted[i].get<double>(),
                expected["tolerance"].get<double>())
        << prompts[i];
    if (labels[i]["probability"] > labels[best]["probability"])
      best = i;
  }
  EXPECT_EQ(expected["labels"][best], picture["label"]);
}

static void checkDemo(const std::string &folder) {
  Result<Json> expected = readJsonFile(folder + "/expected.json");
  ASSERT_TRUE(expected) << expected.message();
  ASSERT_FALSE((*expected)["pictures"].empty());
  std::vector<std::string> prompts = makePrompts(*expected);
  Ended ended = classify(folder, *expected, prompts);
  ASSERT_EQ(ended.code, 0) << ended;
  std::istringstream lines(ended.out);
  for (const Json &picture : (*expected)["pictures"]) {
    SCOPED_TRACE(picture["file"]);
    std::string line;
    ASSERT_TRUE(std::getline(lines, line)) << ended.out;
    expectPicture(line, picture, *expected, prompts);
  }
  std::string more;
  EXPECT_FALSE(std::getline(lines, more)) << more;
  // The compiled model is in the cache now, and answers the same.
  EXPECT_EQ(classify(folder, *expected, prompts).out, ended.out);
}

TEST(DemoTest, ClassifiesAsTransformers) {
  size_t models = 0;
  for (const auto &entry :
       std::filesystem::directory_iterator(VLMC_SOURCE_DIR "/models")) {
    if (!std::filesystem::exists(entry.path() / "expected.json"))
      continue;
    SCOPED_TRACE(entry.path());
    checkDemo(entry.path().string());
    ++models;
  }
  EXPECT_GT(models, 0U) << "no models/*/expected.json";
}
