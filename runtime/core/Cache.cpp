//===- Cache.cpp - Keys and values of sequences ---------------------------===//

#include "runtime/core/Cache.h"

#include "runtime/core/LargeMemory.h"
#include "runtime/core/Model.h"
#include "runtime/core/StatusInternal.h"

#include <algorithm>
#include <cstring>
#include <string>

using namespace vlmc::rt;

static constexpr int64_t panelColumns = 16;

static int64_t ceilDiv(int64_t x, int64_t y) { return (x + y - 1) / y; }

/// Bytes of one layer's part of a page.
static size_t layerBytes(const int64_t *dims) {
  int64_t heads = dims[2], size = dims[3];
  int64_t padded = ceilDiv(size, panelColumns) * panelColumns;
  size_t floats = size_t(heads * (size + padded)) * VLM_ABI_PAGE_TOKENS;
  return ceilDiv(int64_t(floats * sizeof(float)), VLM_ABI_ALIGNMENT) *
         VLM_ABI_ALIGNMENT;
}

vlm_cache_t::vlm_cache_t(const int64_t *given, int64_t sequences,
                         int64_t maxTokens)
    : most(maxTokens), maxPages(ceilDiv(maxTokens, VLM_ABI_PAGE_TOKENS)),
      sequences(sequences), bytes(layerBytes(given) * size_t(given[0])) {
  std::copy_n(given, 4, dims);
  for (int64_t i = 0; i < dims[0]; ++i)
    layers.push_back({nullptr, maxPages, i * int64_t(layerBytes(dims))});
  open(0);
}

bool vlm_cache_t::fits(const int64_t *other) const {
  return std::equal(dims, dims + 4, other);
}

/// A page of zeros: places that no token has yet are read, with weight 0, and
/// must be finite.
vlm_status_t *vlm_cache_t::makePage(Page &out) {
  void *memory = nullptr;
  vlm_status_t *status = nullptr;
  if (device)
    status = device->takeCleared(bytes, memory);
  else if ((memory = takeLarge(bytes, VLM_ABI_ALIGNMENT)))
    std::memset(memory, 0, bytes);
  if (status && vlm_status_code(status) != VLM_OUT_OF_MEMORY)
    return status;
  if (!memory) {
    std::string why =
        status ? std::string(" (") + vlm_status_message(status) + ")" : "";
    vlm_status_destroy(status);
    return makeStatus(VLM_OUT_OF_MEMORY,
                      "cache: not enough memory for a page of " +
                          std::to_string(bytes) +
                          " bytes; use fewer or shorter sequences" + why);
  }
  ++count;
  out = {memory, [this](void *page) {
           device ? device->giveBack(page) : giveLarge(page, bytes);
           --count;
         }};
  return nullptr;
}

vlm_status_t *vlm_cache_t::copyPage(const Page &from, Page &out) {
  if (vlm_status_t *status = makePage(out))
    return status;
  if (device)
    return device->copy(out.get(), from.get(), bytes);
  std::memcpy(out.get(), from.get(), bytes);
  return nullptr;
}

void vlm_cache_t::describe(uint64_t address, void *out) const {
  auto *made = static_cast<vlm_abi_cache_layer *>(out);
  uint64_t pages = address + layers.size() * sizeof(vlm_abi_cache_layer);
  for (const vlm_abi_cache_layer &layer : layers)
    *made++ = {reinterpret_cast<void *const *>(pages), layer.max_pages,
               layer.offset};
  std::memcpy(made, table.data(), table.size() * sizeof(void *));
}

vlm_status_t *vlm_cache_t::checkSequence(int64_t sequence) const {
  if (sequence >= 0 && sequence < sequences)
    return nullptr;
  return makeStatus(VLM_INVALID_ARGUMENT,
                    "cache: expected a sequence from 0 to " +
                        std::to_string(sequences - 1) + ", found " +
                        std::to_string(sequence));
}

/// Makes the lists long enough for a sequence; kernels find them anew in the
/// next run.
void vlm_cache_t::open(int64_t sequence) {
  if (sequence < int64_t(taken.size()))
    return;
  auto wanted = size_t(sequence + 1);
  owned.resize(wanted * size_t(maxPages));
  table.resize(wanted * size_t(maxPages));
  taken.resize(wanted);
  for (vlm_abi_cache_layer &layer : layers)
    layer.pages = table.data();
}

void vlm_cache_t::put(int64_t sequence, int64_t number, Page page) {
  table[size_t(sequence * maxPages + number)] = page.get();
  this->page(sequence, number) = std::move(page);
}

vlm_status_t *vlm_cache_t::resize(int64_t sequence, int64_t tokens) {
  if (vlm_status_t *status = checkSequence(sequence))
    return status;
  if (tokens < 0 || tokens > most)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "cache: expected 0 to " + std::to_string(most) +
                          " tokens in a sequence, found " +
                          std::to_string(tokens) +
                          "; make the cache with a larger 'max_tokens'");
  open(sequence);
  int64_t wanted = ceilDiv(tokens, VLM_ABI_PAGE_TOKENS);
  int64_t &now = taken[size_t(sequence)];
  std::vector<Page> fresh;
  // A page that is not full is written on, so it must be its own.
  int64_t first = std::min(now, wanted);
  bool parts = tokens % VLM_ABI_PAGE_TOKENS && wanted <= now &&
               page(sequence, wanted - 1).use_count() > 1;
  first -= parts ? 1 : 0;
  for (int64_t i = first; i < wanted; ++i) {
    Page &made = fresh.emplace_back();
    if (vlm_status_t *status = parts && i == first
                                   ? copyPage(page(sequence, first), made)
                                   : makePage(made))
      return status;
  }
  for (int64_t i = wanted; i < now; ++i)
    put(sequence, i, nullptr);
  for (size_t i = 0; i < fresh.size(); ++i)
    put(sequence, first + int64_t(i), std::move(fresh[i]));
  now = wanted;
  return nullptr;
}

vlm_status_t *vlm_cache_t::fork(int64_t from, int64_t to, int64_t tokens) {
  for (int64_t sequence : {from, to})
    if (vlm_status_t *status = checkSequence(sequence))
      return status;
  if (tokens < 0 || (tokens > 0 && !holds(from, tokens - 1)))
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "cache: expected tokens for which sequence " +
                          std::to_string(from) + " has room, found " +
                          std::to_string(tokens) +
                          "; call vlm_cache_resize before");
  open(std::max(from, to));
  if (from == to)
    return resize(to, tokens);
  int64_t full = tokens / VLM_ABI_PAGE_TOKENS;
  Page last;
  if (tokens % VLM_ABI_PAGE_TOKENS)
    if (vlm_status_t *status = copyPage(page(from, full), last))
      return status;
  for (int64_t i = 0; i < full; ++i)
    put(to, i, page(from, i));
  int64_t end = full;
  if (last)
    put(to, end++, std::move(last));
  for (int64_t i = end; i < taken[size_t(to)]; ++i)
    put(to, i, nullptr);
  taken[size_t(to)] = end;
  return nullptr;
}

//===----------------------------------------------------------------------===//
// The C API
//===----------------------------------------------------------------------===//

/// The cache of that name that entry points of a model take, or null.
static const vlm_abi_tensor *findCache(const vlm_model_t *model,
                                       std::string_view name) {
  for (const vlm_entry_t &entry : model->entries)
    for (uint32_t i = 0; i < entry.abi->n_inputs; ++i)
      if (entry.abi->inputs[i].dtype == VLM_ABI_CACHE &&
          entry.abi->inputs[i].name == name)
        return &entry.abi->inputs[i];
  return nullptr;
}

vlm_status_t *vlm_cache_create(const vlm_model_t *model, int64_t sequences,
                               int64_t max_tokens, vlm_cache_t **out_cache) {
  return vlm_cache_create_for(model, "cache", sequences, max_tokens, out_cache);
}

vlm_status_t *vlm_cache_create_for(const vlm_model_t *model, const char *input,
                                   int64_t sequences, int64_t max_tokens,
                                   vlm_cache_t **out_cache) {
  return guarded("making a cache", [&]() -> vlm_status_t * {
    std::string_view name = input ? input : "cache";
    const vlm_abi_tensor *tensor = findCache(model, name);
    if (!tensor)
      return makeStatus(
          VLM_UNSUPPORTED,
          std::string("model '") + model->abi->name +
              "' has no entry point that takes a cache" +
              (name == "cache" ? "" : " as input '" + std::string(name) + "'"));
    constexpr int64_t limit = int64_t(1) << 31;
    for (auto [what, value] : {std::pair("max_sequences", sequences),
                               std::pair("max_tokens", max_tokens)})
      if (value < 1 || value > limit)
        return makeStatus(VLM_INVALID_ARGUMENT,
                          std::string("cache: expected '") + what +
                              "' from 1 to " + std::to_string(limit) +
                              ", found " + std::to_string(value));
    if (ceilDiv(max_tokens, VLM_ABI_PAGE_TOKENS) > limit / sequences)
      return makeStatus(VLM_INVALID_ARGUMENT,
                        "cache: " + std::to_string(sequences) +
                            " sequences of " + std::to_string(max_tokens) +
                            " tokens have too many pages; use fewer or "
                            "shorter ones");
    auto cache =
        std::make_unique<vlm_cache_t>(tensor->dims, sequences, max_tokens);
    cache->device = model->device;
    *out_cache = cache.release();
    return nullptr;
  });
}

vlm_status_t *vlm_cache_resize(vlm_cache_t *cache, int64_t sequence,
                               int64_t tokens) {
  return guarded("resizing a sequence of a cache",
                 [&] { return cache->resize(sequence, tokens); });
}

vlm_status_t *vlm_cache_fork(vlm_cache_t *cache, int64_t from, int64_t to,
                             int64_t tokens) {
  return guarded("forking a sequence of a cache",
                 [&] { return cache->fork(from, to, tokens); });
}

size_t vlm_cache_page_bytes(const vlm_cache_t *cache) {
  return cache->pageBytes();
}

size_t vlm_cache_pages(const vlm_cache_t *cache) { return cache->pages(); }

void vlm_cache_destroy(vlm_cache_t *cache) { delete cache; }
