//===- Decoder.cpp - Runs of a language model -----------------------------===//
#include "runtime/tasks/Decoder.h"

#include <algorithm>
#include <cstring>

namespace vlmc::rt {

vlm_status_t *Decoder::open(const PromptReader &reader, int64_t sequences,
                            int64_t maxTokens) {
  facts = reader.facts;
  seesPictures = reader.seesPictures;
  seesPrompt = reader.seesPrompt || seesPictures;
  encodes = reader.encodes;
  rotary = LongRotary(facts->rotary);
  if (vlm_status_t *status =
          entry.find(reader.model, "decode", "generate text"))
    return status;
  SizeRange range;
  if (vlm_status_t *status = entry.inputSize("input_ids", 1, range))
    return status;
  mostTokens = range.max;
  if (vlm_status_t *status = entry.outputSize("logits", 2, range))
    return status;
  words = range.max;
  if (vlm_status_t *status = findInputs())
    return status;
  if (facts->attended)
    return openPictures(reader.model, sequences, maxTokens);
  vlm_cache_t *made = nullptr;
  if (encodes)
    if (vlm_status_t *status = vlm_cache_create_for(
            reader.model, pictureInput.name, sequences, maxTokens, &made))
      return status;
  pictureCache.reset(made);
  return nullptr;
}

/// Each picture has a token at least; and so many in one prompt are more than
/// any model is made for.
vlm_status_t *Decoder::openPictures(const vlm_model_t *model, int64_t sequences,
                                    int64_t maxTokens) {
  Encoder tower;
  if (vlm_status_t *status =
          tower.find(model, "encode_image", "look at pictures"))
    return status;
  SizeRange range;
  if (vlm_status_t *status = tower.outputSize("image_features", 1, range))
    return status;
  rowsPerPicture = range.max;
  pictureRows = PictureRows(facts->attended, rowsPerPicture);
  constexpr int64_t mostPictures = 1024;
  maxTokens = std::min(maxTokens, mostPictures);
  vlm_cache_t *made = nullptr;
  if (vlm_status_t *status =
          vlm_cache_create_for(model, pictureInput.name, sequences,
                               maxTokens * rowsPerPicture, &made))
    return status;
  pictureCache.reset(made);
  return nullptr;
}

/// Caches are told apart by their names too.
vlm_status_t *Decoder::findInputs() {
  for (size_t i = 0; i < vlm_entry_input_count(entry.entry); ++i) {
    vlm_tensor_t input;
    if (vlm_status_t *status = vlm_entry_input(entry.entry, i, &input))
      return status;
    if (input.dtype == VLM_CACHE)
      (std::strcmp(input.name, "cache") == 0 ? cacheInput : pictureInput) =
          input;
    if (std::strcmp(input.name, "features") == 0)
      featureWidth = input.dims[input.rank - 1];
  }
  return nullptr;
}

/// Tokens that see each other see all of them; the others add nothing.
void Decoder::tellSeen(const Slice &slice) {
  // Those of a picture see it to its end; its beginning they see anyway, as far
  // as the window goes.
  const int64_t *whole = slice.ids.data() - slice.first;
  for (size_t i = 0; seesPictures && i < slice.ids.size(); ++i) {
    int64_t at = slice.first + int64_t(i), end = at;
    while (end < slice.mutual && whole[end] == facts->image_token)
      ++end;
    first.push_back(int32_t(at));
    last.push_back(int32_t(end));
  }
  if (seesPictures)
    return;
  for (size_t i = 0; i < slice.ids.size(); ++i) {
    bool isMutual = slice.first + int64_t(i) < slice.mutual;
    first.push_back(0);
    last.push_back(isMutual ? int32_t(slice.mutual) : 0);
  }
}

/// Gives each token of a picture its row of features. Only the rows that are
/// read go into the run.
void Decoder::gather(const Slice &slice) {
  int64_t end = slice.first + int64_t(slice.ids.size());
  size_t begin = featureRow.size();
  featureRow.resize(begin + slice.ids.size(), -1);
  for (const Picture &picture : slice.pictures) {
    if (picture.end <= slice.first || picture.begin >= end)
      continue;
    // Between a picture's tokens others may stand.
    int64_t next = 0;
    const int64_t *whole = slice.ids.data() - slice.first;
    // Ids before the slice are there as well: a slice is a part of its
    // sequence's ids.
    for (int64_t i = picture.begin; i < std::min(picture.end, end); ++i) {
      if (whole[i] != picture.token)
        continue;
      if (i >= slice.first) {
        featureRow[begin + size_t(i - slice.first)] =
            int32_t(features.size() / size_t(featureWidth));
        auto from = picture.features->begin() + next * featureWidth;
        features.insert(features.end(), from, from + featureWidth);
      }
      ++next;
    }
  }
}

/// Keys and values of a picture are computed in the run that its placeholder is
/// in, or in the first one; they lie behind those of the pictures before it.
vlm_status_t *Decoder::gatherSeen(const Slice &slice) {
  tellRanges(slice);
  int64_t known = pictureRows.known(slice.pictures, slice.first);
  int64_t all = pictureRows.known(slice.pictures,
                                  slice.first + int64_t(slice.ids.size()));
  if (known == all)
    return nullptr;
  int64_t place = pictureRows.count(slice.pictures, known);
  // What an earlier prompt had behind them goes first.
  for (int64_t count : {place, pictureRows.count(slice.pictures, all)})
    if (vlm_status_t *status =
            vlm_cache_resize(pictureCache.get(), slice.sequence, count))
      return status;
  auto add = [&](const Picture &picture, int64_t first, int64_t count) {
    auto from = picture.features->begin() + first * featureWidth;
    features.insert(features.end(), from, from + count * featureWidth);
    for (int64_t row = 0; row < count; ++row) {
      featureSequence.push_back(slice.sequence);
      featurePosition.push_back(int32_t(place++));
    }
  };
  auto fresh = slice.pictures.subspan(size_t(known), size_t(all - known));
  for (const Picture &picture : fresh)
    add(picture, 0, pictureRows.shown(picture));
  for (const Picture &picture : fresh)
    add(picture, pictureRows.shown(picture),
        pictureRows.hidden(slice.pictures, picture));
  return nullptr;
}

/// What an encoder gave goes in with the sequence's first tokens; each token
/// sees all of it.
vlm_status_t *Decoder::gatherEncoded(const Slice &slice) {
  first.insert(first.end(), slice.ids.size(), 0);
  last.insert(last.end(), slice.ids.size(), int32_t(slice.encoded));
  if (slice.first > 0)
    return nullptr;
  // What an earlier prompt had goes first.
  for (int64_t rows : {int64_t(0), slice.encoded})
    if (vlm_status_t *status =
            vlm_cache_resize(pictureCache.get(), slice.sequence, rows))
      return status;
  features.insert(features.end(), slice.encoderRows->begin(),
                  slice.encoderRows->end());
  for (int64_t row = 0; row < slice.encoded; ++row) {
    featureSequence.push_back(slice.sequence);
    featurePosition.push_back(int32_t(row));
  }
  return nullptr;
}

/// Which rows each token sees, and where the model says so none behind an end
/// token.
void Decoder::tellRanges(const Slice &slice) {
  int64_t end = slice.first + int64_t(slice.ids.size());
  const int64_t *whole = slice.ids.data() - slice.first;
  bool isOver = false;
  int64_t begin = slice.first;
  // From the last picture before the slice on, for end tokens.
  for (const Picture &picture : slice.pictures)
    if (picture.begin < slice.first)
      begin = picture.begin;
  int64_t seen = countBefore(slice.pictures, begin); // pictures
  for (int64_t i = begin; i < end; ++i) {
    if (size_t(seen) < slice.pictures.size() &&
        slice.pictures[size_t(seen)].begin == i) {
      ++seen;
      isOver = false;
    }
    if (i >= slice.first) {
      PictureRows::Range range = pictureRows.seen(slice.pictures, seen);
      first.push_back(int32_t(range.first));
      last.push_back(isOver ? 0 : int32_t(range.last));
      shown.push_back(range.isShown);
      alike.push_back(range.isShown ? -1 : 0);
    }
    if (facts->attended & VLM_ABI_ATTEND_UNTIL_END && facts->n_end_tokens)
      isOver = isOver || whole[i] == facts->end_tokens[0];
  }
}

/// The inputs that tell of pictures.
void Decoder::addFeatures(std::vector<vlm_tensor_t> &in, int64_t *tokens) {
  if (!pictureCache) {
    if (features.empty())
      features.resize(size_t(featureWidth)); // which nobody reads
    int64_t dims[] = {int64_t(features.size()) / featureWidth, featureWidth};
    in.push_back(denseTensor("features", VLM_F32, features.data(), 2, dims));
    in.push_back(
        denseTensor("feature_row", VLM_I32, featureRow.data(), 2, tokens));
    return;
  }
  int64_t dims[] = {1, int64_t(featurePosition.size()), featureWidth};
  in.push_back(denseTensor("features", VLM_F32, features.data(), 3, dims));
  in.push_back(denseTensor("feature_sequence", VLM_I32, featureSequence.data(),
                           2, dims));
  in.push_back(denseTensor("feature_position", VLM_I32, featurePosition.data(),
                           2, dims));
  in.push_back(denseTensor("first_feature", VLM_I32, first.data(), 2, tokens));
  in.push_back(denseTensor("last_feature", VLM_I32, last.data(), 2, tokens));
  if (entry.hasInput("shown"))
    in.push_back(denseTensor("shown", VLM_I32, shown.data(), 2, tokens));
  if (entry.hasInput("alike"))
    in.push_back(denseTensor("alike", VLM_I32, alike.data(), 2, tokens));
  in.push_back(pictureInput);
  in.back().data = pictureCache.get();
}

vlm_status_t *Decoder::forkPictures(int32_t from, int32_t to,
                                    std::span<const Picture> pictures,
                                    int64_t tokens, int64_t encoded) {
  if (!pictureCache)
    return nullptr;
  if (encodes)
    return vlm_cache_fork(pictureCache.get(), from, to, encoded);
  return vlm_cache_fork(
      pictureCache.get(), from, to,
      pictureRows.count(pictures, pictureRows.known(pictures, tokens)));
}

void Decoder::clearPictures(int32_t number) {
  if (pictureCache) // giving back cannot fail
    vlm_status_destroy(vlm_cache_resize(pictureCache.get(), number, 0));
}

size_t Decoder::pictureBytes(size_t pictures) const {
  if (!pictureCache)
    return 0;
  size_t rowsPerPage = VLM_ABI_PAGE_TOKENS;
  size_t pages =
      (pictures * size_t(rowsPerPicture) + rowsPerPage - 1) / rowsPerPage;
  return pages * vlm_cache_page_bytes(pictureCache.get());
}

size_t Decoder::encodedBytes(int64_t rows) const {
  constexpr int64_t page = VLM_ABI_PAGE_TOKENS;
  return encodes ? size_t((rows + page - 1) / page) *
                       vlm_cache_page_bytes(pictureCache.get())
                 : 0;
}

vlm_status_t *Decoder::run(vlm_cache_t *cache, std::span<Slice> slices) {
  ids.clear();
  sequence.clear();
  position.clear();
  featureRow.clear();
  rows.clear();
  features.clear();
  rotary.clear();
  for (std::vector<int32_t> *column :
       {&featureSequence, &featurePosition, &first, &last, &shown, &alike})
    column->clear();
  for (Slice &slice : slices) {
    auto count = int64_t(slice.ids.size());
    slice.row = rows.size();
    for (int64_t i = 0; i < count; ++i) {
      if (slice.wantsAll || i + 1 == count)
        rows.push_back(int32_t(ids.size()));
      // The placeholder of a picture may be no word of the vocabulary; where
      // layers attend to pictures it is one.
      int64_t id = slice.ids[size_t(i)];
      bool isNoWord = !pictureCache && id >= words;
      bool isPlace = id == facts->image_token || id == facts->video_token;
      ids.push_back(isPlace && isNoWord ? 0 : id);
      rotary.add(slice.first + i, slice.length);
      sequence.push_back(slice.sequence);
      position.push_back(int32_t(slice.first + i));
    }
    if (seesPrompt)
      tellSeen(slice);
    if (pictureCache) {
      if (vlm_status_t *status =
              encodes ? gatherEncoded(slice) : gatherSeen(slice))
        return status;
    } else if (featureWidth > 0) {
      gather(slice);
    }
  }
  int64_t tokens[] = {1, int64_t(ids.size())};
  int64_t wanted[] = {1, int64_t(rows.size())};
  std::vector<vlm_tensor_t> in = {
      denseTensor("input_ids", VLM_I64, ids.data(), 2, tokens),
      denseTensor("sequence", VLM_I32, sequence.data(), 2, tokens),
      denseTensor("position", VLM_I32, position.data(), 2, tokens),
      denseTensor("rows", VLM_I32, rows.data(), 2, wanted)};
  if (seesPrompt) {
    in.push_back(denseTensor("first_seen", VLM_I32, first.data(), 2, tokens));
    in.push_back(denseTensor("last_seen", VLM_I32, last.data(), 2, tokens));
  }
  if (featureWidth > 0)
    addFeatures(in, tokens);
  if (rotary.isNeeded()) {
    std::vector<float> &values = rotary.rows();
    int64_t dims[] = {int64_t(values.size()) / rotary.size(), rotary.size()};
    in.push_back(denseTensor("rotary", VLM_F32, values.data(), 2, dims));
    in.push_back(
        denseTensor("rotary_row", VLM_I32, rotary.row().data(), 2, tokens));
  }
  in.push_back(cacheInput);
  in.back().data = cache;
  results.resize(rows.size() * size_t(words));
  int64_t dims[] = {1, wanted[1], words};
  vlm_tensor_t out = denseTensor("logits", VLM_F32, results.data(), 3, dims);
  return vlm_entry_run(entry.entry, in.data(), in.size(), &out, 1);
}

vlm_status_t *Decoder::memory(int64_t tokens, int64_t rowCount, int64_t encoded,
                              size_t &work, size_t &tensors) const {
  int64_t all[] = {1, tokens}, wanted[] = {1, rowCount};
  std::vector<vlm_tensor_t> in = {
      denseTensor("input_ids", VLM_I64, nullptr, 2, all),
      denseTensor("sequence", VLM_I32, nullptr, 2, all),
      denseTensor("position", VLM_I32, nullptr, 2, all),
      denseTensor("rows", VLM_I32, nullptr, 2, wanted)};
  if (seesPrompt)
    for (const char *column : {"first_seen", "last_seen"})
      in.push_back(denseTensor(column, VLM_I32, nullptr, 2, all));
  if (pictureCache) {
    // As if every token were a picture would be far too much: one is counted.
    int64_t dims[] = {1, encodes ? encoded : rowsPerPicture, featureWidth};
    in.push_back(denseTensor("features", VLM_F32, nullptr, 3, dims));
    for (const char *column : {"feature_sequence", "feature_position"})
      in.push_back(denseTensor(column, VLM_I32, nullptr, 2, dims));
    for (const char *column : {"first_feature", "last_feature"})
      in.push_back(denseTensor(column, VLM_I32, nullptr, 2, all));
    in.push_back(pictureInput);
  } else if (featureWidth > 0) {
    int64_t dims[] = {tokens, featureWidth};
    in.push_back(denseTensor("features", VLM_F32, nullptr, 2, dims));
    in.push_back(denseTensor("feature_row", VLM_I32, nullptr, 2, all));
  }
  if (rotary.isNeeded()) {
    int64_t dims[] = {tokens, rotary.size()};
    in.push_back(denseTensor("rotary", VLM_F32, nullptr, 2, dims));
    in.push_back(denseTensor("rotary_row", VLM_I32, nullptr, 2, all));
  }
  in.push_back(cacheInput);
  tensors = size_t(rowCount * words) * sizeof(float);
  for (const vlm_tensor_t &tensor : in)
    tensors += tensor.dtype == VLM_CACHE ? 0 : tensor.bytes;
  return vlm_entry_memory(entry.entry, in.data(), in.size(), /*threads=*/0,
                          &work);
}

} // namespace vlmc::rt
