//===- Prompt.cpp - Prompts with placeholders for pictures ----------------===//
#include "runtime/core/StatusInternal.h"
#include "runtime/text/PictureParts.h"
#include "runtime/text/PromptInternal.h"
#include "runtime/text/TokenizerHandle.h"
#include "runtime/vlm.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

using namespace vlmc::rt;
using namespace vlmc::rt::text;

static std::string plural(size_t count, const char *what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

static vlm_status_t *mismatch(std::string_view token, size_t found,
                              size_t given,
                              const std::string &what = "picture") {
  std::string name(token);
  std::string remedy =
      found < given ? "write '" + name + "' where the " + what + " belongs"
                    : "give the " + what + "s that are missing";
  return makeStatus(VLM_INVALID_ARGUMENT,
                    "expected a placeholder '" + name +
                        "' in the prompt for each " + what + ", found " +
                        plural(found, "placeholder") + " and " +
                        plural(given, what.c_str()) + "; " + remedy);
}

namespace {
/// Writes what stands at the placeholders of one prompt.
class MediaWriter {
public:
  explicit MediaWriter(const vlm_tokenizer_t *tokenizer)
      : header(tokenizer->tokenizer->header()),
        tables(tokenizer->tokenizer->tables()),
        token(tables.string(header.picture_token)),
        placeholder(header.placeholder.bytes ? tables.string(header.placeholder)
                                             : token),
        video(tables.string(header.video_token)),
        frame(tables.string(header.picture_frame)),
        end(tables.string(header.picture_end)) {}

  struct Place {
    size_t at = std::string_view::npos;
    bool isVideo = false;
    bool isThere() const { return at != std::string_view::npos; }
  };
  /// The first placeholder from `from` on.
  Place find(std::string_view prompt, size_t from) const {
    Place place{placeholder.empty() ? prompt.npos
                                    : prompt.find(placeholder, from)};
    size_t other = video.empty() ? prompt.npos : prompt.find(video, from);
    return other < place.at ? Place{other, true} : place;
  }
  size_t bytes(const Place &place) const {
    return (place.isVideo ? video : placeholder).size();
  }
  /// `rest` is what stands behind the placeholder.
  void write(const Place &place, const Medium &medium, std::string_view rest,
             std::string &out) const;

private:
  void addPicture(int64_t tokens, std::string_view rest,
                  std::string &out) const;

  const vlm_text_header &header;
  const Tables &tables;

public:
  const std::string_view token, placeholder, video, frame, end;
};
} // namespace

/// A picture's tokens and what stands around them.
void MediaWriter::addPicture(int64_t tokens, std::string_view rest,
                             std::string &out) const {
  if (!end.empty() || !out.ends_with(frame))
    out.append(frame);
  for (int64_t i = 0; i < tokens; ++i)
    out.append(token);
  if (!end.empty())
    out.append(end);
  else if (!rest.starts_with(frame))
    out.append(frame);
}

void MediaWriter::write(const Place &place, const Medium &medium,
                        std::string_view rest, std::string &out) const {
  std::string_view name = tables.string(header.frame_name);
  const int64_t usual = std::max(header.picture_extra, 1);
  const int64_t crops = header.crops_middle.bytes ? medium.tokens / usual : 1;
  if (place.isVideo && name.empty()) {
    for (int64_t i = 0; i < medium.tokens; ++i)
      out.append(video);
  } else if (place.isVideo) {
    for (int64_t i = 0; i < medium.frames; ++i) {
      out.append(i ? "\n" : "").append(name);
      out.append(std::to_string(i + 1)).append(": ");
      addPicture(medium.tokens / medium.frames, rest, out);
    }
  } else if (crops <= 1) {
    addPicture(medium.tokens, rest, out);
  } else {
    out.append(tables.string(header.crops_begin));
    for (int64_t i = 0; i < crops; ++i) {
      if (i)
        out.append(
            tables.string(i == 1 ? header.crops_middle : header.crops_join));
      addPicture(usual, rest, out);
    }
  }
}

vlm_status_t *vlm_tokenizer_order_media(const vlm_tokenizer_t *tokenizer,
                                        const char *text, size_t bytes,
                                        size_t pictures, size_t videos,
                                        std::vector<size_t> &order) {
  order.clear();
  MediaWriter writer(tokenizer);
  std::string_view prompt(text, bytes);
  size_t picture = 0, video = 0;
  if (!writer.video.empty())
    for (MediaWriter::Place place;
         (place = writer.find(prompt, place.isThere() ? place.at : 0))
             .isThere();
         place.at += writer.bytes(place)) {
      size_t &next = place.isVideo ? video : picture;
      if (place.isVideo || next < pictures)
        order.push_back(place.isVideo ? pictures + next : next);
      ++next;
    }
  if (!writer.video.empty() && video != videos)
    return mismatch(writer.video, video, videos, "video");
  // What has no placeholder is told when the prompt is encoded.
  for (; picture < pictures; ++picture)
    order.push_back(picture);
  for (; video < videos; ++video)
    order.push_back(pictures + video);
  return nullptr;
}

/// The ids of pictures, then those of the prompt with its special tokens.
static vlm_status_t *encodeBehindPictures(const vlm_tokenizer_t *tokenizer,
                                          std::string_view prompt,
                                          std::string_view token,
                                          std::span<const int64_t> lines,
                                          int special, vlm_ids_t *out) {
  const vlm_text_header &header = tokenizer->tokenizer->header();
  const Tables &tables = tokenizer->tokenizer->tables();
  std::string_view line = tables.string(header.picture_line);
  std::string_view end = tables.string(header.picture_end);
  if (prompt.find(token) != prompt.npos)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "expected a prompt without '" + std::string(token) +
                          "', as pictures stand in front of it; leave it out");
  std::string pictures, text(prompt);
  size_t expected = 0;
  for (int64_t count : lines) {
    for (int64_t i = 0; i < count; ++i)
      pictures.append(token);
    pictures.append(line);
    expected += size_t(count) + !line.empty();
  }
  if (!lines.empty()) {
    pictures.append(end);
    text.append(tables.string(header.prompt_end));
    expected += !end.empty();
    special = special && end.empty();
  }
  vlm_ids_t words{};
  if (vlm_status_t *status = vlm_tokenizer_encode(
          tokenizer, text.data(), text.size(), special, 0, &words))
    return status;
  if (vlm_status_t *status = vlm_tokenizer_encode(
          tokenizer, pictures.data(), pictures.size(), /*special=*/0, 0, out)) {
    vlm_ids_destroy(&words);
    return status;
  }
  // The sign of a word's begin, which tokenizers put before a text.
  if (!line.empty() && out->count == expected + 1)
    std::copy(out->ids + 1, out->ids + out->count--, out->ids);
  size_t count = out->count + words.count;
  auto *memory = static_cast<int32_t *>(
      std::realloc(out->ids, std::max<size_t>(count, 1) * sizeof(int32_t)));
  if (memory) {
    std::copy_n(words.ids, words.count, memory + out->count);
    out->ids = memory;
    out->count = count;
  } else {
    vlm_ids_destroy(out);
  }
  vlm_ids_destroy(&words);
  return memory ? nullptr : outOfMemory("tokenizing a prompt");
}

/// The ids of a prompt whose pictures stand there in parts.
static vlm_status_t *encodeWithParts(const vlm_tokenizer_t *tokenizer,
                                     std::string_view prompt,
                                     std::span<const int64_t> counts,
                                     int special, vlm_ids_t *out) {
  const vlm_text_header &header = tokenizer->tokenizer->header();
  const Tables &tables = tokenizer->tokenizer->tables();
  const bool areTiles = header.pictures_first == VLM_TEXT_PICTURES_TILES;
  PictureWords words{tables.string(header.picture_token),
                     tables.string(header.picture_frame),
                     tables.string(header.picture_line), header.picture_extra};
  const size_t pictures = counts.size() / (areTiles ? 2 : 1);
  if (size_t found = countPlaceholders(words, prompt); found != pictures)
    return mismatch(words.token, found, pictures);
  std::string text = areTiles ? writeTiles(words, prompt, counts)
                              : writeParts(words, prompt, counts);
  return vlm_tokenizer_encode(tokenizer, text.data(), text.size(), special, 0,
                              out);
}

vlm_status_t *vlm_tokenizer_encode_prompt(const vlm_tokenizer_t *tokenizer,
                                          const char *text, size_t bytes,
                                          const int64_t *picture_tokens,
                                          size_t picture_count, int special,
                                          vlm_ids_t *out_ids) {
  if (!tokenizer || (!text && bytes) || (!picture_tokens && picture_count) ||
      !out_ids)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "prompt: expected an address, found NULL");
  return guarded("tokenizing", [&]() -> vlm_status_t * {
    // No placeholder may be a video's.
    std::vector<size_t> order;
    if (vlm_status_t *status = vlm_tokenizer_order_media(
            tokenizer, text, bytes, picture_count, 0, order))
      return status;
    std::vector<Medium> media;
    for (int64_t tokens : std::span(picture_tokens, picture_count))
      media.push_back({tokens, 0});
    return vlm_tokenizer_encode_media(tokenizer, text, bytes, media, special,
                                      out_ids);
  });
}

vlm_status_t *vlm_tokenizer_encode_media(const vlm_tokenizer_t *tokenizer,
                                         const char *text, size_t bytes,
                                         std::span<const Medium> media,
                                         int special, vlm_ids_t *out_ids) {
  const size_t picture_count = media.size();
  size_t length = 0;
  const char *name = vlm_tokenizer_picture_token(tokenizer, &length);
  if (!name && !picture_count)
    return vlm_tokenizer_encode(tokenizer, text, bytes, special, 0, out_ids);
  if (!name)
    return makeStatus(
        VLM_INVALID_ARGUMENT,
        "expected a prompt without pictures, found " +
            plural(picture_count, "picture") +
            ": the checkpoint names no token that stands for a picture");
  return guarded("tokenizing", [&]() -> vlm_status_t * {
    const vlm_text_header &header = tokenizer->tokenizer->header();
    const Tables &tables = tokenizer->tokenizer->tables();
    std::string_view prompt(text, bytes), token(name, length);
    std::vector<int64_t> lines;
    for (const Medium &medium : media)
      lines.push_back(medium.tokens);
    if (header.pictures_first == VLM_TEXT_PICTURES_PARTS ||
        header.pictures_first == VLM_TEXT_PICTURES_TILES)
      return encodeWithParts(tokenizer, prompt, lines, special, out_ids);
    if (header.pictures_first == VLM_TEXT_PICTURES_FIRST)
      return encodeBehindPictures(tokenizer, prompt, token, lines, special,
                                  out_ids);
    const MediaWriter writer(tokenizer);
    std::string_view begin = tables.string(header.prompt_begin);
    const bool beginsBehind =
        header.pictures_first == VLM_TEXT_PICTURES_BEFORE_BEGIN;
    const bool leads = header.pictures_first == VLM_TEXT_PICTURES_LEADING;
    std::string expanded, whole;
    if (leads && prompt.find(begin) == prompt.npos) {
      size_t behind = 0;
      while (prompt.substr(behind).starts_with(token))
        behind += token.size();
      whole.append(prompt.substr(0, behind))
          .append(begin)
          .append(prompt.substr(behind));
      prompt = whole;
    }
    if (beginsBehind && prompt.find(token) == prompt.npos) {
      for (size_t i = 0; i < picture_count; ++i)
        whole.append(token);
      prompt = whole.append(prompt);
    }
    if (!beginsBehind && !leads && special && !prompt.starts_with(begin))
      expanded = begin;
    size_t last = 0, found = 0, seenVideos = 0;
    for (MediaWriter::Place place;
         (place = writer.find(prompt, last)).isThere(); ++found) {
      expanded.append(prompt.substr(last, place.at - last));
      last = place.at + writer.bytes(place);
      writer.write(place, found < picture_count ? media[found] : Medium(),
                   prompt.substr(last), expanded);
      seenVideos += place.isVideo;
    }
    if (found != picture_count) { // of videos with places of their own, as many
      const auto videos =
          writer.video.empty()
              ? 0
              : size_t(std::ranges::count_if(media, [](const Medium &medium) {
                  return medium.frames > 0;
                }));
      return mismatch(token, found - seenVideos, picture_count - videos,
                      "picture");
    }
    if (beginsBehind && special)
      expanded.append(begin);
    expanded.append(prompt.substr(last));
    const bool isInside = header.pictures_first == VLM_TEXT_PICTURES_INSIDE;
    if (isInside || (beginsBehind && special))
      expanded.append(tables.string(header.prompt_end));
    return vlm_tokenizer_encode(tokenizer, expanded.data(), expanded.size(),
                                special && (leads || begin.empty()), 0,
                                out_ids);
  });
}

vlm_status_t *vlm_tokenizer_join(const vlm_tokenizer_t *tokenizer,
                                 const char *const *parts, size_t count,
                                 int ends_parts, char **out_text,
                                 size_t *out_bytes) {
  if (!tokenizer || (!parts && count) || !out_text || !out_bytes)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "prompt: expected an address, found NULL");
  return guarded("joining a prompt", [&]() -> vlm_status_t * {
    const vlm_text_header &header = tokenizer->tokenizer->header();
    const Tables &tables = tokenizer->tokenizer->tables();
    std::string_view picture = MediaWriter(tokenizer).placeholder;
    std::string joined;
    for (size_t i = 0; i < count; ++i) {
      if (!parts[i] && picture.empty())
        return makeStatus(
            VLM_INVALID_ARGUMENT,
            "expected a prompt without pictures: the checkpoint names no token "
            "that stands for a picture");
      if (!parts[i] && header.pictures_first == VLM_TEXT_PICTURES_FIRST)
        continue;
      std::string_view part = parts[i] ? parts[i] : picture;
      while (parts[i] && header.strips_parts && part.starts_with(' '))
        part.remove_prefix(1);
      while (parts[i] && header.strips_parts && part.ends_with(' '))
        part.remove_suffix(1);
      if (ends_parts && i > 0 && parts[i] && parts[i - 1])
        joined.append(tables.string(header.part_end));
      joined.append(part);
    }
    auto *memory = static_cast<char *>(std::malloc(joined.size() + 1));
    if (!memory)
      return outOfMemory("joining a prompt");
    std::memcpy(memory, joined.c_str(), joined.size() + 1);
    *out_text = memory;
    *out_bytes = joined.size();
    return nullptr;
  });
}
