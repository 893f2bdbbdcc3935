//===- QFormerSessionTest.cpp - Conversations about queried pictures ------===//
//
// Pictures stand in front of a prompt, and the tower may read the prompt beside
// them: what a picture is then depends on what is asked. Answers are those of
// the goldens.
//
//===----------------------------------------------------------------------===//
#include "test/e2e/SessionFixture.h"
#include "test/e2e/Tensors.h"

using namespace vlmc::e2e;

namespace {
class QFormerSessionTest : public SessionTest {
protected:
  std::string familyName() const override { return "blip2"; }
  std::string checkpointName() const override { return "files-opt"; }
  std::string golden(const std::string &name) const {
    Tensors file(goldensFolder() + "/blip2/" + checkpointName() +
                 "/golden-files.safetensors");
    std::vector<char> bytes = file.values<char>(name + ".text");
    return {bytes.begin(), bytes.end()};
  }
};
/// The Q-Former reads the prompt.
class InstructedSessionTest : public QFormerSessionTest {
protected:
  std::string checkpointName() const override { return "files-instruct"; }
};
} // namespace

// As in test/oracle/blip2_files.py.
static const std::string kQuestion =
    "Question: what's in it? 3 cats, naïve 猫\n Answer:";
static const std::string kCaption = "a photo of";
static constexpr int64_t kTokens = 9;

TEST_F(QFormerSessionTest, PicturesStandInFrontOfThePrompt) {
  for (int64_t prefill : {1, 5, 64}) {
    Session session = open(0, prefill);
    ASSERT_EQ(prompt(session, kQuestion, {0}), "");
    EXPECT_EQ(answer(session, kTokens), golden("ask")) << prefill;
    ASSERT_EQ(prompt(session, kCaption, {1}), "");
    EXPECT_EQ(answer(session, kTokens), golden("caption")) << prefill;
    ASSERT_EQ(prompt(session, kQuestion, {0}), "");
    EXPECT_EQ(answer(session, kTokens), golden("ask")) << prefill;
  }
  Session session = open();
  EXPECT_EQ(prompt(session, "<image> what?", {0}),
            "expected a prompt without '<image>', as pictures stand in front "
            "of it; leave it out");
}

TEST_F(InstructedSessionTest, APictureDependsOnTheQuestion) {
  Session session = open();
  ASSERT_EQ(prompt(session, kCaption, {1}), "");
  EXPECT_EQ(answer(session, kTokens), golden("caption"));
  ASSERT_EQ(prompt(session, kQuestion, {0}), "");
  EXPECT_EQ(answer(session, kTokens), golden("ask"));
  ASSERT_EQ(prompt(session, kQuestion, {1}), "");
  std::string other = answer(session, kTokens);
  EXPECT_NE(other, golden("ask"));
  // The same picture, for two questions.
  int64_t pictures = 0;
  size_t bytes = 0;
  vlm_model_picture_cache(model, &pictures, &bytes);
  EXPECT_EQ(pictures, 3);
  ASSERT_EQ(prompt(session, kCaption, {1}), "");
  EXPECT_EQ(answer(session, kTokens), golden("caption"));
  vlm_model_picture_cache(model, &pictures, &bytes);
  EXPECT_EQ(pictures, 3);
}
