//===- QFormerSessionTest.cpp - Conversations about queried pictures ------===//
//
// Pictures stand in front of a prompt, and the tower may read the prompt beside
// them: what a picture is then depends on what is asked.
//
//===----------------------------------------------------------------------===//
#include "test/e2e/SessionFixture.h"

using namespace vlmc::e2e;

namespace {
class QFormerSessionTest : public SessionTest {
  std::string familyName() const override { return "blip2"; }
  std::string checkpointName() const override { return "files-opt"; }
};
/// The Q-Former reads the prompt.
class InstructedSessionTest : public QFormerSessionTest {
  std::string checkpointName() const override { return "files-instruct"; }
};
} // namespace

static const std::string kQuestion = "Question: what is it? Answer:";

TEST_F(QFormerSessionTest, PicturesStandInFrontOfThePrompt) {
  std::string whole = fresh(kQuestion, {0});
  EXPECT_NE(whole, fresh(kQuestion, {1}));
  EXPECT_NE(whole, fresh(kQuestion, {}));
  for (int64_t prefill : {1, 5, 64}) {
    Session session = open(0, prefill);
    ASSERT_EQ(prompt(session, kQuestion, {0}), "");
    EXPECT_EQ(answer(session), whole) << prefill;
  }
  Session session = open();
  EXPECT_EQ(prompt(session, "<image> what?", {0}),
            "expected a prompt without '<image>', as pictures stand in front "
            "of it; leave it out");
  ASSERT_EQ(prompt(session, kQuestion + " a cat.", {0}), "");
  answer(session);
  ASSERT_EQ(prompt(session, kQuestion, {0}), "");
  EXPECT_EQ(answer(session), whole);
}

TEST_F(InstructedSessionTest, APictureDependsOnTheQuestion) {
  std::string first = fresh(kQuestion, {0});
  std::string second = fresh("Is it a dog?", {0});
  Session session = open();
  ASSERT_EQ(prompt(session, "Is it a dog?", {0}), "");
  EXPECT_EQ(answer(session), second);
  ASSERT_EQ(prompt(session, kQuestion, {0}), "");
  EXPECT_EQ(answer(session), first);
  int64_t pictures = 0;
  size_t bytes = 0;
  vlm_model_picture_cache(model, &pictures, &bytes);
  EXPECT_EQ(pictures, 2);
}
