//===- Cache.h - Keys and values of sequences -----------------------------===//
//
// The memory behind `vlm_cache_t`: pages of 64 tokens for all layers of a
// model, and the table that says where each sequence's pages are. What lies in
// a page is the compiled model's business (vlm_abi_cache_layer).
//
//   if (!cache->holds(sequence, position)) ...no room was made...
//   buffers[i] = const_cast<void *>(cache->layer(3));
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CORE_CACHE_H
#define VLMC_RUNTIME_CORE_CACHE_H

#include "runtime/abi/vlm_abi.h"
#include "runtime/cuda/Driver.h"
#include "runtime/vlm.h"

#include <cstddef>
#include <memory>
#include <vector>

struct vlm_cache_t {
  /// `dims` are those of the cache's tensor: [L, 2, Hkv, Dh].
  vlm_cache_t(const int64_t *dims, int64_t sequences, int64_t maxTokens);
  vlm_cache_t(const vlm_cache_t &) = delete;
  vlm_cache_t &operator=(const vlm_cache_t &) = delete;

  /// Whether it was made for a model with a cache of these dims.
  bool fits(const int64_t *dims) const;
  /// Whether there is room for the token.
  bool holds(int64_t sequence, int64_t position) const {
    return sequence >= 0 && sequence < int64_t(taken.size()) && position >= 0 &&
           position / VLM_ABI_PAGE_TOKENS < taken[size_t(sequence)];
  }
  int64_t sequenceCount() const { return sequences; }
  int64_t maxTokens() const { return most; }
  /// What kernels get in place of a buffer.
  const vlm_abi_cache_layer *layer(size_t number) const {
    return &layers[number];
  }
  /// Bytes of what a GPU's kernels get in place of a buffer, layers and table,
  /// and that itself for memory that begins at `address` there.
  size_t describedBytes() const {
    return layers.size() * sizeof(vlm_abi_cache_layer) +
           table.size() * sizeof(void *);
  }
  void describe(uint64_t address, void *out) const;
  /// Pages are memory of this device, if it is one.
  std::shared_ptr<vlmc::rt::cuda::Device> device;
  /// Whether the token, which is held, lies in a page of several sequences.
  bool isShared(int64_t sequence, int64_t position) const {
    return owned[size_t(sequence * maxPages + position / VLM_ABI_PAGE_TOKENS)]
               .use_count() > 1;
  }

  vlm_status_t *resize(int64_t sequence, int64_t tokens);
  vlm_status_t *fork(int64_t from, int64_t to, int64_t tokens);
  size_t pageBytes() const { return bytes; }
  size_t pages() const { return count; }

private:
  /// Shared by the sequences that begin with the same tokens.
  using Page = std::shared_ptr<void>;
  vlm_status_t *makePage(Page &out);
  /// A page like another one.
  vlm_status_t *copyPage(const Page &from, Page &out);
  vlm_status_t *checkSequence(int64_t sequence) const;
  void open(int64_t sequence);
  void put(int64_t sequence, int64_t number, Page page);
  Page &page(int64_t sequence, int64_t number) {
    return owned[size_t(sequence * maxPages + number)];
  }

  int64_t dims[4];
  int64_t most, maxPages;
  int64_t sequences; ///< at most; `taken` has those up to the last one used
  size_t bytes;
  size_t count = 0;           ///< of pages there are
  std::vector<int64_t> taken; ///< pages of each sequence
  std::vector<Page> owned;    ///< in the order of `table`
  std::vector<void *> table;
  std::vector<vlm_abi_cache_layer> layers;
};

#endif // VLMC_RUNTIME_CORE_CACHE_H
