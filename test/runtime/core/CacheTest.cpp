// The pages of a cache, by the class itself.
#include "runtime/core/Cache.h"
#include "test/runtime/core/CoreFixture.h"

#include <algorithm>

namespace {
/// Three layers, two heads of five features: a layer's part of a page is
/// 2 * (5 + 16) * 64 floats.
constexpr int64_t kDims[4] = {3, 2, 2, 5};
constexpr size_t kLayerBytes = 2 * (5 + 16) * 64 * sizeof(float);
} // namespace

static std::string messageOf(vlm_status_t *status) {
  std::string message = vlm_status_message(status);
  vlm_status_destroy(status);
  return message;
}

TEST(Cache, TakesAndGivesBackPages) {
  vlm_cache_t cache(kDims, 2, 200);
  EXPECT_EQ(cache.pageBytes(), 3 * kLayerBytes);
  EXPECT_FALSE(cache.holds(0, 0));
  EXPECT_EQ(messageOf(cache.resize(0, 65)), "");
  EXPECT_EQ(messageOf(cache.resize(1, 64)), "");
  EXPECT_EQ(cache.pages(), 3U);
  EXPECT_TRUE(cache.holds(0, 127));
  EXPECT_FALSE(cache.holds(0, 128));
  EXPECT_FALSE(cache.holds(1, 64));
  EXPECT_FALSE(cache.holds(2, 0));
  EXPECT_FALSE(cache.holds(-1, 0));
  EXPECT_FALSE(cache.holds(0, -1));
  EXPECT_EQ(messageOf(cache.resize(0, 0)), "");
  EXPECT_EQ(cache.pages(), 1U);
  EXPECT_FALSE(cache.holds(0, 0));
  EXPECT_TRUE(cache.holds(1, 63));
}

TEST(Cache, TellsKernelsWherePagesAre) {
  vlm_cache_t cache(kDims, 2, 200);
  EXPECT_EQ(messageOf(cache.resize(1, 130)), "");
  const vlm_abi_cache_layer &first = *cache.layer(0), &last = *cache.layer(2);
  EXPECT_EQ(first.max_pages, 4);
  EXPECT_EQ(first.pages, last.pages);
  EXPECT_EQ(last.offset - first.offset, int64_t(2 * kLayerBytes));
  for (int64_t page = 0; page < 3; ++page) {
    auto *bytes = static_cast<const char *>(first.pages[4 + page]);
    ASSERT_NE(bytes, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes) % VLM_ABI_ALIGNMENT, 0U);
    // Places that no token has are read, with weight 0.
    EXPECT_TRUE(std::all_of(bytes, bytes + cache.pageBytes(),
                            [](char byte) { return byte == 0; }));
  }
  EXPECT_EQ(first.pages[7], nullptr);
  EXPECT_EQ(first.pages[0], nullptr);
}

TEST(Cache, RefusesWhatItWasNotMadeFor) {
  vlm_cache_t cache(kDims, 2, 200);
  EXPECT_EQ(messageOf(cache.resize(2, 1)),
            "cache: expected a sequence from 0 to 1, found 2");
  EXPECT_EQ(messageOf(cache.resize(0, 201)),
            "cache: expected 0 to 200 tokens in a sequence, found 201; make "
            "the cache with a larger 'max_tokens'");
  constexpr int64_t other[4] = {3, 2, 2, 6};
  EXPECT_TRUE(cache.fits(kDims));
  EXPECT_FALSE(cache.fits(other));
}

/// Writes a byte that tells pages apart.
static void mark(const vlm_cache_t &cache, int64_t page, char byte) {
  *static_cast<char *>(cache.layer(0)->pages[page]) = byte;
}
static char markOf(const vlm_cache_t &cache, int64_t page) {
  return *static_cast<const char *>(cache.layer(0)->pages[page]);
}

TEST(Cache, SequencesSharePagesThatTheyFill) {
  vlm_cache_t cache(kDims, 3, 256); // four pages each
  ASSERT_EQ(messageOf(cache.resize(0, 150)), "");
  for (int64_t page = 0; page < 3; ++page)
    mark(cache, page, char('a' + page));
  ASSERT_EQ(messageOf(cache.fork(0, 2, 150)), "");
  EXPECT_EQ(cache.pages(), 4U);
  EXPECT_EQ(markOf(cache, 8), 'a');
  EXPECT_EQ(markOf(cache, 10), 'c');
  EXPECT_TRUE(cache.isShared(0, 127));
  EXPECT_TRUE(cache.isShared(2, 0));
  EXPECT_FALSE(cache.isShared(0, 128));
  EXPECT_FALSE(cache.isShared(2, 128));
  mark(cache, 10, 'x');
  EXPECT_EQ(markOf(cache, 2), 'c');
  // Going back parts them.
  ASSERT_EQ(messageOf(cache.resize(2, 70)), "");
  EXPECT_EQ(cache.pages(), 4U);
  EXPECT_FALSE(cache.isShared(2, 70));
  EXPECT_TRUE(cache.isShared(2, 63));
  EXPECT_EQ(markOf(cache, 9), 'b');
  mark(cache, 9, 'y');
  EXPECT_EQ(markOf(cache, 1), 'b');
  // One goes, the other keeps what they shared.
  ASSERT_EQ(messageOf(cache.resize(0, 0)), "");
  EXPECT_EQ(cache.pages(), 2U);
  EXPECT_EQ(markOf(cache, 8), 'a');
  EXPECT_FALSE(cache.isShared(2, 0));
}

TEST(Cache, ForksReplaceWhatWasThere) {
  vlm_cache_t cache(kDims, 2, 256);
  ASSERT_EQ(messageOf(cache.resize(0, 64)), "");
  ASSERT_EQ(messageOf(cache.resize(1, 256)), "");
  EXPECT_EQ(cache.pages(), 5U);
  ASSERT_EQ(messageOf(cache.fork(0, 1, 64)), "");
  EXPECT_EQ(cache.pages(), 1U);
  EXPECT_FALSE(cache.holds(1, 64));
  ASSERT_EQ(messageOf(cache.fork(1, 1, 10)), "");
  EXPECT_EQ(cache.pages(), 2U);
  ASSERT_EQ(messageOf(cache.fork(1, 0, 0)), "");
  EXPECT_EQ(cache.pages(), 1U);
  EXPECT_EQ(messageOf(cache.fork(0, 1, 1)),
            "cache: expected tokens for which sequence 0 has room, found 1; "
            "call vlm_cache_resize before");
  EXPECT_EQ(messageOf(cache.fork(0, 2, 0)),
            "cache: expected a sequence from 0 to 1, found 2");
}
