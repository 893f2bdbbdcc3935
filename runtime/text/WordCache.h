//===- WordCache.h - Ids of words seen before -----------------------------===//
//
// A bounded map from words to their ids, safe to use from many threads: it is
// cut into shards, and whoever finds a shard busy goes without it.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_WORDCACHE_H
#define VLMC_RUNTIME_TEXT_WORDCACHE_H

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace vlmc::rt::text {

class WordCache {
public:
  /// Appends the ids of a known word.
  bool find(std::string_view word, std::vector<int32_t> &ids) {
    if (word.size() > kMaxBytes)
      return false;
    Shard &shard = shardOf(word);
    std::unique_lock lock(shard.mutex, std::try_to_lock);
    if (!lock)
      return false;
    auto at = shard.words.find(word);
    if (at == shard.words.end())
      return false;
    ids.insert(ids.end(), at->second.begin(), at->second.end());
    return true;
  }

  void insert(std::string_view word, const std::vector<int32_t> &ids) {
    if (word.size() > kMaxBytes)
      return;
    Shard &shard = shardOf(word);
    std::unique_lock lock(shard.mutex, std::try_to_lock);
    if (lock && shard.words.size() < kMaxWords)
      shard.words.try_emplace(std::string(word), ids);
  }

private:
  static constexpr size_t kShards = 16, kMaxWords = 1024, kMaxBytes = 128;

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view word) const {
      return std::hash<std::string_view>()(word);
    }
  };
  struct Shard {
    std::mutex mutex;
    std::unordered_map<std::string, std::vector<int32_t>, Hash, std::equal_to<>>
        words;
  };

  Shard &shardOf(std::string_view word) {
    return shards[Hash()(word) / 64 % kShards];
  }

  std::array<Shard, kShards> shards;
};

} // namespace vlmc::rt::text

#endif // VLMC_RUNTIME_TEXT_WORDCACHE_H
