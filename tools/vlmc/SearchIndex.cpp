//===- SearchIndex.cpp - Embeddings of a folder's pictures ----------------===//
#include "tools/vlmc/SearchIndex.h"

#include "frontend/support/Json.h"
#include "tools/vlmc/EmbedTask.h"
#include "tools/vlmc/Entries.h"

#include <algorithm>
#include <filesystem>
#include <map>

namespace vlmc::tool {

namespace fs = std::filesystem;

/// Of the file's own form.
static constexpr int formVersion = 1;

Outcome<std::vector<std::vector<float>>> embeddingsOf(const TensorMap &values,
                                                      const std::string &name) {
  auto found = values.find(name);
  if (found == values.end() || found->second.shape.size() != 2)
    return Fault("the model gives no single embedding of a picture or text; "
                 "search takes a dual encoder");
  const HostTensor &tensor = found->second;
  const size_t width = tensor.rowBytes() / sizeof(float);
  std::vector<std::vector<float>> rows;
  for (int64_t i = 0; i < tensor.rows(); ++i) {
    const float *row = tensor.data<float>() + size_t(i) * width;
    rows.emplace_back(row, row + width);
  }
  return rows;
}

/// What tells a model from others: its name and its weights' checksums.
static std::string identify(const vlm_model_t *model) {
  const vlm_abi_model &abi = *vlm_model_abi(model);
  std::string text = std::string(abi.name) + " ";
  for (uint8_t byte : abi.weights_header_sha256) {
    constexpr const char *digits = "0123456789abcdef";
    text += {digits[byte >> 4], digits[byte & 15]};
  }
  return text;
}

//===----------------------------------------------------------------------===//
// The file
//===----------------------------------------------------------------------===//

/// The description and the rows of an index, or why it is none.
static Outcome<std::vector<SearchIndex::Picture>>
readPictures(const Json &described, const HostTensor &rows) {
  const Fault fault("its description and its rows do not fit");
  std::vector<SearchIndex::Picture> pictures;
  const size_t width = rows.rowBytes() / sizeof(float);
  int64_t next = 0;
  if (!described.contains("pictures") || !described["pictures"].is_array())
    return fault;
  for (const Json &item : described["pictures"]) {
    if (!item.is_object() || !item.contains("name") ||
        !item["name"].is_string() || !item.contains("size") ||
        !item["size"].is_number_unsigned() || !item.contains("time") ||
        !item["time"].is_number_integer())
      return fault;
    SearchIndex::Picture &picture = pictures.emplace_back();
    picture.name = item["name"].get<std::string>();
    picture.size = item["size"].get<uint64_t>();
    picture.time = item["time"].get<int64_t>();
    if (item.contains("fault") && item["fault"].is_string()) {
      picture.fault = item["fault"].get<std::string>();
      continue;
    }
    if (next == rows.rows())
      return fault;
    const float *row = rows.data<float>() + size_t(next++) * width;
    picture.embedding.assign(row, row + width);
  }
  if (next != rows.rows())
    return fault;
  return pictures;
}

std::optional<Fault> SearchIndex::load() {
  std::error_code error;
  if (!fs::exists(file, error))
    return std::nullopt;
  auto bad = [&](const std::string &why) {
    return Fault(file + ": no index of vlmc search: " + why +
                 "; remove it, or name another with --index FILE");
  };
  Result<SafetensorsFile> opened = SafetensorsFile::open(file);
  if (!opened)
    return bad(opened.message());
  const SafetensorsEntry *text = nullptr, *rows = nullptr;
  for (const SafetensorsEntry &entry : opened->entries()) {
    if (entry.name == "description" && entry.dtype == "U8")
      text = &entry;
    if (entry.name == "embeddings" && entry.dtype == "F32" &&
        entry.shape.size() == 2)
      rows = &entry;
  }
  if (!text || !rows)
    return bad("expected the tensors description and embeddings");
  std::span<const uint8_t> bytes = opened->bytesOf(*text);
  Result<Json> described = parseJson(
      {reinterpret_cast<const char *>(bytes.data()), bytes.size()}, file);
  if (!described)
    return bad(described.message());
  if (!described->is_object() || !described->contains("version") ||
      (*described)["version"] != formVersion) {
    otherModel = true; // of another vlmc: made anew
    return std::nullopt;
  }
  if (!described->contains("model") ||
      (*described)["model"] != identify(model)) {
    otherModel = true;
    return std::nullopt;
  }
  Outcome<HostTensor> values = readTensor(*opened, *rows, VLM_F32);
  if (!values)
    return values.takeFault();
  Outcome<std::vector<Picture>> read = readPictures(*described, *values);
  if (!read)
    return bad(read.takeFault().message);
  pictures = std::move(*read);
  return std::nullopt;
}

std::optional<Fault> SearchIndex::write(OutputFile &output) const {
  nlohmann::ordered_json described = {{"version", formVersion},
                                      {"model", identify(model)},
                                      {"pictures", Json::array()}};
  std::vector<float> rows;
  int64_t count = 0, width = 0;
  for (const Picture &picture : pictures) {
    nlohmann::ordered_json item = {
        {"name", picture.name}, {"size", picture.size}, {"time", picture.time}};
    if (picture.embedding.empty()) {
      item["fault"] = picture.fault;
    } else {
      width = int64_t(picture.embedding.size());
      rows.insert(rows.end(), picture.embedding.begin(),
                  picture.embedding.end());
      ++count;
    }
    described["pictures"].push_back(std::move(item));
  }
  const std::string text =
      described.dump(-1, ' ', false, Json::error_handler_t::replace);
  return writeTensors(
      output,
      {{"description",
        HostTensor::of(VLM_U8, {int64_t(text.size())}, text.data())},
       {"embeddings", HostTensor::of(VLM_F32, {count, width}, rows.data())}});
}

//===----------------------------------------------------------------------===//
// The folder
//===----------------------------------------------------------------------===//

static bool isPictureName(const fs::path &path) {
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  });
  static const std::vector<std::string> known = {".png", ".jpg", ".jpeg",
                                                 ".webp", ".gif"};
  return std::ranges::find(known, ending) != known.end();
}

/// Pictures below the folder, by name; hidden files and folders are left out.
std::optional<Fault> SearchIndex::list(std::vector<Picture> &found) const {
  std::error_code error;
  fs::recursive_directory_iterator at(folder, error), end;
  if (error)
    return Fault(folder +
                 ": expected a folder of pictures: " + error.message());
  for (; at != end; at.increment(error)) {
    if (error)
      return Fault(folder + ": cannot be read to its end: " + error.message());
    const fs::path &path = at->path();
    if (path.filename().string().starts_with(".")) {
      at.disable_recursion_pending();
      continue;
    }
    if (!at->is_regular_file(error) || !isPictureName(path))
      continue;
    Picture &picture = found.emplace_back();
    picture.name = fs::relative(path, folder, error).string();
    picture.size = at->file_size(error);
    picture.time = at->last_write_time(error).time_since_epoch().count();
  }
  std::ranges::sort(found, {}, &Picture::name);
  return std::nullopt;
}

std::optional<Fault>
SearchIndex::update(const std::function<void(size_t, size_t)> &progress) {
  std::vector<Picture> found;
  if (std::optional<Fault> fault = list(found))
    return fault;
  std::map<std::string, Picture *> known;
  for (Picture &picture : pictures)
    known[picture.name] = &picture;
  std::vector<Picture *> wanted;
  for (Picture &picture : found) {
    auto before = known.find(picture.name);
    bool isKept = before != known.end() &&
                  before->second->size == picture.size &&
                  before->second->time == picture.time;
    if (isKept) {
      picture = std::move(*before->second);
      ++counts.kept;
    } else {
      wanted.push_back(&picture);
    }
    if (before != known.end())
      known.erase(before);
  }
  counts.dropped = known.size();
  std::error_code error;
  const bool isThere = !otherModel && fs::exists(file, error);
  const bool isChanged =
      !wanted.empty() || counts.dropped > 0 || (!isThere && !found.empty());
  // Opened before the work, so that a place that cannot be written is told.
  std::optional<OutputFile> output;
  if (isChanged) {
    Outcome<OutputFile> opened = openOutput(file);
    if (!opened)
      return opened.takeFault();
    output.emplace(std::move(*opened));
  }
  if (std::optional<Fault> fault = embed(wanted, progress))
    return fault;
  pictures = std::move(found);
  counts.unread = size_t(std::ranges::count_if(
      pictures, [](const Picture &p) { return p.embedding.empty(); }));
  return output ? write(*output) : std::nullopt;
}

/// Embeds some pictures of one size together.
static std::optional<Fault>
embedTogether(const vlm_model_t *model, HostTensor pixels,
              std::vector<SearchIndex::Picture *> &batch) {
  EmbedTask task(model);
  task.addInput("pixel_values", std::move(pixels));
  if (std::optional<Fault> fault = task.run())
    return fault;
  Outcome<std::vector<std::vector<float>>> rows =
      embeddingsOf(task.values(), "image_embeds");
  if (!rows)
    return rows.takeFault();
  for (size_t i = 0; i < batch.size(); ++i)
    batch[i]->embedding = std::move((*rows)[i]);
  batch.clear();
  return std::nullopt;
}

std::optional<Fault>
SearchIndex::embed(std::vector<Picture *> &wanted,
                   const std::function<void(size_t, size_t)> &progress) {
  constexpr size_t most = 16;
  if (!hasEntry(model, "encode_image") || !hasEntry(model, "encode_text"))
    return Fault("model '" + std::string(vlm_model_abi(model)->name) +
                 "' does not embed both pictures and texts; search takes a "
                 "dual encoder");
  HostTensor pixels;
  std::vector<Picture *> batch;
  for (size_t i = 0; i < wanted.size(); ++i) {
    Outcome<HostTensor> one = preprocessPictures(
        model, {(fs::path(folder) / wanted[i]->name).string()});
    progress(i + 1, wanted.size());
    if (!one) {
      wanted[i]->fault = one.takeFault().message;
      warn(wanted[i]->fault + "; it is left out");
      continue;
    }
    const bool fits =
        batch.empty() || (batch.size() < most &&
                          std::equal(one->shape.begin() + 1, one->shape.end(),
                                     pixels.shape.begin() + 1));
    if (!fits)
      if (std::optional<Fault> fault =
              embedTogether(model, std::move(pixels), batch))
        return fault;
    if (batch.empty()) {
      pixels = std::move(*one);
    } else {
      pixels.bytes.insert(pixels.bytes.end(), one->bytes.begin(),
                          one->bytes.end());
      ++pixels.shape[0];
    }
    batch.push_back(wanted[i]);
    ++counts.embedded;
  }
  return batch.empty() ? std::nullopt
                       : embedTogether(model, std::move(pixels), batch);
}

std::vector<SearchIndex::Hit> SearchIndex::rank(const std::vector<float> &query,
                                                size_t most) const {
  std::vector<Hit> hits;
  for (const Picture &picture : pictures) {
    if (picture.embedding.size() != query.size())
      continue;
    double score = 0;
    for (size_t i = 0; i < query.size(); ++i)
      score += double(picture.embedding[i]) * query[i];
    hits.push_back({&picture, score});
  }
  // They are by name, and equals stay so.
  std::ranges::stable_sort(hits, std::ranges::greater(), &Hit::score);
  hits.resize(std::min(hits.size(), most));
  return hits;
}

} // namespace vlmc::tool
