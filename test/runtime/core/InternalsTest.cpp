// The parts of libvlm that programs do not see: digest, header reader, CPU
// limits, pool.
#include "runtime/abi/LibrarySeal.h"
#include "runtime/core/Cpu.h"
#include "runtime/core/PoolInternal.h"
#include "runtime/core/SafetensorsHeader.h"
#include "runtime/core/Sha256.h"
#include "runtime/core/Size.h"
#include "runtime/core/StatusInternal.h"
#include "runtime/core/ThreadPool.h"
#include "test/runtime/core/CoreFixture.h"

#include <atomic>
#include <numeric>

using namespace vlmc::rt;

static std::string hashOf(const std::string &text) {
  return toHex(sha256(text.data(), text.size()));
}

// The vectors of FIPS 180-4's examples and of NIST's CAVP.
TEST(LibrarySeal, Crc64IsThatOfXz) {
  // The check value of the catalogue of CRCs, and one of each rest of 8.
  EXPECT_EQ(vlmc::crc64("123456789", 9), 0x995DC9BBDF1939FAu);
  EXPECT_EQ(vlmc::crc64("", 0), 0u);
  std::string text = "the quick brown fox jumps";
  uint64_t plain = ~uint64_t(0);
  for (size_t size = 0; size <= text.size(); ++size) {
    EXPECT_EQ(vlmc::crc64(text.data(), size), ~plain) << size;
    if (size == text.size())
      break;
    plain ^= static_cast<unsigned char>(text[size]);
    for (int bit = 0; bit < 8; ++bit)
      plain = (plain >> 1) ^ (plain & 1 ? 0xC96C5795D7870F42u : 0);
  }
}

TEST(Sha256, MatchesPublishedVectors) {
  EXPECT_EQ(hashOf(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca49599"
                        "1b7852b855");
  EXPECT_EQ(hashOf("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb41"
                           "0ff61f20015ad");
  EXPECT_EQ(hashOf("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hashOf("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhij"
                   "klmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"),
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  EXPECT_EQ(hashOf(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PadsEveryLength) {
  // One block more from 56 bytes on; all lengths differ.
  std::map<std::string, int> seen;
  for (int length = 0; length < 130; ++length)
    EXPECT_EQ(seen.emplace(hashOf(std::string(length, 0)), length).second,
              true);
}

static std::string headerError(const std::string &json) {
  uint64_t length = json.size();
  std::string file = std::string(reinterpret_cast<char *>(&length), 8) + json;
  SafetensorsHeader header;
  return readSafetensorsHeader(file.data(), file.size(), header);
}

TEST(SafetensorsHeader, ReadsTensorsAndMetadata) {
  std::string file = fake::weightsFile();
  SafetensorsHeader header;
  ASSERT_EQ(readSafetensorsHeader(file.data(), file.size(), header), "");
  ASSERT_EQ(header.tensors.size(), 2u);
  EXPECT_EQ(header.tensors[1].name, "table");
  EXPECT_EQ(header.tensors[1].offset, 704u);
  EXPECT_EQ(header.tensors[1].bytes, 256u);
  EXPECT_EQ(header.metadata.count("sha256.W"), 1u);
  EXPECT_EQ(header.fileBytes, file.size());
}

TEST(SafetensorsHeader, ReadsEscapes) {
  std::string json =
      R"({"__metadata__":{"k\u00e9\ud83d\ude00\n\"":"\u20ac\/"}})";
  uint64_t length = json.size();
  std::string file = std::string(reinterpret_cast<char *>(&length), 8) + json;
  SafetensorsHeader header;
  ASSERT_EQ(readSafetensorsHeader(file.data(), file.size(), header), "");
  EXPECT_EQ(header.metadata["k\u00e9\U0001F600\n\""], "\u20ac/");
}

TEST(SafetensorsHeader, SaysWhatIsWrong) {
  EXPECT_EQ(headerError("{}"), "");
  EXPECT_EQ(headerError(""), "expected '{' at byte 8");
  EXPECT_EQ(headerError("{} x"), "expected the end of the header at byte 11");
  EXPECT_EQ(headerError("{\"a\""), "expected ':' at byte 12");
  EXPECT_EQ(headerError("{\"a"), "expected the end of a string at byte 11");
  EXPECT_EQ(headerError("{\"a\\"), "expected the end of a string at byte 12");
  EXPECT_EQ(headerError("{\"\\x\""), "unknown escape at byte 12");
  EXPECT_EQ(headerError("{\"\\u12g4\""),
            "expected four hexadecimal digits at byte 14");
  EXPECT_EQ(headerError("{\"\\ud800\""),
            "expected the second half of a surrogate pair at byte 16");
  EXPECT_EQ(headerError("{\"a\":{}}"),
            "tensor 'a': expected data_offsets [begin, end] at byte 15");
  EXPECT_EQ(headerError("{\"a\":{\"data_offsets\":[2,1]}}"),
            "tensor 'a': expected data_offsets [begin, end] at byte 35");
  EXPECT_EQ(headerError("{\"a\":{\"data_offsets\":[0,18446744073709551615]}}"),
            "tensor 'a': expected data_offsets [begin, end] at byte 54");
  EXPECT_EQ(headerError("{\"a\":{\"data_offsets\":[0,18446744073709551616]}}"),
            "number too large at byte 51");
  EXPECT_EQ(headerError("{\"a\":{\"data_offsets\":[-1,0]}}"),
            "expected a whole number at byte 30");
  EXPECT_EQ(headerError("{\"a\":{\"x\":" + std::string(99, '[')),
            "values nested too deeply at byte 34");
  EXPECT_EQ(headerError("{\"a\":{\"x\":,}}"), "expected a value at byte 18");
  SafetensorsHeader header;
  EXPECT_EQ(
      readSafetensorsHeader("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10, header),
      "the header ends at byte 9223372036854775807 + 8, beyond the 10 "
      "bytes there are");
  EXPECT_EQ(readSafetensorsHeader("1234", 4, header),
            "expected at least 8 bytes, found 4");
}

TEST(SafetensorsHeader, SurvivesAnyDamage) {
  // Every prefix, and every byte replaced by some that matter.
  std::string file = fake::weightsFile();
  SafetensorsHeader header;
  for (size_t size = 0; size < 600; ++size) {
    std::string cut = file.substr(0, size);
    EXPECT_NE(readSafetensorsHeader(cut.data(), cut.size(), header) == "",
              size < 576);
  }
  for (size_t at = 0; at < 576; ++at)
    for (char c : {'\0', '"', '\\', '{', '}', '[', ',', '9', '\xff'}) {
      std::string bad = file;
      bad[at] = c;
      readSafetensorsHeader(bad.data(), bad.size(), header);
    }
}

TEST(Cpu, KnowsItsLevels) {
  EXPECT_FALSE(supportsIsa("x86-64-v9"));
  EXPECT_FALSE(supportsIsa(""));
  if (supportsIsa("x86-64-v4")) {
    EXPECT_TRUE(supportsIsa("x86-64-v3"));
  }
#if defined(__x86_64__)
  EXPECT_EQ(supportsIsa("x86-64-v3"),
            bool(__builtin_cpu_supports("x86-64-v3")));
  EXPECT_EQ(supportsIsa("x86-64-v4"),
            bool(__builtin_cpu_supports("x86-64-v4")));
  EXPECT_EQ(supportsIsa("x86-64-v4+vnni"),
            supportsIsa("x86-64-v4") &&
                bool(__builtin_cpu_supports("avx512vnni")));
  EXPECT_EQ(supportsIsa("x86-64-v4+vnni+bf16"),
            supportsIsa("x86-64-v4+vnni") &&
                bool(__builtin_cpu_supports("avx512bf16")));
  EXPECT_FALSE(supportsIsa("x86-64-v3+vnni"));
  EXPECT_FALSE(supportsIsa("x86-64-v3+"));
  EXPECT_STREQ(archFolder(), "x86_64");
#endif
  EXPECT_GE(usableCpus(), 1);
}

TEST(Cpu, ReadsQuotas) {
  EXPECT_EQ(cpusOfQuota("max 100000\n"), 0);
  EXPECT_EQ(cpusOfQuota("200000 100000\n"), 2);
  EXPECT_EQ(cpusOfQuota("150000 100000\n"), 2);
  EXPECT_EQ(cpusOfQuota("50000 100000\n"), 1);
  for (const char *none : {"", "1", "1 ", "x y", "0 100", "-5 100", "5 0"})
    EXPECT_EQ(cpusOfQuota(none), 0) << none;
  EXPECT_EQ(cpusOfQuota("9223372036854775807 1"), 1024);
}

TEST(Cpu, TakesTheLeastQuotaOfAllParents) {
  fake::TemporaryFolder folder;
  std::string root = folder.path;
  fake::writeFile(folder.path / "a/cpu.max", "300000 100000\n");
  fake::writeFile(folder.path / "a/b/cpu.max", "max 100000\n");
  fake::writeFile(folder.path / "a/b/c/cpu.max", "700000 100000\n");
  EXPECT_EQ(cpusOfControlGroups(root, "0::/a/b/c\n"), 3);
  EXPECT_EQ(cpusOfControlGroups(root, "1:cpu:/x\n0::/a/b\n"), 3);
  EXPECT_EQ(cpusOfControlGroups(root, "0::/\n"), 0);
  EXPECT_EQ(cpusOfControlGroups(root, "0::/elsewhere"), 0);
  EXPECT_EQ(cpusOfControlGroups(root, "1:cpu:/x\n"), 0);
  EXPECT_EQ(cpusOfControlGroups(root, ""), 0);
}

TEST(Size, IsChecked) {
  vlm_abi_term terms[] = {{3, {2, 1}, 0}, {5, {}, 0}};
  vlm_abi_size sizes[] = {{terms, 2}, {terms + 1, 1}};
  int64_t symbols[] = {4, 7, 0, 0}, out = 0;
  ASSERT_TRUE(evaluate(sizes[0], symbols, out));
  EXPECT_EQ(out, 3 * 16 * 7 + 5);
  ASSERT_TRUE(evaluate(vlm_abi_max_size{sizes, 2}, symbols, out));
  EXPECT_EQ(out, 3 * 16 * 7 + 5);
  ASSERT_TRUE(evaluate(vlm_abi_max_size{nullptr, 0}, symbols, out));
  EXPECT_EQ(out, 0);
  symbols[0] = int64_t(1) << 31;
  EXPECT_FALSE(evaluate(vlm_abi_max_size{sizes, 2}, symbols, out));
}

TEST(ThreadPool, CallsEachIndexOnce) {
  for (int threads : {1, 2, 5}) {
    fake::Pool pool = fake::makePool(threads);
    for (int64_t count : {0, 1, 2, 1000}) {
      std::vector<std::atomic<int>> calls(count);
      parallelFor(pool.get(), count, [&](int64_t i) { ++calls[i]; });
      for (std::atomic<int> &call : calls)
        EXPECT_EQ(call.load(), 1);
    }
  }
}

TEST(ThreadPool, RunsNestedWorkOnTheCaller) {
  fake::Pool pool = fake::makePool(3);
  std::atomic<int> calls{0};
  parallelFor(pool.get(), 50, [&](int64_t) {
    std::thread::id outer = std::this_thread::get_id();
    parallelFor(pool.get(), 50,
                [&](int64_t) { calls += std::this_thread::get_id() == outer; });
  });
  EXPECT_EQ(calls.load(), 2500);
}

TEST(ThreadPool, UsesItsThreads) {
  // With as many tasks as threads, each of which waits for the others.
  fake::Pool pool = fake::makePool(3);
  std::atomic<int> inside{0};
  parallelFor(pool.get(), 3, [&](int64_t) {
    ++inside;
    while (inside.load() < 3)
      std::this_thread::yield();
  });
  EXPECT_EQ(inside.load(), 3);
}

TEST(ThreadPool, RefusesBadNumbers) {
  vlm_pool_t *pool = nullptr;
  for (int threads : {-1, 1025})
    EXPECT_FAILS(vlm_pool_create(threads, &pool), VLM_INVALID_ARGUMENT,
                 "thread pool: expected 1 to 1024 threads, or 0 for as many as "
                 "the process may use, found " +
                     std::to_string(threads));
  EXPECT_EQ(pool, nullptr);
  EXPECT_FAILS(vlm_pool_create(1, nullptr), VLM_INVALID_ARGUMENT,
               "vlm_pool_create: 'out_pool' must not be NULL");
  fake::Pool byDefault = fake::makePool(0);
  EXPECT_EQ(vlm_pool_threads(byDefault.get()), usableCpus());
  vlm_pool_destroy(nullptr);
}

TEST(Status, KeepsCodeAndMessage) {
  vlm_status_t *status = makeStatus(VLM_CORRUPT, "broken");
  EXPECT_EQ(vlm_status_code(status), VLM_CORRUPT);
  EXPECT_STREQ(vlm_status_message(status), "broken");
  vlm_status_destroy(status);
  EXPECT_EQ(vlm_status_code(nullptr), VLM_OK);
  EXPECT_STREQ(vlm_status_message(nullptr), "");
  vlm_status_destroy(nullptr);
  EXPECT_STREQ(vlm_version(), "0.1.0");
}

TEST(Status, LetsNoExceptionOut) {
  auto throwBadAlloc = []() -> vlm_status_t * { throw std::bad_alloc(); };
  EXPECT_FAILS(guarded("counting", throwBadAlloc), VLM_OUT_OF_MEMORY,
               "counting: not enough memory");
}
