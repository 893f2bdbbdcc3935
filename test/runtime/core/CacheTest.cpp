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
