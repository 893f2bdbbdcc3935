//===- TorchFile.cpp - One pytorch_model.bin ------------------------------===//
#include "frontend/checkpoint/TorchFile.h"

#include "frontend/checkpoint/StatePickle.h"
#include "frontend/checkpoint/ZipArchive.h"

#include <algorithm>

namespace vlmc {

/// The dtype of a storage class, as safetensors names it; another class keeps
/// its name, which stands for no type that vlmc reads.
static std::string dtypeOf(const std::string &storage) {
  static constexpr std::pair<std::string_view, std::string_view> known[] = {
      {"BFloat16Storage", "BF16"}, {"BoolStorage", "BOOL"},
      {"ByteStorage", "U8"},       {"CharStorage", "I8"},
      {"DoubleStorage", "F64"},    {"FloatStorage", "F32"},
      {"HalfStorage", "F16"},      {"IntStorage", "I32"},
      {"LongStorage", "I64"},      {"ShortStorage", "I16"}};
  for (auto [name, dtype] : known)
    if (storage == name)
      return std::string(dtype);
  return storage;
}

/// Elements of the tensor; nothing where they are too many to count.
static std::optional<uint64_t> countOf(const std::vector<int64_t> &shape) {
  uint64_t count = 1;
  for (int64_t size : shape)
    if (__builtin_mul_overflow(count, static_cast<uint64_t>(size), &count) ||
        count > uint64_t(INT64_MAX))
      return std::nullopt;
  return count;
}

/// Whether the elements lie row by row, without holes.
static bool isDense(const PickledTensor &tensor) {
  int64_t stride = 1;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != stride)
      return false;
    stride *= tensor.shape[i];
  }
  return true;
}

/// Finds the bytes of a tensor.
static std::optional<Failure>
placeTensor(const PickledTensor &tensor, const std::string &folder,
            const std::map<std::string, ZipMember> &members,
            const std::string &path, SafetensorsEntry &entry) {
  const std::string where = path + ": tensor '" + tensor.name + "': ";
  const char *mend = "; the file is damaged, fetch or save it again";
  entry.name = tensor.name;
  entry.dtype = dtypeOf(tensor.storageType);
  entry.shape = tensor.shape;
  auto storage = members.find(folder + "data/" + tensor.key);
  if (storage == members.end())
    return Failure{where + "expected the member '" + folder + "data/" +
                   tensor.key + "', found none" + mend};
  std::optional<StoredType> type = entry.storedType();
  if (!type) {
    entry.begin = entry.end = storage->second.begin;
    return std::nullopt;
  }
  auto size = static_cast<uint64_t>(storedTypeBytes(*type));
  std::optional<uint64_t> count = countOf(tensor.shape);
  uint64_t available = storage->second.bytes / size;
  auto offset = static_cast<uint64_t>(tensor.offset);
  if (!count || offset > available || *count > available - offset)
    return Failure{where + "expected its " + describeShape(tensor.shape) +
                   " elements within a storage of " +
                   std::to_string(available) + ", found them beyond its end" +
                   mend};
  if (*count && !isDense(tensor))
    return Failure{where + "expected elements row by row, found strides " +
                   describeShape(tensor.strides) + " for " +
                   describeShape(tensor.shape) +
                   "; save it with .contiguous(), or the model as "
                   "safetensors"};
  entry.begin = storage->second.begin + offset * size;
  entry.end = entry.begin + *count * size;
  return std::nullopt;
}

/// The folder of the archive in which data.pkl is, with its slash.
static std::optional<std::string>
findFolder(const std::map<std::string, ZipMember> &members) {
  for (const auto &[name, member] : members)
    if (std::string_view view = name;
        view == "data.pkl" || view.ends_with("/data.pkl"))
      return std::string(
          view.substr(0, view.size() - std::string_view("data.pkl").size()));
  return std::nullopt;
}

Result<TorchFile> TorchFile::open(const std::string &path) {
  Result<MappedFile> map = MappedFile::open(path);
  if (!map)
    return map.takeFailure();
  if (!map->text().starts_with("PK"))
    return Failure{path + ": expected a zip archive, as torch.save writes "
                          "since PyTorch 1.6, found another kind of file; "
                          "load it with PyTorch and save it again"};
  std::map<std::string, ZipMember> members;
  if (auto fault = listZip(map->text(), path, members))
    return *fault;
  std::optional<std::string> folder = findFolder(members);
  if (!folder)
    return Failure{path + ": expected the member data.pkl of torch.save, found "
                          "none; give a file that torch.save wrote"};
  auto textOf = [&](const ZipMember &member) {
    return map->text().substr(member.begin, member.bytes);
  };
  if (auto order = members.find(*folder + "byteorder");
      order != members.end() && textOf(order->second) != "little")
    return Failure{path + ": byteorder: expected little, found " +
                   std::string(textOf(order->second).substr(0, 20)) +
                   "; save the file on a little-endian machine"};
  std::vector<PickledTensor> tensors;
  if (auto problem =
          readStatePickle(textOf(members.at(*folder + "data.pkl")), tensors))
    return Failure{path + ": data.pkl: " + *problem};
  std::vector<SafetensorsEntry> entries(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i)
    if (auto fault =
            placeTensor(tensors[i], *folder, members, path, entries[i]))
      return *fault;
  return TorchFile(path, std::move(*map), std::move(entries));
}

} // namespace vlmc
