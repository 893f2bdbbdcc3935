//===- SessionTest.cpp - Conversations through the C interface ------------===//
//
// A session says what `vlmc run` says, however its prompt is cut; what two
// prompts have in common is not computed again and changes nothing.
//
//===----------------------------------------------------------------------===//
#include "test/e2e/SessionFixture.h"
#include "test/e2e/Tensors.h"

#include <thread>

using namespace vlmc::e2e;

TEST_F(SessionTest, PiecesOfThePromptChangeNothing) {
  std::string whole = fresh(kAsk, {0});
  EXPECT_FALSE(whole.empty());
  for (int64_t prefill : {1, 2, 5, 64}) {
    Session session = open(0, prefill);
    ASSERT_EQ(prompt(session, kAsk, {0}), "");
    EXPECT_EQ(answer(session), whole) << prefill;
  }
}

TEST_F(SessionTest, KeepsWhatPromptsShare) {
  Session session = open();
  ASSERT_EQ(prompt(session, kAsk, {0}), "");
  std::string first = answer(session);
  // The same again, longer, with another picture, shorter, without pictures.
  ASSERT_EQ(prompt(session, kAsk, {0}), "");
  EXPECT_EQ(answer(session), first);
  std::string longer = kAsk + " a cat. USER: <image> And this? ASSISTANT:";
  ASSERT_EQ(prompt(session, longer, {0, 1}), "");
  EXPECT_EQ(answer(session), fresh(longer, {0, 1}));
  ASSERT_EQ(prompt(session, longer, {0, 0}), "");
  EXPECT_EQ(answer(session), fresh(longer, {0, 0}));
  ASSERT_EQ(prompt(session, kAsk, {1}), "");
  EXPECT_EQ(answer(session), fresh(kAsk, {1}));
  ASSERT_EQ(prompt(session, "USER: Hello", {}), "");
  EXPECT_EQ(answer(session), fresh("USER: Hello", {}));
}

namespace {
/// Models whose frequencies depend on how long a sequence is: they change at 64
/// tokens.
class LengthSessionTest : public SessionTest,
                          public testing::WithParamInterface<const char *> {
protected:
  std::string checkpointName() const override { return GetParam(); }
  /// The prompts of the goldens, 31, 58 and 150 tokens or one less, and what
  /// transformers answers to each with 40 tokens.
  static std::string text(int words) {
    std::string text = "USER: <image>\n";
    for (int i = 0; i < words; ++i)
      text += "What is it? ";
    return text + "ASSISTANT:";
  }
  static std::vector<int32_t> wanted(int words) {
    Tensors golden(goldensFolder() + "/llava/" + GetParam() +
                   "/golden-files.safetensors");
    std::vector<int64_t> ids = golden.values<int64_t>(
        "ask" + std::to_string(words) + ".generated_ids");
    return {ids.begin(), ids.end()};
  }
  static Wish wish(int words) {
    Wish wish{text(words), {0}};
    wish.options.struct_bytes = sizeof(wish.options);
    wish.options.max_new_tokens = 40;
    return wish;
  }
  std::vector<int32_t> answerOf(const Session &session, int words) const {
    Heard heard;
    std::vector<const vlm_image_t *> list;
    const Wish asked = wish(words);
    vlm_request_t request = this->request(asked, heard, list);
    EXPECT_EQ(take(vlm_session_answer(session.get(), &request)), "");
    return heard.answers[0].ids;
  }
};
} // namespace

TEST_P(LengthSessionTest, AnswersThatCrossTheLimit) {
  for (int words : {1, 5, 20})
    for (int64_t prefill : {1, 7, 0}) {
      Session session = open(0, prefill);
      ASSERT_EQ(prompt(session, text(words), {0}), "");
      EXPECT_EQ(vlm_session_tokens(session.get()) < 64, words < 20);
      EXPECT_EQ(answerOf(session, words), wanted(words))
          << words << " " << prefill;
      EXPECT_GT(vlm_session_tokens(session.get()), 64);
    }
}

/// What is kept of a sequence was computed with its frequencies.
TEST_P(LengthSessionTest, OneSessionGoesBackBeforeTheLimit) {
  Session session = open();
  for (int words : {20, 1, 5, 1})
    EXPECT_EQ(answerOf(session, words), wanted(words)) << words;
}

/// Of sequences in one run, each has its own.
TEST_P(LengthSessionTest, ABatchHasSequencesOnBothSides) {
  vlm_batch_t *batch = nullptr;
  ASSERT_EQ(take(vlm_batch_create(model, nullptr, &batch)), "");
  const int words[] = {1, 20, 5};
  Heard heard[3];
  std::vector<const vlm_image_t *> lists[3];
  for (int i = 0; i < 3; ++i) {
    const Wish asked = wish(words[i]);
    vlm_request_t request = this->request(asked, heard[i], lists[i]);
    ASSERT_EQ(take(vlm_batch_add(batch, &request, nullptr)), "");
  }
  for (int64_t left = 1; left > 0;)
    ASSERT_EQ(take(vlm_batch_step(batch, &left)), "");
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(heard[i].answers[0].ids, wanted(words[i])) << words[i];
  vlm_batch_destroy(batch);
}

INSTANTIATE_TEST_SUITE_P(All, LengthSessionTest,
                         testing::Values("files-dynamic", "files-longrope"),
                         [](const auto &info) {
                           std::string name = info.param;
                           return name.substr(name.find('-') + 1);
                         });

TEST_F(TiledSessionTest, PiecesAndWhatPromptsShareChangeNothing) {
  std::string both = "a <image> and <image> b";
  std::string whole = fresh(both, {0, 1});
  EXPECT_FALSE(whole.empty());
  EXPECT_NE(whole, fresh(both, {1, 0}));
  Session session = open(0, 7);
  ASSERT_EQ(prompt(session, both, {0, 1}), "");
  EXPECT_EQ(answer(session), whole);
  ASSERT_EQ(prompt(session, both, {0, 0}), "");
  EXPECT_EQ(answer(session), fresh(both, {0, 0}));
  ASSERT_EQ(prompt(session, both, {0, 1}), "");
  EXPECT_EQ(answer(session), whole);
}

TEST_F(SessionTest, GoesOnWhereItEnded) {
  Session parts = open(), whole = open();
  ASSERT_EQ(prompt(parts, kAsk, {1}), "");
  ASSERT_EQ(prompt(whole, kAsk, {1}), "");
  int64_t before = vlm_session_tokens(parts.get());
  answer(parts, 4);
  EXPECT_EQ(vlm_session_tokens(parts.get()), before + 4);
  answer(parts, 6);
  answer(whole, 10);
  EXPECT_EQ(vlm_session_tokens(parts.get()), before + 10);
  EXPECT_EQ(answer(parts, 10), answer(whole, 10));
  EXPECT_GT(vlm_session_memory(parts.get()), 0U);
}

TEST_F(SessionTest, TheCallbackEndsTheAnswer) {
  Session session = open();
  ASSERT_EQ(prompt(session, kAsk, {0}), "");
  vlm_end_t end = VLM_END_TOKEN;
  int64_t tokens = 0;
  auto stop = [](void *, const char *, size_t) { return 1; };
  EXPECT_EQ(take(vlm_session_generate(session.get(), nullptr, stop, nullptr,
                                      &end, &tokens)),
            "");
  EXPECT_EQ(end, VLM_END_CANCELLED);
  EXPECT_LT(tokens, 10);
  ASSERT_EQ(prompt(session, kAsk, {0}), "");
  EXPECT_EQ(answer(session), fresh(kAsk, {0}));
}

TEST_F(SessionTest, AFullSessionSaysSo) {
  Session session = open(9);
  EXPECT_EQ(vlm_session_max_tokens(session.get()), 9);
  ASSERT_EQ(prompt(session, "abc", {}), "");
  int64_t held = vlm_session_tokens(session.get());
  EXPECT_EQ(prompt(session, kAsk, {0}),
            "prompt: has 30 tokens, expected fewer than 9, the most that the "
            "session holds, so that an answer has room; shorten it");
  EXPECT_EQ(vlm_session_tokens(session.get()), held);
  vlm_end_t end = VLM_END_TOKEN;
  vlm_generate_options_t options{};
  options.struct_bytes = sizeof(options);
  options.max_new_tokens = 100;
  EXPECT_EQ(take(vlm_session_generate(session.get(), &options, nullptr, nullptr,
                                      &end, nullptr)),
            "");
  EXPECT_EQ(end, VLM_END_CONTEXT);
  EXPECT_EQ(vlm_session_tokens(session.get()), 9);
}

TEST_F(SessionTest, RefusesWhatIsWrong) {
  Session session = open();
  EXPECT_EQ(take(vlm_session_generate(session.get(), nullptr, nullptr, nullptr,
                                      nullptr, nullptr)),
            "session: expected a prompt, found none; call vlm_session_prompt "
            "first");
  EXPECT_EQ(prompt(session, "<image><image>", {0}),
            "expected a placeholder '<image>' in the prompt for each picture, "
            "found 2 placeholders and 1 picture; give the pictures that are "
            "missing");
  EXPECT_EQ(prompt(session, "none", {0, 1}),
            "expected a placeholder '<image>' in the prompt for each picture, "
            "found 0 placeholders and 2 pictures; write '<image>' where the "
            "picture belongs");
  vlm_session_options_t options{sizeof(options), 4096, 0};
  vlm_session_t *made = nullptr;
  EXPECT_EQ(take(vlm_session_create(model, &options, &made)),
            "max_tokens: expected 0 to 512, as many as the model takes, found "
            "4096");
  options = {sizeof(options), 0, -1};
  EXPECT_EQ(take(vlm_session_create(model, &options, &made)),
            "prefill_tokens: expected 0 or more, found -1");
  vlm_generate_options_t wrong{};
  wrong.struct_bytes = sizeof(wrong);
  wrong.temperature = -1;
  EXPECT_NE(take(vlm_session_generate(session.get(), &wrong, nullptr, nullptr,
                                      nullptr, nullptr)),
            "");
  int64_t tokens = 0;
  EXPECT_EQ(take(vlm_session_count(session.get(), kAsk.data(), kAsk.size(),
                                   images.data(), 1, 1, &tokens)),
            "");
  EXPECT_EQ(tokens, 30);
}

TEST_F(SessionTest, SeveralRunAtOnce) {
  std::vector<std::string> prompts = {kAsk, "USER: Hello", "a <image> b"};
  std::vector<std::string> want, got(prompts.size());
  auto picturesOf = [](size_t i) {
    return i == 1 ? std::vector<size_t>{} : std::vector<size_t>{i / 2};
  };
  for (size_t i = 0; i < prompts.size(); ++i)
    want.push_back(fresh(prompts[i], picturesOf(i)));
  std::vector<std::thread> threads;
  for (size_t i = 0; i < prompts.size(); ++i)
    threads.emplace_back([&, i] { got[i] = fresh(prompts[i], picturesOf(i)); });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(got, want);
}
