//===- DemoTest.cpp - The demo checkpoints answer as they should ----------===//
//
// `vlmc classify` on each `models/*/expected.json` and `vlmc run` on each
// `models/*/answers.json`, which hold what transformers answers for the
// pictures beside them.
//
//===----------------------------------------------------------------------===//
#include "frontend/support/Json.h"
#include "test/e2e/Checkpoints.h"
#include "test/e2e/Command.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
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

/// The name of a question's case.
static std::string caseName(size_t number) {
  return "question" + std::to_string(number);
}

/// A file of requests that asks every question of `answers`, each by itself.
static std::string writeQuestions(const std::string &folder,
                                  const Json &answers) {
  Json cases = Json::array();
  for (const Json &picture : answers["pictures"])
    for (const Json &asked : picture["questions"])
      cases.push_back(
          {{"name", caseName(cases.size())},
           {"messages",
            {{{"role", "user"},
              {"content",
               {{{"type", "image"}},
                {{"type", "text"}, {"text", asked["question"]}}}}}}},
           {"images", {folder + "/" + picture["file"].get<std::string>()}}});
  std::string path = freshPath("questions.json");
  Json requests = {{"mode", "files"}, {"cases", std::move(cases)}};
  std::ofstream(path) << requests.dump();
  return path;
}

/// How many questions there were.
static size_t checkAnswers(const std::string &folder) {
  Result<Json> answers = readJsonFile(folder + "/answers.json");
  if (!answers) {
    ADD_FAILURE() << answers.message();
    return 0;
  }
  Tensors out = runRequests(folder, writeQuestions(folder, *answers));
  size_t number = 0, right = 0;
  for (const Json &picture : (*answers)["pictures"])
    for (const Json &asked : picture["questions"]) {
      std::vector<char> text = out.values<char>(caseName(number++) + ".text");
      std::string answer(text.begin(), text.end());
      EXPECT_EQ(answer, asked["answer"].get<std::string>())
          << picture["file"] << ": " << asked["question"];
      right += answer == asked["right"].get<std::string>();
    }
  EXPECT_GE(right * 10, number * 9) << "a demo that is mostly right";
  return number;
}

TEST(DemoTest, AnswersAsTransformers) {
  size_t questions = 0;
  for (const auto &entry :
       std::filesystem::directory_iterator(VLMC_SOURCE_DIR "/models")) {
    if (!std::filesystem::exists(entry.path() / "answers.json"))
      continue;
    SCOPED_TRACE(entry.path());
    questions += checkAnswers(entry.path().string());
  }
  EXPECT_GT(questions, 5U) << "no models/*/answers.json";
}
