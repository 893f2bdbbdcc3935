// Searches by beams that somebody ends, that fail, or that have no room.
#include "runtime/tasks/Engine.h"
#include "test/runtime/core/CoreFixture.h"
#include "test/runtime/tasks/FakeLanguageModel.h"

#include <map>

using namespace fake;

namespace {

constexpr int64_t kTokens = 12;

/// What a callback was told, and when it ends the search.
struct Hearer {
  std::string text;
  int64_t steps = 0, stopAfter = -1, failAfter = -1;
  std::map<int64_t, std::vector<int>> ends; ///< of each answer
};

/// As if memory ran out while the search goes on.
void countStep(Hearer &listener) {
  if (++listener.steps == listener.failAfter)
    throw std::bad_alloc();
}

int hearText(void *user, const char *text, size_t bytes) {
  auto &listener = *static_cast<Hearer *>(user);
  listener.text.append(text, bytes);
  if (bytes)
    return 0;
  countStep(listener);
  return listener.steps == listener.stopAfter;
}

int hearPiece(void *user, const vlm_piece_t *piece) {
  auto &listener = *static_cast<Hearer *>(user);
  listener.text.append(piece->text, piece->bytes);
  if (piece->answer >= 0) {
    if (!piece->token)
      listener.ends[piece->answer].push_back(piece->end);
    return 0;
  }
  EXPECT_EQ(piece->token, nullptr);
  EXPECT_EQ(piece->bytes, 0U);
  countStep(listener);
  return listener.steps == listener.stopAfter;
}

vlm_generate_options_t searching(int32_t beams) {
  vlm_generate_options_t options{};
  options.struct_bytes = sizeof(options);
  options.max_new_tokens = kTokens;
  options.beams = beams;
  options.beam_end = VLM_BEAMS_IMPOSSIBLE;
  return options;
}

class SearchTest : public ::testing::Test {
protected:
  using Session =
      std::unique_ptr<vlm_session_t, decltype(&vlm_session_destroy)>;
  using Batch = std::unique_ptr<vlm_batch_t, decltype(&vlm_batch_destroy)>;

  SearchTest() {
    writeFile(weights, noWeights());
    abi = languageModel();
    vlm_load_options_t options{};
    options.struct_bytes = sizeof(options);
    options.pool = pool.get();
    vlm_model_t *loaded = nullptr;
    EXPECT_OK(vlm_model_load_linked(&abi, weights.c_str(), &options, &loaded));
    model.reset(loaded);
  }
  Session open(const std::string &text) const {
    vlm_session_t *made = nullptr;
    EXPECT_OK(vlm_session_create(model.get(), nullptr, &made));
    EXPECT_OK(
        vlm_session_prompt(made, text.data(), text.size(), nullptr, 0, 0));
    return {made, vlm_session_destroy};
  }
  static std::string generate(const Session &session, int32_t beams,
                              Hearer listener = {}, vlm_end_t *end = nullptr) {
    vlm_generate_options_t options = searching(beams);
    EXPECT_OK(vlm_session_generate(session.get(), &options, hearText, &listener,
                                   end, nullptr));
    return listener.text;
  }
  vlm_request_t requestOf(const std::string &text,
                          const vlm_generate_options_t &options,
                          Hearer &listener) const {
    vlm_request_t request{};
    request.struct_bytes = sizeof(request);
    request.text = text.data();
    request.bytes = text.size();
    request.options = &options;
    request.callback = hearPiece;
    request.user = &listener;
    return request;
  }

  Pool pool = makePool(2);
  TemporaryFolder folder;
  std::string weights = folder.path / "talk.weights";
  vlm_abi_model abi{};
  Model model{nullptr, vlm_model_destroy};
  // The longer one fills a page of the cache and begins another.
  const std::vector<std::string> prompts = {"what is this?",
                                            std::string(60, 'p') + "and then?"};
};

} // namespace

TEST_F(SearchTest, OneThatIsEndedLeavesThePrompt) {
  for (const std::string &text : prompts) {
    const std::string wanted = generate(open(text), 1),
                      found = generate(open(text), 4);
    ASSERT_NE(wanted, found);
    for (int64_t stopAfter = 1; stopAfter < kTokens; ++stopAfter) {
      Session session = open(text);
      Hearer listener;
      listener.stopAfter = stopAfter;
      vlm_end_t end = VLM_END_LENGTH;
      EXPECT_EQ(generate(session, 4, listener, &end), "");
      EXPECT_EQ(end, VLM_END_CANCELLED);
      EXPECT_EQ(vlm_session_tokens(session.get()), int64_t(text.size()));
      // Both go on from the prompt as if nothing had been.
      EXPECT_EQ(generate(session, stopAfter % 2 ? 1 : 4),
                stopAfter % 2 ? wanted : found);
    }
  }
}

TEST_F(SearchTest, OneThatFailsLeavesThePrompt) {
  for (const std::string &text : prompts) {
    const std::string wanted = generate(open(text), 1);
    Session session = open(text);
    for (int64_t failAfter : {1, 3, 7}) {
      Hearer listener;
      listener.failAfter = failAfter;
      vlm_generate_options_t options = searching(4);
      EXPECT_EQ(
          fake::take(vlm_session_generate(session.get(), &options, hearText,
                                          &listener, nullptr, nullptr)),
          "generating text: not enough memory");
      EXPECT_EQ(vlm_session_tokens(session.get()), int64_t(text.size()));
    }
    EXPECT_EQ(generate(session, 1), wanted);
  }
}

TEST_F(SearchTest, OneThatGoesOnIsTold) {
  Hearer listener;
  vlm_generate_options_t options = searching(3);
  options.answers = 2;
  vlm_request_t request = requestOf(prompts[0], options, listener);
  Session session = open(prompts[1]);
  EXPECT_OK(vlm_session_answer(session.get(), &request));
  EXPECT_GE(listener.steps, 1);
  EXPECT_LT(listener.steps, kTokens);
  EXPECT_EQ(listener.ends.size(), 2U);
  // Ended there, the request has no answer, and the session holds its prompt.
  Hearer ended;
  ended.stopAfter = 2;
  request.user = &ended;
  EXPECT_OK(vlm_session_answer(session.get(), &request));
  EXPECT_EQ(ended.text, "");
  EXPECT_EQ(ended.steps, 2);
  EXPECT_EQ(ended.ends,
            (std::map<int64_t, std::vector<int>>{{0, {VLM_END_CANCELLED}},
                                                 {1, {VLM_END_CANCELLED}}}));
  EXPECT_EQ(vlm_session_tokens(session.get()), int64_t(prompts[0].size()));
  EXPECT_EQ(generate(session, 1), generate(open(prompts[0]), 1));
}

TEST_F(SearchTest, ABatchEndsOneBetweenSteps) {
  vlm_batch_options_t options{sizeof(options), 8, 0, 0, 0};
  vlm_batch_t *made = nullptr;
  ASSERT_OK(vlm_batch_create(model.get(), &options, &made));
  Batch batch(made, vlm_batch_destroy);
  for (const std::string &text : prompts) {
    vlm_generate_options_t search = searching(4), plain = searching(1);
    Hearer ended, other;
    vlm_request_t request = requestOf(text, search, ended);
    uint64_t number = 0;
    ASSERT_OK(vlm_batch_add(batch.get(), &request, &number));
    int64_t left = 1;
    while (left > 0) {
      ASSERT_OK(vlm_batch_step(batch.get(), &left));
      if (ended.steps == 4)
        vlm_batch_cancel(batch.get(), number);
    }
    EXPECT_EQ(ended.steps, 4);
    EXPECT_EQ(ended.ends[0], std::vector<int>{VLM_END_CANCELLED});
    // What it has computed of the prompt serves the next one.
    vlm_stats_t before{sizeof(before), 0, 0, 0, 0, 0, 0}, after = before;
    vlm_batch_stats(batch.get(), &before);
    request = requestOf(text, plain, other);
    ASSERT_OK(vlm_batch_add(batch.get(), &request, nullptr));
    for (left = 1; left > 0;)
      ASSERT_OK(vlm_batch_step(batch.get(), &left));
    vlm_batch_stats(batch.get(), &after);
    EXPECT_EQ(after.reused_tokens - before.reused_tokens, int64_t(text.size()));
    EXPECT_EQ(other.text, generate(open(text), 1));
  }
}

/// A context that is full has room for no beam: each answer is told once.
TEST_F(SearchTest, NoRoomIsToldOncePerAnswer) {
  using namespace vlmc::rt;
  Engine engine;
  EngineOptions options;
  options.maxSequences = 8;
  options.maxTokens = int64_t(prompts[0].size()) + 1;
  options.keepsOne = true;
  ASSERT_OK(engine.open(model.get(), options));
  vlm_generate_options_t asked = searching(1);
  Hearer listener;
  std::unique_ptr<Job> job;
  ASSERT_OK(engine.makeJob(requestOf(prompts[0], asked, listener), job));
  engine.add(std::move(job));
  while (engine.step() > 0) {
  }
  EXPECT_EQ(listener.ends[0], std::vector<int>{VLM_END_CONTEXT});
  for (int32_t answers : {0, 2}) {
    asked = searching(4);
    asked.answers = answers;
    ASSERT_OK(engine.continueJob(0, GenerateOptions(&asked), job));
    Hearer full;
    job->listener = {hearPiece, &full};
    engine.add(std::move(job));
    while (engine.step() > 0) {
    }
    EXPECT_EQ(full.ends.size(), size_t(std::max(answers, 1)));
    for (const auto &[number, ends] : full.ends)
      EXPECT_EQ(ends, std::vector<int>{VLM_END_CONTEXT}) << number;
    EXPECT_EQ(engine.slot(0).ids.size(), prompts[0].size() + 1);
  }
}
