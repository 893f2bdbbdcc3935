//===- LogprobsTest.cpp - How likely tokens were --------------------------===//
//
// The logarithms of probabilities that a session tells, beside transformers'
// logits.
//
//===----------------------------------------------------------------------===//
#include "test/e2e/SessionFixture.h"

#include <algorithm>
#include <cmath>

using namespace vlmc::e2e;

namespace {

/// Logits may differ by 2e-4 of their deviation, which is below 2; so may
/// their exponentials' sum.
constexpr double kTolerance = 1e-3;

/// The natural logarithms of the softmax.
std::vector<double> logSoftmax(const float *logits, size_t count) {
  double largest = *std::max_element(logits, logits + count), sum = 0;
  for (size_t i = 0; i < count; ++i)
    sum += std::exp(logits[i] - largest);
  std::vector<double> result;
  for (size_t i = 0; i < count; ++i)
    result.push_back(logits[i] - largest - std::log(sum));
  return result;
}

class LogprobsTest : public SessionTest {
protected:
  void SetUp() override {
    SessionTest::SetUp();
    golden.emplace(goldensFolder() + "/llava/" + checkpointName() +
                   "/golden-files.safetensors");
  }
  /// The prompts of a case.
  std::vector<std::string> promptsOf(const std::string &name) const {
    std::vector<std::string> prompts(1);
    for (uint8_t byte : golden->values<uint8_t>(name + ".prompt")) {
      if (byte)
        prompts.back() += char(byte);
      else
        prompts.emplace_back();
    }
    return prompts;
  }
  static void expectClose(const Heard::One &one, size_t token,
                          const std::vector<double> &want) {
    auto id = size_t(one.ids[token]);
    EXPECT_NEAR(one.logprobs[token], want[id], kTolerance) << token;
    ASSERT_EQ(one.likeliest[token].size(), 3U);
    for (size_t i = 0; i < 3; ++i) {
      auto [likely, logprob] = one.likeliest[token][i];
      EXPECT_NEAR(logprob, want[size_t(likely)], kTolerance) << token;
      // No other is likelier than the last of them.
      auto more = std::ranges::count_if(
          want, [&](double other) { return other > logprob + kTolerance; });
      EXPECT_LE(more, ptrdiff_t(i)) << token;
    }
  }

  std::optional<Tensors> golden;
};

} // namespace

TEST_F(LogprobsTest, OfThePromptAreThoseOfTransformers) {
  std::string text = promptsOf("batch").at(1);
  Wish wish{text, {1}, {}};
  wish.options.struct_bytes = sizeof(wish.options);
  wish.options.max_new_tokens = 1;
  wish.options.top_logprobs = 3;
  wish.options.prompt_logprobs = 1;
  for (int64_t prefill : {0, 4}) {
    Session session = open(0, prefill);
    Heard heard;
    std::vector<const vlm_image_t *> list;
    vlm_request_t asked = request(wish, heard, list);
    ASSERT_EQ(take(vlm_session_answer(session.get(), &asked)), "");
    auto ids = golden->values<int64_t>("batch.input_ids");
    auto mask = golden->values<uint8_t>("batch.attention_mask");
    auto logits = golden->values<float>("batch.logits");
    size_t columns = ids.size() / 2, words = logits.size() / ids.size();
    const Heard::One &prompt = heard.answers[-1];
    size_t token = 0;
    std::vector<double> before;
    for (size_t column = columns; column < 2 * columns; ++column) {
      if (!mask[column])
        continue;
      ASSERT_LT(token, prompt.ids.size());
      EXPECT_EQ(prompt.ids[token], ids[column]);
      if (token == 0) {
        EXPECT_EQ(prompt.logprobs[0], 0);
        EXPECT_TRUE(prompt.likeliest[0].empty());
      } else {
        expectClose(prompt, token, before);
      }
      before = logSoftmax(logits.data() + column * words, words);
      ++token;
    }
    EXPECT_EQ(prompt.ids.size(), token);
    expectClose(heard.answers[0], 0, before);
  }
}

TEST_F(LogprobsTest, OfAnswersAreThoseOfTransformers) {
  Wish wish{promptsOf("ask").at(0), {0}, {}};
  wish.options.struct_bytes = sizeof(wish.options);
  wish.options.max_new_tokens = 10;
  wish.options.top_logprobs = 3;
  Heard heard = alone(wish);
  const Heard::One &answer = heard.answers[0];
  auto want = golden->values<int64_t>("ask.generated_ids");
  EXPECT_TRUE(std::ranges::equal(answer.ids, want));
  auto last = golden->values<float>("ask.last_step_logits");
  expectClose(answer, answer.ids.size() - 1,
              logSoftmax(last.data(), last.size()));
  // They are of the model's own logits, whatever is made of those.
  wish.options.temperature = 0.1F;
  wish.options.top_k = 1;
  wish.options.frequency_penalty = 0;
  EXPECT_TRUE(alone(wish) == heard);
}
