//===- Safetensors.cpp - One safetensors file -----------------------------===//
#include "frontend/checkpoint/Safetensors.h"

#include "frontend/support/Json.h"

#include <algorithm>
#include <tuple>

namespace vlmc {

namespace {
/// A dtype of the format: its size and, where vlmc reads it, its type.
struct Dtype {
  std::string_view name;
  unsigned bits;
  std::optional<StoredType> type;
};
} // namespace

static constexpr Dtype dtypes[] = {
    {"BF16", 16, StoredType::BF16},   {"BOOL", 8, StoredType::Bool},
    {"C64", 64, std::nullopt},        {"F16", 16, StoredType::F16},
    {"F32", 32, StoredType::F32},     {"F4", 4, std::nullopt},
    {"F64", 64, StoredType::F64},     {"F6_E2M3", 6, std::nullopt},
    {"F6_E3M2", 6, std::nullopt},     {"F8_E4M3", 8, std::nullopt},
    {"F8_E4M3FNUZ", 8, std::nullopt}, {"F8_E5M2", 8, std::nullopt},
    {"F8_E5M2FNUZ", 8, std::nullopt}, {"F8_E8M0", 8, std::nullopt},
    {"I16", 16, StoredType::I16},     {"I32", 32, StoredType::I32},
    {"I64", 64, StoredType::I64},     {"I8", 8, StoredType::I8},
    {"U16", 16, std::nullopt},        {"U32", 32, std::nullopt},
    {"U64", 64, std::nullopt},        {"U8", 8, StoredType::U8},
};

static const Dtype *findDtype(std::string_view name) {
  const Dtype *found = std::ranges::find(dtypes, name, &Dtype::name);
  return found == std::end(dtypes) ? nullptr : found;
}

std::optional<StoredType> SafetensorsEntry::storedType() const {
  const Dtype *found = findDtype(dtype);
  return found ? found->type : std::nullopt;
}

std::string describeShape(std::span<const int64_t> shape) {
  std::string text = "[";
  for (int64_t size : shape)
    text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

namespace {
/// Turns the header of one file into entries. Every function gives the message
/// of the first fault, or nothing.
class HeaderReader {
public:
  HeaderReader(const std::string &path, uint64_t dataBegin, uint64_t dataBytes)
      : path(path), dataBegin(dataBegin), dataBytes(dataBytes) {}

  std::optional<Failure> read(const Json &header);
  std::vector<SafetensorsEntry> entries;

private:
  using Fault = std::optional<Failure>;

  Fault readMetadata(const Json &metadata);
  Fault readTensor(const std::string &name, const Json &fields);
  Fault readShape(SafetensorsEntry &entry, const Json &fields);
  Fault readOffsets(SafetensorsEntry &entry, const Json &fields);
  Fault checkSize(const SafetensorsEntry &entry);
  Fault checkOrder();

  Failure fault(const std::string &message) const {
    return Failure{path + ": " + message +
                   "; the file is damaged, fetch or save it again"};
  }
  Failure tensorFault(const std::string &name,
                      const std::string &message) const {
    return fault("tensor '" + name + "': " + message);
  }

  const std::string &path;
  uint64_t dataBegin;
  uint64_t dataBytes;
};
} // namespace

std::optional<Failure> HeaderReader::readMetadata(const Json &metadata) {
  if (!metadata.is_object())
    return fault("__metadata__: expected an object of strings, found " +
                 describe(metadata));
  for (const auto &[key, value] : metadata.items())
    if (!value.is_string())
      return fault("__metadata__." + key + ": expected a string, found " +
                   describe(value));
  return std::nullopt;
}

std::optional<Failure> HeaderReader::readShape(SafetensorsEntry &entry,
                                               const Json &fields) {
  auto found = fields.find("shape");
  if (found == fields.end() || !found->is_array())
    return tensorFault(entry.name,
                       "shape: expected a list of integers, found " +
                           (found == fields.end() ? std::string("nothing")
                                                  : describe(*found)));
  for (const Json &size : *found) {
    bool fits = size.is_number_unsigned() &&
                size.get<uint64_t>() <= uint64_t(INT64_MAX);
    if (!fits)
      return tensorFault(entry.name,
                         "shape: expected integers of at least 0, found " +
                             describe(*found));
    entry.shape.push_back(size.get<int64_t>());
  }
  return std::nullopt;
}

std::optional<Failure> HeaderReader::readOffsets(SafetensorsEntry &entry,
                                                 const Json &fields) {
  auto found = fields.find("data_offsets");
  bool isPair = found != fields.end() && found->is_array() &&
                found->size() == 2 && (*found)[0].is_number_unsigned() &&
                (*found)[1].is_number_unsigned();
  if (!isPair)
    return tensorFault(entry.name,
                       "data_offsets: expected two integers of at least 0, "
                       "found " +
                           (found == fields.end() ? std::string("nothing")
                                                  : describe(*found)));
  uint64_t begin = (*found)[0].get<uint64_t>();
  uint64_t end = (*found)[1].get<uint64_t>();
  if (begin > end)
    return tensorFault(entry.name, "data_offsets: expected the begin before "
                                   "the end, found " +
                                       describe(*found));
  if (end > dataBytes)
    return tensorFault(entry.name, "data_offsets: expected an end within the " +
                                       std::to_string(dataBytes) +
                                       " bytes of data in the file, found " +
                                       describe(*found));
  entry.begin = dataBegin + begin;
  entry.end = dataBegin + end;
  return std::nullopt;
}

std::optional<Failure> HeaderReader::checkSize(const SafetensorsEntry &entry) {
  // A size 0 makes the tensor empty, whatever the others are.
  uint64_t bits = findDtype(entry.dtype)->bits;
  bool overflow = false;
  for (int64_t size : entry.shape)
    overflow |= __builtin_mul_overflow(bits, uint64_t(size), &bits);
  bool isEmpty = std::ranges::find(entry.shape, 0) != entry.shape.end();
  if (overflow && !isEmpty)
    return tensorFault(entry.name, "shape: expected a size below 2^61 bytes, "
                                   "found " +
                                       describeShape(entry.shape));
  if (isEmpty)
    bits = 0;
  if (bits % 8 != 0)
    return tensorFault(entry.name, "expected a whole number of bytes, found " +
                                       std::to_string(bits) + " bits of " +
                                       entry.dtype + " " +
                                       describeShape(entry.shape));
  if (bits / 8 != entry.end - entry.begin)
    return tensorFault(entry.name, "data_offsets: expected " +
                                       std::to_string(bits / 8) +
                                       " bytes for " + entry.dtype + " " +
                                       describeShape(entry.shape) + ", found " +
                                       std::to_string(entry.end - entry.begin));
  return std::nullopt;
}

std::optional<Failure> HeaderReader::readTensor(const std::string &name,
                                                const Json &fields) {
  if (!fields.is_object())
    return tensorFault(name, "expected an object, found " + describe(fields));
  for (const auto &[key, value] : fields.items())
    if (key != "dtype" && key != "shape" && key != "data_offsets")
      return tensorFault(name, "expected dtype, shape and data_offsets, found "
                               "the field '" +
                                   key + "'");
  SafetensorsEntry entry;
  entry.name = name;
  auto dtype = fields.find("dtype");
  if (dtype == fields.end() || !dtype->is_string())
    return tensorFault(name, "dtype: expected a string, found " +
                                 (dtype == fields.end() ? std::string("nothing")
                                                        : describe(*dtype)));
  entry.dtype = dtype->get<std::string>();
  if (!findDtype(entry.dtype)) {
    std::string expected;
    for (const Dtype &known : dtypes)
      expected += (expected.empty() ? "" : ", ") + std::string(known.name);
    return tensorFault(name, "dtype: expected one of " + expected + ", found " +
                                 describe(*dtype));
  }
  if (Fault found = readShape(entry, fields))
    return found;
  if (Fault found = readOffsets(entry, fields))
    return found;
  if (Fault found = checkSize(entry))
    return found;
  entries.push_back(std::move(entry));
  return std::nullopt;
}

std::optional<Failure> HeaderReader::checkOrder() {
  std::ranges::sort(entries, {}, [](const SafetensorsEntry &entry) {
    return std::tuple(entry.begin, entry.end, std::string_view(entry.name));
  });
  uint64_t end = dataBegin;
  const std::string *before = nullptr;
  for (const SafetensorsEntry &entry : entries) {
    if (entry.begin != end) {
      std::string message =
          "data_offsets: expected to begin at " +
          std::to_string(end - dataBegin) +
          (before ? ", where tensor '" + *before + "' ends" : "") + ", found " +
          std::to_string(entry.begin - dataBegin) +
          (entry.begin < end ? " (an overlap)" : " (a hole)");
      return tensorFault(entry.name, message);
    }
    end = entry.end;
    before = &entry.name;
  }
  if (end != dataBegin + dataBytes)
    return fault("expected " + std::to_string(end - dataBegin) +
                 " bytes of data, as its tensors need, found " +
                 std::to_string(dataBytes));
  return std::nullopt;
}

std::optional<Failure> HeaderReader::read(const Json &header) {
  if (!header.is_object())
    return fault("header: expected an object, found " + describe(header));
  for (const auto &[name, fields] : header.items()) {
    Fault found = name == "__metadata__" ? readMetadata(fields)
                                         : readTensor(name, fields);
    if (found)
      return found;
  }
  return checkOrder();
}

/// The length of the header, after checks against the file and the format.
static Result<uint64_t> headerLength(const std::string &path,
                                     const MappedFile &map) {
  const char *mend = "; the file is damaged, fetch or save it again";
  if (map.size() < 8)
    return Failure{path +
                   ": expected a safetensors file of at least 8 bytes, found " +
                   std::to_string(map.size()) + mend};
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i)
    length = length << 8 | map.data()[i];
  if (length > maxSafetensorsHeader)
    return Failure{path + ": expected a header of at most " +
                   std::to_string(maxSafetensorsHeader) + " bytes, found " +
                   std::to_string(length) +
                   "; the file is damaged or no safetensors file"};
  if (length > map.size() - 8)
    return Failure{path + ": expected a header of " + std::to_string(length) +
                   " bytes, found " + std::to_string(map.size() - 8) +
                   " bytes behind its length: the file is truncated; fetch or "
                   "save it again"};
  return length;
}

Result<SafetensorsFile> SafetensorsFile::open(const std::string &path) {
  Result<MappedFile> map = MappedFile::open(path);
  if (!map)
    return map.takeFailure();
  Result<uint64_t> length = headerLength(path, *map);
  if (!length)
    return length.takeFailure();
  Result<Json> header =
      parseJson(map->text().substr(8, *length), path + ": header");
  if (!header)
    return header.takeFailure();
  HeaderReader reader(path, 8 + *length, map->size() - 8 - *length);
  if (std::optional<Failure> fault = reader.read(*header))
    return *fault;
  return SafetensorsFile(path, std::move(*map), std::move(reader.entries));
}

} // namespace vlmc
