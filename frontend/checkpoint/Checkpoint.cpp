//===- Checkpoint.cpp - The weights of a checkpoint folder ----------------===//
#include "frontend/checkpoint/Checkpoint.h"

#include "frontend/support/Json.h"

#include <algorithm>
#include <filesystem>
#include <set>

namespace vlmc {

namespace fs = std::filesystem;

static constexpr const char *singleName = "model.safetensors";
static constexpr const char *indexName = "model.safetensors.index.json";
static constexpr const char *torchName = "pytorch_model.bin";
static constexpr const char *torchIndexName = "pytorch_model.bin.index.json";

static bool isThere(const fs::path &path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool Checkpoint::hasWeights(const std::string &folder, const char *ownName) {
  for (const char *name : {singleName, indexName, torchName, torchIndexName})
    if (isThere(fs::path(folder) / name))
      return true;
  return ownName && isThere(fs::path(folder) / ownName);
}

/// Why a folder has no weights, and what to do.
static Failure noWeights(const std::string &folder, const char *ownName) {
  std::error_code ignored;
  if (!isThere(folder))
    return Failure{folder +
                   ": no such folder; give a checkpoint folder with "
                   "config.json and " +
                   singleName};
  if (!fs::is_directory(folder, ignored))
    return Failure{folder +
                   ": expected a checkpoint folder, found a file; "
                   "give the folder that " +
                   singleName + " is in"};
  if (ownName)
    return Failure{folder + ": expected " + ownName + " or " + singleName +
                   ", found neither; complete the folder"};
  return Failure{folder + ": expected " + singleName + " or " + indexName +
                 ", found neither; complete the folder"};
}

template <> std::vector<SafetensorsFile> &Checkpoint::filesOf() {
  return files;
}
template <> std::vector<TorchFile> &Checkpoint::filesOf() { return torchFiles; }

template <typename File>
void Checkpoint::addEntry(const File &file, const SafetensorsEntry &entry) {
  std::optional<StoredType> type = entry.storedType();
  if (!type) {
    unreadable.emplace(entry.name, Unreadable{entry.dtype, file.path()});
    return;
  }
  std::span<const uint8_t> bytes = file.bytesOf(entry);
  WeightTensor tensor;
  tensor.name = entry.name;
  tensor.type = *type;
  tensor.shape = entry.shape;
  tensor.data = bytes.data();
  tensor.bytes = bytes.size();
  tensor.file = file.path();
  tensor.offset = entry.begin;
  tensors.emplace(entry.name, std::move(tensor));
}

template <typename File>
std::optional<Failure> Checkpoint::addFile(const std::string &path) {
  Result<File> file = File::open(path);
  if (!file)
    return file.takeFailure();
  filesOf<File>().push_back(std::move(*file));
  const File &opened = filesOf<File>().back();
  for (const SafetensorsEntry &entry : opened.entries())
    addEntry(opened, entry);
  return std::nullopt;
}

/// Whether an index names a file of its own folder: it must not reach outside.
static bool isFileName(const Json &value) {
  if (!value.is_string())
    return false;
  fs::path path = value.get<std::string>();
  return !path.empty() && path.filename() == path && path != "." &&
         path != "..";
}

static Failure noFileName(const std::string &index, const std::string &tensor,
                          const Json &found) {
  return Failure{index + ": weight_map." + tensor +
                 ": expected the name of a file in the same folder, found " +
                 describe(found) + "; mend the file"};
}

static Failure inTwoShards(const std::string &path, const std::string &other,
                           const std::string &tensor,
                           const std::string &index) {
  return Failure{path + ": tensor '" + tensor + "' is also in " + other +
                 " and not in " + index + "; mend the index"};
}

static Failure notInShard(const std::string &path, const std::string &tensor,
                          const std::string &index) {
  return Failure{path + ": tensor '" + tensor + "' is missing, but " + index +
                 " places it here; fetch the shard again"};
}

static Failure noShard(const std::string &path, const std::string &index,
                       int64_t count) {
  return Failure{path + ": no such file, but " + index + " names it for " +
                 std::to_string(count) + " tensors; fetch the shard"};
}

/// The index as a map from tensor to file name.
Result<Checkpoint::WeightMap> Checkpoint::readIndex(const std::string &path) {
  Result<Json> json = readJsonFile(path);
  if (!json)
    return json.takeFailure();
  if (!json->is_object() || !json->contains("weight_map") ||
      !(*json)["weight_map"].is_object())
    return Failure{path +
                   ": expected an object \"weight_map\" (tensor to file "
                   "name), found " +
                   describe(*json) + "; mend the file"};
  WeightMap result;
  for (const auto &[tensor, file] : (*json)["weight_map"].items()) {
    if (!isFileName(file))
      return noFileName(path, tensor, file);
    result.emplace(tensor, file.get<std::string>());
  }
  if (result.empty())
    return Failure{path + ": weight_map: expected at least one tensor, found "
                          "none; mend the file"};
  return result;
}

template <typename File>
std::optional<Failure>
Checkpoint::addShard(const std::string &path, const std::string &shard,
                     const std::string &index, const WeightMap &weightMap) {
  Result<File> file = File::open(path);
  if (!file)
    return file.takeFailure();
  filesOf<File>().push_back(std::move(*file));
  const File &opened = filesOf<File>().back();
  std::set<std::string_view> there;
  for (const SafetensorsEntry &entry : opened.entries()) {
    there.insert(entry.name);
    auto placed = weightMap.find(entry.name);
    // Where the index names another shard, that one counts.
    if (placed != weightMap.end() && placed->second != shard)
      continue;
    if (const WeightTensor *other = find(entry.name))
      return inTwoShards(path, other->file, entry.name, index);
    addEntry(opened, entry);
  }
  for (const auto &[tensor, name] : weightMap)
    if (name == shard && !there.count(tensor))
      return notInShard(path, tensor, index);
  return std::nullopt;
}

template <typename File>
std::optional<Failure> Checkpoint::addShards(const std::string &folder,
                                             const std::string &index) {
  Result<WeightMap> weightMap = readIndex(index);
  if (!weightMap)
    return weightMap.takeFailure();
  std::map<std::string, int64_t> counts;
  for (const auto &[tensor, file] : *weightMap)
    ++counts[file];
  for (const auto &[shard, count] : counts) {
    std::string path = (fs::path(folder) / shard).string();
    if (!isThere(path))
      return noShard(path, index, count);
    if (auto fault = addShard<File>(path, shard, index, *weightMap))
      return fault;
  }
  return std::nullopt;
}

Result<std::unique_ptr<Checkpoint>>
Checkpoint::open(const std::string &folder, std::vector<std::string> &warnings,
                 const char *ownName) {
  if (!hasWeights(folder, ownName))
    return noWeights(folder, ownName);
  std::unique_ptr<Checkpoint> result(new Checkpoint());
  auto path = [&](const char *name) {
    return (fs::path(folder) / name).string();
  };
  std::optional<Failure> fault;
  if (ownName && isThere(path(ownName))) {
    fault = result->addFile<SafetensorsFile>(path(ownName));
  } else if (isThere(path(singleName))) {
    if (isThere(path(indexName)))
      warnings.push_back(path(indexName) + ": ignored, as " + singleName +
                         " is there");
    fault = result->addFile<SafetensorsFile>(path(singleName));
  } else if (isThere(path(indexName))) {
    fault = result->addShards<SafetensorsFile>(folder, path(indexName));
  } else if (isThere(path(torchName))) {
    fault = result->addFile<TorchFile>(path(torchName));
  } else {
    fault = result->addShards<TorchFile>(folder, path(torchIndexName));
  }
  if (fault)
    return *fault;
  return result;
}

void Checkpoint::addAll(Checkpoint &&other, const std::string &prefix,
                        const std::function<bool(std::string_view)> &isWanted) {
  // The bytes of a file stay where they are when it is moved.
  std::ranges::move(other.files, std::back_inserter(files));
  std::ranges::move(other.torchFiles, std::back_inserter(torchFiles));
  for (auto &[name, tensor] : other.tensors)
    if (isWanted(name)) {
      tensor.name = prefix + name;
      tensors.emplace(tensor.name, tensor);
    }
  for (auto &[name, what] : other.unreadable)
    if (isWanted(name))
      unreadable.emplace(prefix + name, what);
}

const WeightTensor *Checkpoint::find(std::string_view name) const {
  auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : &found->second;
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> result;
  result.reserve(tensors.size() + unreadable.size());
  for (const auto &[name, tensor] : tensors)
    result.push_back(name);
  for (const auto &[name, why] : unreadable)
    result.push_back(name);
  std::ranges::sort(result);
  return result;
}

void Checkpoint::release(const WeightTensor &tensor) const {
  MappedFile::dropPages(tensor.data, tensor.bytes);
}

std::string_view Checkpoint::unreadableDtype(std::string_view name) const {
  auto found = unreadable.find(name);
  return found == unreadable.end() ? std::string_view() : found->second.dtype;
}

std::string_view Checkpoint::unreadableFile(std::string_view name) const {
  auto found = unreadable.find(name);
  return found == unreadable.end() ? std::string_view() : found->second.file;
}

} // namespace vlmc
