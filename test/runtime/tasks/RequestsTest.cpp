// Requests from several threads at once, good ones and bad ones: each gets what
// it gets alone, or what it is refused with.
#include "test/runtime/core/CoreFixture.h"
#include "test/runtime/tasks/FakeLanguageModel.h"

#include <atomic>
#include <map>
#include <random>
#include <thread>

using namespace fake;

namespace {

/// What a callback was told of an answer.
struct Told {
  std::string text;
  std::vector<int32_t> ids;
  std::vector<float> logprobs;
  int end = -1;
  bool operator==(const Told &) const = default;
};

/// A request with all that it points to.
struct Wish {
  std::string text;
  std::vector<size_t> pictures;
  vlm_generate_options_t options{};
  int64_t maxTiles = 0;
  size_t maxBytes = 0;
  int64_t stopAfter = -1; ///< tokens, by the callback
  bool isCancelled = false;
};

/// A request in work.
struct Request {
  const Wish *wish = nullptr;
  std::string refusal;
  std::map<int64_t, Told> told;
  uint64_t number = 0;
  std::atomic<int> heard{0}; ///< tokens
};

int hear(void *user, const vlm_piece_t *piece) {
  auto *request = static_cast<Request *>(user);
  if (piece->answer < 0 && !piece->token) // a search goes on
    return 0;
  Told &told = request->told[piece->answer];
  EXPECT_EQ(told.end, -1) << "a piece behind the last one";
  told.text.append(piece->text, piece->bytes);
  if (!piece->token) {
    told.end = piece->end;
    return 0;
  }
  ++request->heard;
  told.ids.push_back(piece->token->id);
  told.logprobs.push_back(piece->token->logprob);
  return int64_t(told.ids.size()) == request->wish->stopAfter;
}

class RequestsTest : public ::testing::Test {
protected:
  RequestsTest() {
    writeFile(weights, noWeights());
    abi = languageModel();
    for (uint8_t i = 0; i < 8; ++i)
      pictures.push_back(makePicture(1 + 5 * i, i == 7 ? 13 : i));
  }
  Model load(vlm_pool_t *pool, int64_t pictureBytes) {
    vlm_load_options_t options{};
    options.struct_bytes = sizeof(options);
    options.pool = pool;
    options.picture_cache_bytes = pictureBytes;
    vlm_model_t *loaded = nullptr;
    EXPECT_OK(vlm_model_load_linked(&abi, weights.c_str(), &options, &loaded));
    return {loaded, vlm_model_destroy};
  }
  /// The request over the wish's memory; `list` holds its pictures.
  vlm_request_t requestOf(const Wish &wish, Request &request,
                          std::vector<const vlm_image_t *> &list) const {
    request.wish = &wish;
    for (size_t i : wish.pictures)
      list.push_back(pictures[i].get());
    vlm_request_t made{};
    made.struct_bytes = sizeof(made);
    made.text = wish.text.data();
    made.bytes = wish.text.size();
    made.images = list.data();
    made.image_count = list.size();
    made.options = &wish.options;
    made.callback = hear;
    made.user = &request;
    made.max_tiles = wish.maxTiles;
    made.max_bytes = wish.maxBytes;
    return made;
  }
  void answerAlone(const vlm_model_t *model, const Wish &wish,
                   Request &request) const {
    vlm_session_t *session = nullptr;
    ASSERT_OK(vlm_session_create(model, nullptr, &session));
    answerIn(session, wish, request);
    vlm_session_destroy(session);
  }
  void answerIn(vlm_session_t *session, const Wish &wish,
                Request &request) const {
    std::vector<const vlm_image_t *> list;
    vlm_request_t asked = requestOf(wish, request, list);
    request.refusal = fake::take(vlm_session_answer(session, &asked));
  }
  void addTo(vlm_batch_t *batch, const Wish &wish, Request &request) const {
    std::vector<const vlm_image_t *> list;
    vlm_request_t asked = requestOf(wish, request, list);
    request.refusal = fake::take(vlm_batch_add(batch, &asked, &request.number));
  }

  TemporaryFolder folder;
  std::string weights = folder.path / "talk.weights";
  vlm_abi_model abi{};
  std::vector<Picture> pictures;
};

class Random {
public:
  explicit Random(unsigned seed) : engine(seed) {}
  unsigned below(unsigned limit) { return unsigned(engine() % limit); }
  bool oneIn(unsigned count) { return below(count) == 0; }

private:
  std::mt19937 engine;
};

/// Sizes, counts and lengths of all kinds; one in eight is bad.
Wish randomWish(Random &random) {
  Wish wish;
  // Many begin alike.
  if (random.oneIn(2))
    wish.text = std::string(random.below(3) * 64 + 40, 'p');
  for (unsigned n = random.below(60); n > 0; --n)
    wish.text += char('a' + random.below(26));
  for (unsigned n = random.oneIn(2) ? random.below(4) : 0; n > 0; --n) {
    wish.text += "@ ";
    wish.pictures.push_back(random.below(7));
  }
  wish.text += '?';
  vlm_generate_options_t &options = wish.options;
  options.struct_bytes = sizeof(options);
  options.max_new_tokens = 1 + random.below(40);
  options.answers = int32_t(random.oneIn(3) ? random.below(5) : 0);
  options.temperature = float(random.below(2));
  options.top_k = int32_t(random.below(3) * 20);
  options.min_p = float(random.below(2)) / 10;
  options.frequency_penalty = float(random.below(3)) / 2;
  options.seed = random.below(100);
  options.logprobs = int32_t(random.below(2));
  options.top_logprobs = int32_t(random.oneIn(4) ? 3 : 0);
  options.prompt_logprobs = random.oneIn(8);
  if (!options.prompt_logprobs && random.oneIn(6))
    wish.stopAfter = 1 + random.below(10);
  wish.isCancelled = random.oneIn(6);
  switch (random.below(48)) {
  case 0: // a picture is missing
    wish.text += '@';
    break;
  case 1: // too long
    wish.text.append(kMaxTokens, 'x');
    break;
  case 2: // which no picture has
    wish.text += '@';
    wish.pictures.push_back(7);
    break;
  case 3:
    options.temperature = -1;
    break;
  case 4:
    options.answers = VLM_MAX_ANSWERS + 1;
    break;
  case 5: // an id that the model does not know, found when it runs
    wish.text += '\xf0';
    break;
  case 6:
    wish.maxBytes = 1;
    break;
  }
  return wish;
}

/// Whether what was told is the beginning of it.
bool beginsLike(const Told &part, const Told &whole) {
  return part.ids.size() <= whole.ids.size() &&
         std::equal(part.ids.begin(), part.ids.end(), whole.ids.begin()) &&
         whole.text.starts_with(part.text);
}

/// Numbers depend on the lengths of steps.
std::string withoutNumbers(std::string text) {
  std::erase_if(text, [](char c) { return c >= '0' && c <= '9'; });
  return text;
}

void expectLike(const Request &got, const Request &want, size_t number) {
  if (want.refusal.empty()) {
    EXPECT_EQ(got.refusal, "") << number;
    ASSERT_EQ(got.told.size(), want.told.size()) << number;
  } else if (got.refusal.empty()) {
    // A batch finds out later what a session returns.
    for (const auto &[answer, told] : got.told)
      EXPECT_TRUE(answer < 0 || told.end == VLM_END_FAILED ||
                  told.end == VLM_END_CANCELLED)
          << number;
    return;
  } else {
    EXPECT_EQ(withoutNumbers(got.refusal), withoutNumbers(want.refusal))
        << number;
    return;
  }
  for (const auto &[answer, told] : want.told) {
    auto found = got.told.find(answer);
    ASSERT_NE(found, got.told.end()) << number;
    bool isPart = got.wish->isCancelled &&
                  (found->second.end == VLM_END_CANCELLED || answer < 0);
    EXPECT_TRUE(isPart ? beginsLike(found->second, told)
                       : found->second == told)
        << "request " << number << ", answer " << answer << ": got '"
        << found->second.text << "' end " << found->second.end << ", want '"
        << told.text << "' end " << told.end;
  }
}

} // namespace

/// Cancelled requests may have heard nothing of their prompt.
static void expectAll(std::vector<Request> &got, std::vector<Request> &want) {
  for (size_t i = 0; i < got.size(); ++i) {
    if (got[i].wish->isCancelled && want[i].told.contains(-1))
      got[i].told[-1];
    expectLike(got[i], want[i], i);
  }
}

TEST_F(RequestsTest, TwoHundredFromSeveralThreads) {
  constexpr size_t count = 200, adders = 4;
  Pool pool = makePool(3);
  Model model = load(pool.get(), 400); // bytes: some features, not all
  Random random(5);
  std::vector<Wish> wishes;
  for (size_t i = 0; i < count; ++i)
    wishes.push_back(randomWish(random));
  std::vector<Request> want(count), got(count);
  for (size_t i = 0; i < count; ++i)
    answerAlone(model.get(), wishes[i], want[i]);

  vlm_batch_options_t options{sizeof(options), 12, 0, 33, 0};
  vlm_batch_t *batch = nullptr;
  ASSERT_OK(vlm_batch_create(model.get(), &options, &batch));
  std::atomic<size_t> added{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < adders; ++t)
    threads.emplace_back([&, t] {
      // One in eight goes to a session of its own at the same time.
      vlm_session_t *session = nullptr;
      EXPECT_OK(vlm_session_create(model.get(), nullptr, &session));
      for (size_t i = t; i < count; i += adders) {
        if (i % 8 == t && !wishes[i].isCancelled)
          answerIn(session, wishes[i], got[i]);
        else
          addTo(batch, wishes[i], got[i]);
        ++added;
        if (wishes[i].isCancelled && got[i].number) {
          for (int n = 0; n < 200 && got[i].heard < int(i % 7); ++n)
            std::this_thread::yield();
          vlm_batch_cancel(batch, got[i].number);
        }
      }
      vlm_session_destroy(session);
    });
  for (int t = 0; t < 2; ++t)
    threads.emplace_back([&] {
      int64_t left = 1;
      while (left > 0 || added < count) {
        vlm_batch_wait(batch, 1);
        EXPECT_OK(vlm_batch_step(batch, &left));
        vlm_stats_t stats{sizeof(stats), 0, 0, 0, 0, 0, 0};
        vlm_batch_stats(batch, &stats);
        EXPECT_LE(stats.reused_tokens, stats.prompt_tokens);
        EXPECT_LE(vlm_batch_memory(batch), size_t(12) * 7 * 5120);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  expectAll(got, want);
  size_t failed = 0, cancelled = 0;
  for (const Request &request : got) {
    failed += !request.refusal.empty();
    for (const auto &[answer, told] : request.told) {
      failed += told.end == VLM_END_FAILED;
      cancelled += told.end == VLM_END_CANCELLED;
    }
  }
  EXPECT_GT(failed, 10U);
  EXPECT_GT(cancelled, 10U);
  vlm_batch_destroy(batch);
}

/// A batch that is given up with requests in it.
TEST_F(RequestsTest, ABatchMayEndEarly) {
  Pool pool = makePool(2);
  Model model = load(pool.get(), 0);
  Random random(11);
  std::vector<Wish> wishes;
  for (size_t i = 0; i < 20; ++i)
    wishes.push_back(randomWish(random));
  std::vector<Request> got(wishes.size());
  vlm_batch_t *batch = nullptr;
  ASSERT_OK(vlm_batch_create(model.get(), nullptr, &batch));
  for (size_t i = 0; i < wishes.size(); ++i)
    addTo(batch, wishes[i], got[i]);
  for (int i = 0; i < 3; ++i)
    ASSERT_OK(vlm_batch_step(batch, nullptr));
  vlm_batch_destroy(batch);
}
