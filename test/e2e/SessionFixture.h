//===- SessionFixture.h - A model to converse with --------------*- C++ -*-===//
//
// A compiled model of the goldens with two pictures, sessions of it, and what
// they answer.
//
//   TEST_F(SessionTest, Answers) {
//     Session session = open();
//     ASSERT_EQ(prompt(session, kAsk, {0}), "");
//     EXPECT_EQ(answer(session), ...);
//   }
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_E2E_SESSIONFIXTURE_H
#define VLMC_TEST_E2E_SESSIONFIXTURE_H

#include "runtime/vlm.h"
#include "test/e2e/Checkpoints.h"
#include "test/e2e/Command.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>

namespace vlmc::e2e {

inline std::string take(vlm_status_t *status) {
  std::string message = vlm_status_message(status);
  vlm_status_destroy(status);
  return message;
}

inline int append(void *user, const char *text, size_t bytes) {
  static_cast<std::string *>(user)->append(text, bytes);
  return 0;
}

/// All that a request's callback was told.
struct Heard {
  struct One {
    std::string text;
    std::vector<int32_t> ids;
    std::vector<float> logprobs;
    std::vector<std::vector<std::pair<int32_t, float>>> likeliest;
    int end = -1; ///< once it is over
    std::string failure;
    bool operator==(const One &) const = default;
  };
  std::map<int64_t, One> answers; ///< by number, -1: the prompt
  int64_t stopAfter = -1;         ///< tokens
  int64_t searchSteps = 0, stopSearchAfter = -1;

  bool operator==(const Heard &other) const { return answers == other.answers; }
};

inline int hear(void *user, const vlm_piece_t *piece) {
  auto *heard = static_cast<Heard *>(user);
  if (piece->answer < 0 && !piece->token) { // a search goes on
    ++heard->searchSteps;
    return heard->searchSteps == heard->stopSearchAfter ? 1 : 0;
  }
  Heard::One &one = heard->answers[piece->answer];
  EXPECT_EQ(one.end, -1) << "a piece behind the last one";
  one.text.append(piece->text, piece->bytes);
  if (!piece->token) {
    one.end = piece->end;
    one.failure = vlm_status_message(piece->failure);
    return 0;
  }
  one.ids.push_back(piece->token->id);
  one.logprobs.push_back(piece->token->logprob);
  auto &likeliest = one.likeliest.emplace_back();
  for (size_t i = 0; i < piece->token->likeliest_count; ++i)
    likeliest.emplace_back(piece->token->likeliest[i].id,
                           piece->token->likeliest[i].logprob);
  return int64_t(one.ids.size()) == heard->stopAfter ? 1 : 0;
}

inline std::ostream &operator<<(std::ostream &stream, const Heard &heard) {
  for (const auto &[number, one] : heard.answers) {
    stream << "\n  " << number << ": '" << one.text << "' end " << one.end
           << " " << one.failure << " ids";
    for (int32_t id : one.ids)
      stream << " " << id;
  }
  return stream;
}

/// What a request is made of.
struct Wish {
  std::string text;
  std::vector<size_t> pictures;
  vlm_generate_options_t options{};
  int64_t stopAfter = -1;
};

/// A model of the goldens with two pictures.
class SessionTest : public testing::Test {
protected:
  void SetUp() override {
    std::string name = checkpointName();
    std::string family = familyName();
    Checkpoint checkpoint{
        family, name, goldensFolder() + "/" + family + "/" + name, {}};
    package = makePackage(checkpoint);
    ASSERT_FALSE(package.empty());
    vlm_load_options_t options{};
    options.struct_bytes = sizeof(options);
    options.image_backend = VLM_IMAGE_BACKEND_PIL;
    ASSERT_EQ(take(vlm_model_load(package.c_str(), &options, &model)), "");
    std::string pictures = goldensFolder() + "/clip/pictures/";
    for (const char *name : {"rgb-200x150.png", "jpeg-420-q85-97x131.jpg"})
      ASSERT_EQ(take(vlm_image_decode_file((pictures + name).c_str(), nullptr,
                                           &images.emplace_back())),
                "");
  }
  virtual std::string makePackage(const Checkpoint &checkpoint) const {
    return compile(checkpoint, {});
  }
  virtual std::string familyName() const { return "llava"; }
  virtual std::string checkpointName() const { return "files-mistral"; }
  void TearDown() override {
    for (vlm_image_t *image : images)
      vlm_image_destroy(image);
    vlm_model_destroy(model);
  }

  using Session = std::unique_ptr<vlm_session_t, void (*)(vlm_session_t *)>;
  Session open(int64_t maxTokens = 0, int64_t prefill = 0) const {
    vlm_session_options_t options{sizeof(options), maxTokens, prefill};
    vlm_session_t *session = nullptr;
    EXPECT_EQ(take(vlm_session_create(model, &options, &session)), "");
    return {session, vlm_session_destroy};
  }
  std::string prompt(const Session &session, const std::string &text,
                     const std::vector<size_t> &pictures) const {
    std::vector<const vlm_image_t *> list;
    for (size_t i : pictures)
      list.push_back(images[i]);
    return take(vlm_session_prompt(session.get(), text.data(), text.size(),
                                   list.data(), list.size(), 1));
  }
  static std::string answer(const Session &session, int64_t tokens = 10) {
    vlm_generate_options_t options{};
    options.struct_bytes = sizeof(options);
    options.max_new_tokens = tokens;
    std::string text;
    EXPECT_EQ(take(vlm_session_generate(session.get(), &options, append, &text,
                                        nullptr, nullptr)),
              "");
    return text;
  }
  /// Of a session that is asked nothing else.
  std::string fresh(const std::string &text,
                    const std::vector<size_t> &pictures) const {
    Session session = open();
    EXPECT_EQ(prompt(session, text, pictures), "");
    return answer(session);
  }

  /// A request over what the wish and the fixture hold.
  vlm_request_t request(const Wish &wish, Heard &heard,
                        std::vector<const vlm_image_t *> &list) const {
    list.clear();
    for (size_t i : wish.pictures)
      list.push_back(images[i]);
    heard.stopAfter = wish.stopAfter;
    vlm_request_t request{};
    request.struct_bytes = sizeof(request);
    request.text = wish.text.data();
    request.bytes = wish.text.size();
    request.images = list.data();
    request.image_count = list.size();
    request.special = 1;
    request.options = &wish.options;
    request.callback = hear;
    request.user = &heard;
    return request;
  }
  /// A wish fulfilled by a session that is asked nothing else.
  Heard alone(const Wish &wish) const {
    Session session = open();
    Heard heard;
    std::vector<const vlm_image_t *> list;
    vlm_request_t asked = request(wish, heard, list);
    EXPECT_EQ(take(vlm_session_answer(session.get(), &asked)), "");
    return heard;
  }
  /// The wishes fulfilled by one batch.
  std::vector<Heard> together(const std::vector<Wish> &wishes,
                              int64_t maxSequences, int64_t stepTokens) const {
    vlm_batch_options_t options{};
    options.struct_bytes = sizeof(options);
    options.max_sequences = maxSequences;
    options.step_tokens = stepTokens;
    vlm_batch_t *batch = nullptr;
    EXPECT_EQ(take(vlm_batch_create(model, &options, &batch)), "");
    std::vector<Heard> heard(wishes.size());
    for (size_t i = 0; batch && i < wishes.size(); ++i) {
      std::vector<const vlm_image_t *> list;
      vlm_request_t asked = request(wishes[i], heard[i], list);
      EXPECT_EQ(take(vlm_batch_add(batch, &asked, nullptr)), "");
    }
    for (int64_t left = 1; batch && left > 0;)
      if (std::string fault = take(vlm_batch_step(batch, &left));
          !fault.empty()) {
        ADD_FAILURE() << fault;
        break;
      }
    vlm_batch_destroy(batch);
    return heard;
  }

  std::string package;
  vlm_model_t *model = nullptr;
  std::vector<vlm_image_t *> images;
};

/// One that cuts pictures into tiles.
class TiledSessionTest : public SessionTest {
  std::string checkpointName() const override { return "next-files"; }
};

inline const std::string kAsk = "USER: <image>\nWhat's in it? ASSISTANT:";

} // namespace vlmc::e2e

#endif // VLMC_TEST_E2E_SESSIONFIXTURE_H
