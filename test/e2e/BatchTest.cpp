//===- BatchTest.cpp - Many requests at once ------------------------------===//
//
// A batch gives each request the bits that a session gives it alone, whatever
// else is in work, however steps are cut, in any order and on any number of
// threads.
//
//===----------------------------------------------------------------------===//
#include "test/e2e/SessionFixture.h"

#include <algorithm>
#include <functional>
#include <random>

using namespace vlmc::e2e;

namespace {

using Batch = std::unique_ptr<vlm_batch_t, void (*)(vlm_batch_t *)>;

class BatchTest : public SessionTest {
protected:
  static Batch openBatch(const vlm_model_t *model,
                         vlm_batch_options_t options = {}) {
    options.struct_bytes = sizeof(options);
    vlm_batch_t *batch = nullptr;
    EXPECT_EQ(take(vlm_batch_create(model, &options, &batch)), "");
    return {batch, vlm_batch_destroy};
  }
  std::string add(const Batch &batch, const Wish &wish, Heard &heard,
                  uint64_t *number = nullptr) const {
    std::vector<const vlm_image_t *> list;
    vlm_request_t asked = request(wish, heard, list);
    return take(vlm_batch_add(batch.get(), &asked, number));
  }
  static int64_t step(const Batch &batch) {
    int64_t left = -1;
    EXPECT_EQ(take(vlm_batch_step(batch.get(), &left)), "");
    return left;
  }
  static void finish(const Batch &batch) {
    while (step(batch) > 0) {
    }
  }
};

/// One that cuts pictures into tiles.
class TiledBatchTest : public BatchTest {
  std::string checkpointName() const override { return "next-files"; }
};

vlm_generate_options_t options(int64_t tokens) {
  vlm_generate_options_t made{};
  made.struct_bytes = sizeof(made);
  made.max_new_tokens = tokens;
  return made;
}

/// Requests of all kinds: with and without pictures, greedy and by chance, of
/// one answer and of several, with logprobs, that end early.
std::vector<Wish> makeWishes(unsigned seed, size_t count) {
  std::mt19937 random(seed);
  auto below = [&](unsigned limit) { return unsigned(random() % limit); };
  const std::string words[] = {"USER: ", "Hello ", "what is this? ",
                               "a cat ", "x y z ", "Is it red? "};
  std::vector<Wish> wishes;
  for (size_t i = 0; i < count; ++i) {
    Wish wish;
    wish.options = options(1 + below(12));
    for (unsigned n = 1 + below(20); n > 0; --n) {
      if (below(12) == 0 && wish.pictures.size() < 2) {
        wish.text += "<image> ";
        wish.pictures.push_back(below(2));
      }
      wish.text += words[below(6)];
    }
    wish.options.answers = int32_t(below(3) == 0 ? 1 + below(3) : 0);
    if (below(2)) {
      wish.options.temperature = 0.5F + float(below(10)) / 10;
      wish.options.top_p = float(below(3)) / 3;
      wish.options.seed = below(1000);
    }
    wish.options.repetition_penalty = below(3) ? 1 : 1.3F;
    wish.options.logprobs = int32_t(below(2));
    wish.options.top_logprobs = int32_t(below(3) == 0 ? below(5) : 0);
    wish.options.prompt_logprobs = int32_t(below(5) == 0);
    wish.stopAfter = below(6) == 0 ? 1 + below(6) : -1;
    if (wish.options.prompt_logprobs)
      wish.stopAfter = -1; // which would stop in the prompt
    wishes.push_back(wish);
  }
  return wishes;
}

} // namespace

/// Adds in a random order, some before the first step and some between steps.
static void addAtRandom(std::mt19937 &random, size_t count,
                        const std::function<void(size_t)> &add,
                        const std::function<void()> &step) {
  std::vector<size_t> order(count);
  for (size_t i = 0; i < count; ++i)
    order[i] = i;
  std::shuffle(order.begin(), order.end(), random);
  for (size_t i : order) {
    add(i);
    for (unsigned n = unsigned(random() % 4); n > 0; --n)
      step();
  }
}

TEST_F(BatchTest, GivesTheBitsOfOneByOne) {
  std::vector<Wish> wishes = makeWishes(1, 24);
  std::vector<Heard> want;
  for (const Wish &wish : wishes)
    want.push_back(alone(wish));
  std::mt19937 random(7);
  int round = 0;
  for (int threads : {1, 2, 5})
    for (int64_t stepTokens : {1, 3, 16, 512}) {
      vlm_pool_t *pool = nullptr;
      ASSERT_EQ(take(vlm_pool_create(threads, &pool)), "");
      vlm_load_options_t load{};
      load.struct_bytes = sizeof(load);
      load.pool = pool;
      load.image_backend = VLM_IMAGE_BACKEND_PIL;
      load.picture_cache_bytes = round % 2 ? -1 : 0;
      vlm_model_t *own = nullptr;
      ASSERT_EQ(take(vlm_model_load(package.c_str(), &load, &own)), "");
      vlm_batch_options_t few{};
      few.max_sequences = 3 + int64_t(random() % 12);
      few.step_tokens = stepTokens;
      {
        Batch batch = openBatch(own, few);
        std::vector<Heard> got(wishes.size());
        addAtRandom(
            random, wishes.size(),
            [&](size_t i) { EXPECT_EQ(add(batch, wishes[i], got[i]), ""); },
            [&] { step(batch); });
        finish(batch);
        for (size_t i = 0; i < wishes.size(); ++i)
          EXPECT_TRUE(got[i] == want[i])
              << "request " << i << ", " << threads << " threads, steps of "
              << stepTokens << ": got" << got[i] << "\nwant" << want[i];
      }
      vlm_model_destroy(own);
      vlm_pool_destroy(pool);
      ++round;
    }
}

TEST_F(TiledBatchTest, GivesTheBitsOfOneByOne) {
  std::vector<Wish> wishes = makeWishes(3, 12);
  Batch batch = openBatch(model);
  std::vector<Heard> got(wishes.size());
  for (size_t i = 0; i < wishes.size(); ++i)
    ASSERT_EQ(add(batch, wishes[i], got[i]), "");
  finish(batch);
  for (size_t i = 0; i < wishes.size(); ++i) {
    Heard want = alone(wishes[i]);
    EXPECT_TRUE(got[i] == want) << i << ": got" << got[i] << "\nwant" << want;
  }
}

TEST_F(BatchTest, PromptsThatBeginAlikeAreComputedOnce) {
  Batch batch = openBatch(model);
  std::string shared = "USER: <image>";
  for (int i = 0; i < 40; ++i)
    shared += " word";
  std::vector<Wish> wishes;
  for (const char *end : {" one", " two", " three", ""})
    wishes.push_back({shared + end, {0}, options(6)});
  int64_t before = 0;
  for (const Wish &wish : wishes) {
    Heard heard;
    ASSERT_EQ(add(batch, wish, heard), "");
    finish(batch);
    EXPECT_TRUE(heard == alone(wish)) << heard << alone(wish);
    vlm_stats_t stats{sizeof(stats), 0, 0, 0, 0, 0, 0};
    vlm_batch_stats(batch.get(), &stats);
    EXPECT_EQ(stats.pictures, 1);
    int64_t computed = stats.prompt_tokens - stats.reused_tokens;
    if (before) {
      EXPECT_GT(computed, before);
      EXPECT_LT(computed, before + 8);
    }
    before = computed;
  }
}

TEST_F(BatchTest, PicturesAreLookedAtOnce) {
  int64_t pictures = -1;
  size_t bytes = 1;
  vlm_model_picture_cache(model, &pictures, &bytes);
  EXPECT_EQ(pictures, 0);
  EXPECT_EQ(bytes, 0U);
  Batch batch = openBatch(model);
  Wish first{"a <image> b", {0}, options(6)};
  Wish second{"<image> c <image> d <image>", {1, 0, 1}, options(6)};
  Heard one, two;
  ASSERT_EQ(add(batch, first, one), "");
  finish(batch);
  ASSERT_EQ(add(batch, second, two), "");
  finish(batch);
  vlm_stats_t stats{sizeof(stats), 0, 0, 0, 0, 0, 0};
  vlm_batch_stats(batch.get(), &stats);
  EXPECT_EQ(stats.pictures, 4);
  EXPECT_EQ(stats.reused_pictures, 2);
  vlm_model_picture_cache(model, &pictures, &bytes);
  EXPECT_EQ(pictures, 2);
  EXPECT_GT(bytes, 0U);
  // A model that keeps none says the same.
  vlm_load_options_t load{};
  load.struct_bytes = sizeof(load);
  load.image_backend = VLM_IMAGE_BACKEND_PIL;
  load.picture_cache_bytes = -1;
  vlm_model_t *keepsNone = nullptr;
  ASSERT_EQ(take(vlm_model_load(package.c_str(), &load, &keepsNone)), "");
  std::swap(model, keepsNone);
  EXPECT_TRUE(alone(first) == one) << one;
  EXPECT_TRUE(alone(second) == two) << two;
  vlm_model_picture_cache(model, &pictures, nullptr);
  EXPECT_EQ(pictures, 0);
  std::swap(model, keepsNone);
  vlm_model_destroy(keepsNone);
}

TEST_F(BatchTest, ARequestCanBeCancelled) {
  Batch batch = openBatch(model, {0, 2, 0, 0, 0});
  Wish wish{kAsk, {0}, options(50)};
  wish.options.answers = 2;
  Heard first, waits, late;
  uint64_t numbers[3];
  ASSERT_EQ(add(batch, wish, first, &numbers[0]), "");
  ASSERT_EQ(add(batch, wish, waits, &numbers[1]), "");
  ASSERT_EQ(add(batch, wish, late, &numbers[2]), "");
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(step(batch), 3);
  vlm_batch_cancel(batch.get(), numbers[0]);
  vlm_batch_cancel(batch.get(), numbers[1]);
  vlm_batch_cancel(batch.get(), 999);
  EXPECT_EQ(step(batch), 1);
  for (int64_t i : {0, 1}) {
    EXPECT_EQ(first.answers[i].end, VLM_END_CANCELLED);
    EXPECT_GT(first.answers[i].ids.size(), 0U);
    EXPECT_EQ(waits.answers[i].end, VLM_END_CANCELLED);
    EXPECT_EQ(waits.answers[i].ids.size(), 0U);
  }
  finish(batch);
  EXPECT_TRUE(late == alone(wish)) << late;
}

TEST_F(BatchTest, MemoryIsLimited) {
  // Room for one request of two pages; the others wait for it.
  Batch measured = openBatch(model);
  Wish wish{kAsk, {0}, options(40)};
  Heard heard;
  ASSERT_EQ(add(measured, wish, heard), "");
  finish(measured);
  size_t page = vlm_batch_memory(measured.get()) / 2;
  Batch batch = openBatch(model, {0, 4, 0, 0, 2 * page});
  std::vector<Heard> got(3);
  for (Heard &each : got)
    ASSERT_EQ(add(batch, wish, each), "");
  while (step(batch) > 0)
    EXPECT_LE(vlm_batch_memory(batch.get()), 2 * page);
  for (const Heard &each : got)
    EXPECT_TRUE(each == heard) << each;
  wish.options.max_new_tokens = 100;
  EXPECT_EQ(add(batch, wish, heard),
            "request: needs " + std::to_string(3 * page) +
                " bytes for keys and values, expected at most " +
                std::to_string(2 * page) +
                ", the max_bytes of the batch; shorten prompt or answers");
}

TEST_F(BatchTest, RefusesWhatIsWrong) {
  Batch batch = openBatch(model, {0, 2, 0, 0, 0});
  Heard heard, good;
  Wish fine{kAsk, {1}, options(5)};
  ASSERT_EQ(add(batch, fine, good), "");
  EXPECT_EQ(add(batch, {"<image>", {}, options(1)}, heard),
            "expected a placeholder '<image>' in the prompt for each picture, "
            "found 1 placeholder and 0 pictures; give the pictures that are "
            "missing");
  Wish many{"x", {}, options(1)};
  many.options.answers = 3;
  EXPECT_EQ(add(batch, many, heard),
            "answers: expected at most 2, the sequences of the batch "
            "(max_sequences), found 3");
  many.options.answers = 65;
  EXPECT_EQ(add(batch, many, heard), "answers: expected 0 to 64, found 65");
  many.options.answers = 0;
  many.options.top_logprobs = 101;
  EXPECT_EQ(add(batch, many, heard),
            "top_logprobs: expected 0 to 100, found 101");
  std::vector<const vlm_image_t *> list;
  vlm_request_t asked = request(fine, heard, list);
  asked.max_pixels = 12706;
  EXPECT_EQ(take(vlm_batch_add(batch.get(), &asked, nullptr)),
            "images: have 12707 pixels, expected at most 12706 (max_pixels); "
            "give fewer pictures or smaller ones");
  asked.max_pixels = 12707;
  asked.max_tiles = -1;
  EXPECT_EQ(take(vlm_batch_add(batch.get(), &asked, nullptr)),
            "max_tiles: expected 0 or more, found -1");
  vlm_batch_t *none = nullptr;
  vlm_batch_options_t wrong{sizeof(wrong), 5000, 0, 0, 0};
  EXPECT_EQ(take(vlm_batch_create(model, &wrong, &none)),
            "max_sequences: expected 0 to 4096, found 5000");
  wrong = {sizeof(wrong), 0, 0, -3, 0};
  EXPECT_EQ(take(vlm_batch_create(model, &wrong, &none)),
            "step_tokens: expected 0 or more, found -3");
  finish(batch);
  EXPECT_TRUE(good == alone(fine)) << good;
  EXPECT_TRUE(heard.answers.empty());
}
