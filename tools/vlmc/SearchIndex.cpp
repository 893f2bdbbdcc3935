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

/// What tells embeddings from those of others: the model's name, the arithmetic
/// of its pictures, and its weights' checksums.
static std::string identify(const vlm_model_t *model) {
  const vlm_abi_model &abi = *vlm_model_abi(model);
  const bool isPil = vlm_model_image_backend(model) == VLM_IMAGE_BACKEND_PIL;
  std::string text =
      std::string(abi.name) + (isPil ? " pil " : " torchvision ");
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

/// Adds the pictures of one folder, and the folders in it to `waiting`. Returns
/// why it cannot be read to its end, or "".
static std::string listFolder(const fs::path &folder, const fs::path &root,
                              std::vector<SearchIndex::Picture> &found,
                              std::vector<fs::path> &waiting) {
  std::error_code error, ignored;
  fs::directory_iterator at(folder, error), end;
  for (; !error && at != end; at.increment(error)) {
    const fs::path &path = at->path();
    if (path.filename().string().starts_with("."))
      continue;
    // Links to folders are not followed: they may go round.
    if (at->symlink_status(ignored).type() == fs::file_type::directory) {
      waiting.push_back(path);
      continue;
    }
    if (!at->is_regular_file(ignored) || !isPictureName(path))
      continue;
    SearchIndex::Picture &picture = found.emplace_back();
    // By its own name, and not that of what it links to.
    picture.name = path.lexically_relative(root).string();
    picture.size = at->file_size(ignored);
    picture.time = at->last_write_time(ignored).time_since_epoch().count();
  }
  return error ? error.message() : "";
}

/// Pictures below the folder; hidden files and folders are left out. A folder
/// below it that cannot be read is told, and named in `unread`.
std::optional<Fault> SearchIndex::list(std::vector<Picture> &found,
                                       std::vector<std::string> &unread) const {
  std::vector<fs::path> waiting = {folder};
  while (!waiting.empty()) {
    const fs::path next = std::move(waiting.back());
    waiting.pop_back();
    const std::string problem = listFolder(next, folder, found, waiting);
    if (problem.empty())
      continue;
    if (next == folder)
      return Fault(folder +
                   ": expected a folder of pictures that can be read "
                   "to its end: " +
                   problem);
    warn(next.string() + ": the folder cannot be read: " + problem +
         "; what the index knows of it is kept");
    unread.push_back(next.lexically_relative(folder).string() + "/");
  }
  return std::nullopt;
}

/// Takes what is known of pictures that have not changed, and of those whose
/// folder cannot be read now. The others have neither embedding nor fault.
void SearchIndex::takeKnown(std::vector<Picture> &found,
                            const std::vector<std::string> &unread) {
  std::map<std::string, Picture *> known;
  for (Picture &picture : pictures)
    known[picture.name] = &picture;
  for (Picture &picture : found) {
    auto before = known.find(picture.name);
    if (before == known.end())
      continue;
    Picture &old = *before->second;
    known.erase(before);
    if (old.size != picture.size || old.time != picture.time)
      continue;
    // What could not be read may be readable now, with no trace on the file.
    if (old.embedding.empty() &&
        preprocessPictures(model, {(fs::path(folder) / old.name).string()}))
      continue;
    picture = std::move(old);
    ++counts.kept;
  }
  for (auto &[name, picture] : known) {
    if (std::ranges::any_of(unread, [&](const std::string &below) {
          return name.starts_with(below);
        })) {
      found.push_back(std::move(*picture));
      ++counts.kept;
    } else {
      ++counts.dropped;
    }
  }
  std::ranges::sort(found, {}, &Picture::name);
}

std::optional<Fault>
SearchIndex::update(const std::function<void(size_t, size_t)> &progress) {
  std::vector<Picture> found;
  std::vector<std::string> unread;
  if (std::optional<Fault> fault = list(found, unread))
    return fault;
  takeKnown(found, unread);
  std::vector<Picture *> wanted;
  for (Picture &picture : found)
    if (picture.embedding.empty() && picture.fault.empty())
      wanted.push_back(&picture);
  std::error_code error;
  const bool isThere = !otherModel && fs::exists(file, error);
  const bool isChanged =
      !wanted.empty() || counts.dropped > 0 || (!isThere && !found.empty());
  // Opened before the work, so that a place that cannot be written is told.
  std::optional<OutputFile> output;
  if (isChanged) {
    Outcome<OutputFile> opened = openOutput(file);
    if (!opened) {
      Fault fault = opened.takeFault();
      fault.message += ", or keep the index elsewhere with --index FILE";
      return fault;
    }
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

/// Embeds a picture that has lines and columns of its own; a file that cannot
/// be read is told and left out.
static std::optional<Fault> embedAlone(const vlm_model_t *model,
                                       const std::string &path,
                                       SearchIndex::Picture &picture) {
  EmbedTask task(model);
  if (std::optional<Fault> fault = task.addImages({path})) {
    picture.fault = fault->message;
    warn(picture.fault + "; it is left out");
    return std::nullopt;
  }
  if (std::optional<Fault> fault = task.run())
    return fault;
  Outcome<std::vector<std::vector<float>>> rows =
      embeddingsOf(task.values(), "image_embeds");
  if (!rows)
    return rows.takeFault();
  picture.embedding = std::move(rows->front());
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
    const std::string path = (fs::path(folder) / wanted[i]->name).string();
    if (becomesPatchRows(model)) {
      progress(i + 1, wanted.size());
      if (std::optional<Fault> fault = embedAlone(model, path, *wanted[i]))
        return fault;
      counts.embedded += !wanted[i]->embedding.empty();
      continue;
    }
    Outcome<HostTensor> one = preprocessPictures(model, {path});
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
