//===- EncoderSessionTest.cpp - Prompts that an encoder reads -------------===//
//
// Sessions and batches of models with an encoder, and answers that are searched
// for by beams. Both are those of the goldens.
//
//===----------------------------------------------------------------------===//
#include "test/e2e/SessionFixture.h"
#include "test/e2e/Tensors.h"

using namespace vlmc::e2e;

// As in test/oracle/blip2_files.py.
static const std::string kQuestion =
    "Question: what's in it? 3 cats, naïve 猫\n Answer:";
static const std::string kCaption = "a photo of";
static constexpr int64_t kTokens = 8;

static vlm_generate_options_t searching(int32_t beams, float lengthPenalty = 0,
                                        int32_t end = VLM_BEAMS_DEFAULT) {
  vlm_generate_options_t options{};
  options.struct_bytes = sizeof(options);
  options.max_new_tokens = kTokens;
  options.beams = beams;
  options.length_penalty = lengthPenalty;
  options.beam_end = end;
  return options;
}

namespace {
class EncoderSessionTest : public SessionTest {
protected:
  std::string familyName() const override { return "blip2-t5"; }
  std::string checkpointName() const override { return "files"; }
  std::string golden(const std::string &name) const {
    Tensors file(goldensFolder() + "/blip2-t5/" + checkpointName() +
                 "/golden-files.safetensors");
    std::vector<char> bytes = file.values<char>(name + ".text");
    return {bytes.begin(), bytes.end()};
  }
  /// The searches of test/oracle/blip2_t5.py.
  static std::vector<vlm_generate_options_t> searches() {
    return {searching(3), searching(4, 2, VLM_BEAMS_FULL),
            searching(2, -1, VLM_BEAMS_IMPOSSIBLE)};
  }
};
class InstructedEncoderSessionTest : public EncoderSessionTest {
protected:
  std::string checkpointName() const override { return "files-instruct"; }
};
} // namespace

TEST_F(EncoderSessionTest, AnswersAsTheGoldens) {
  Session session = open();
  ASSERT_EQ(prompt(session, kQuestion, {0}), "");
  EXPECT_EQ(answer(session, kTokens), golden("ask"));
  ASSERT_EQ(prompt(session, kCaption, {1}), "");
  EXPECT_EQ(answer(session, kTokens), golden("caption"));
  // The same words with another picture, and back.
  ASSERT_EQ(prompt(session, kCaption, {0}), "");
  EXPECT_EQ(answer(session), fresh(kCaption, {0}));
  ASSERT_EQ(prompt(session, kQuestion, {0}), "");
  EXPECT_EQ(answer(session, kTokens), golden("ask"));
}

TEST_F(EncoderSessionTest, AnAnswerGoesOn) {
  Session session = open();
  ASSERT_EQ(prompt(session, kQuestion, {0}), "");
  std::string text = answer(session, 3), wanted = golden("ask");
  text += answer(session, kTokens - 3);
  for (std::string *each : {&text, &wanted}) // texts begin without a blank
    std::erase(*each, ' ');
  EXPECT_EQ(text, wanted);
}

TEST_F(EncoderSessionTest, APromptIsComputedOnce) {
  Session session = open();
  ASSERT_EQ(prompt(session, kQuestion, {0}), "");
  ASSERT_EQ(prompt(session, kQuestion, {0}), "");
  EXPECT_EQ(answer(session, kTokens), golden("ask"));
  vlm_stats_t stats{};
  stats.struct_bytes = sizeof(stats);
  vlm_session_stats(session.get(), &stats);
  EXPECT_EQ(stats.prompt_tokens, 2 * stats.reused_tokens);
  EXPECT_EQ(stats.pictures, 1);
}

TEST_F(EncoderSessionTest, SearchesByBeams) {
  std::vector<vlm_generate_options_t> all = searches();
  for (size_t i = 0; i < all.size(); ++i) {
    std::string wanted = golden("search" + std::to_string(i));
    Heard heard = alone({kQuestion, {0}, all[i], -1});
    ASSERT_EQ(heard.answers.size(), 1U);
    EXPECT_EQ(heard.answers[0].text, wanted) << i;
    // In a session that is asked other things before and behind.
    Session session = open();
    ASSERT_EQ(prompt(session, kQuestion, {0}), "");
    std::string text;
    ASSERT_EQ(take(vlm_session_generate(session.get(), &all[i], append, &text,
                                        nullptr, nullptr)),
              "");
    EXPECT_EQ(text, wanted) << i;
    ASSERT_EQ(prompt(session, kQuestion, {0}), "");
    EXPECT_EQ(answer(session, kTokens), golden("ask")) << i;
  }
}

TEST_F(EncoderSessionTest, SeveralAnswersAreTheBestOnes) {
  vlm_generate_options_t options = searching(3);
  options.answers = 2;
  Heard heard = alone({kQuestion, {0}, options, -1});
  ASSERT_EQ(heard.answers.size(), 2U);
  EXPECT_EQ(heard.answers[0].text, golden("search0"));
  EXPECT_NE(heard.answers[1].ids, heard.answers[0].ids);
}

TEST_F(EncoderSessionTest, RequestsOfABatchKeepTheirAnswers) {
  std::vector<Wish> wishes = {{kQuestion, {0}, searching(1), -1},
                              {kQuestion, {0}, searching(3), -1},
                              {kCaption, {1}, searching(1), -1},
                              {kQuestion, {0}, searches()[1], -1}};
  for (int64_t stepTokens : {1, 3, 64}) {
    std::vector<Heard> heard = together(wishes, 6, stepTokens);
    const char *names[] = {"ask", "search0", "caption", "search1"};
    for (size_t i = 0; i < wishes.size(); ++i)
      EXPECT_EQ(heard[i].answers[0].text, golden(names[i]))
          << i << " " << stepTokens;
  }
}

TEST_F(EncoderSessionTest, ASearchThatIsEndedLeavesThePrompt) {
  Session session = open();
  for (int64_t step : {1, 3, 5}) {
    Heard heard;
    std::vector<const vlm_image_t *> list;
    Wish wish{kQuestion, {0}, searching(3), -1};
    vlm_request_t asked = request(wish, heard, list);
    heard.stopSearchAfter = step;
    ASSERT_EQ(take(vlm_session_answer(session.get(), &asked)), "");
    ASSERT_EQ(heard.searchSteps, step);
    ASSERT_EQ(heard.answers.size(), 1U);
    EXPECT_EQ(heard.answers[0].end, VLM_END_CANCELLED);
    EXPECT_EQ(heard.answers[0].text, "");
  }
  EXPECT_EQ(answer(session, kTokens), golden("ask"));
}

TEST_F(EncoderSessionTest, PredictsEnough) {
  Session session = open();
  Heard heard;
  std::vector<const vlm_image_t *> list;
  Wish wish{kQuestion, {0}, searching(4), -1};
  vlm_request_t asked = request(wish, heard, list);
  vlm_prediction_t told{};
  told.struct_bytes = sizeof(told);
  ASSERT_EQ(take(vlm_session_predict(session.get(), &asked, &told)), "");
  EXPECT_GT(told.tokens, 6);
  ASSERT_EQ(take(vlm_session_answer(session.get(), &asked)), "");
  EXPECT_GE(told.cache_bytes, vlm_session_memory(session.get()));
}

TEST_F(EncoderSessionTest, RefusesWhatASearchDoesNot) {
  auto messageFor = [&](vlm_generate_options_t options) {
    Session session = open();
    EXPECT_EQ(prompt(session, kCaption, {1}), "");
    return take(vlm_session_generate(session.get(), &options, nullptr, nullptr,
                                     nullptr, nullptr));
  };
  vlm_generate_options_t options = searching(2);
  options.temperature = 1;
  EXPECT_EQ(messageFor(options),
            "beams: expected none beside temperature, penalties or logprobs, "
            "found 2; a search draws nothing and changes no logits");
  options = searching(2);
  options.answers = 3;
  EXPECT_EQ(messageFor(options),
            "answers: expected at most 2, as many as beams, found 3");
  EXPECT_EQ(messageFor(searching(65)), "beams: expected 0 to 64, found 65");
  EXPECT_EQ(messageFor(searching(2, 1, 4)),
            "beam_end: expected 0 to 3, found 4");
}

TEST_F(InstructedEncoderSessionTest, AnswersAsTheGoldens) {
  Session session = open();
  ASSERT_EQ(prompt(session, kCaption, {1}), "");
  EXPECT_EQ(answer(session, kTokens), golden("caption"));
  ASSERT_EQ(prompt(session, kQuestion, {0}), "");
  EXPECT_EQ(answer(session, kTokens), golden("ask"));
}
