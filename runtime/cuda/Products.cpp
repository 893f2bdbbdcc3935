//===- Products.cpp - Own products or a library's, whichever is faster ----===//

#include "runtime/cuda/Products.h"

#include "runtime/core/StatusInternal.h"
#include "runtime/vlm.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <unistd.h>

namespace vlmc::rt::cuda {

namespace fs = std::filesystem;

/// Rows whose results are compared.
static constexpr int64_t kSampledRows = 8;
/// Errors in the root of the mean square: of results with 11 or 8 binary
/// digits, whose sums are in f32 in another order.
static constexpr double kNearInHalf = 1.0 / 64, kNearInBfloat = 1.0 / 16;
/// How much faster a library has to be, so that noise changes no choice.
static constexpr double kGain = 0.98;
/// Shapes that are kept; what comes up behind them the own launches make.
static constexpr size_t kMostChoices = 2048;
/// Own stores end at 65504, where a library gives an infinity: it makes no
/// results in f16 that come so near.
static constexpr float kMostInHalf = 8192;

//===----------------------------------------------------------------------===//
// Settings
//===----------------------------------------------------------------------===//

static std::string variable(const char *name) {
  const char *value = std::getenv(name);
  return value ? value : "";
}

/// Letters, digits and '-': a part of a file's name.
static std::string plainName(std::string name) {
  for (char &c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)))
      c = '-';
  return name;
}

Products::Settings Products::settingsOf(const Device &device,
                                        const std::string &isa) {
  Settings settings{variable("VLMC_CUBLASLT"), variable("VLMC_GPU_CHOICES"),
                    plainName(isa) + "-" + plainName(vlm_version())};
  if (settings.library.empty() && device.isEmulated())
    settings.library = "none";
  if (!settings.file.empty())
    return settings;
  std::string folder = variable("XDG_CACHE_HOME");
  if (folder.empty() && !variable("HOME").empty())
    folder = variable("HOME") + "/.cache";
  if (!folder.empty())
    settings.file = folder + "/vlmc/gpu-products/" + plainName(device.name()) +
                    "-" + std::to_string(device.driverVersion()) + "-" +
                    plainName(isa) + ".txt";
  return settings;
}

Products::Products(const Device &device, const Settings &settings)
    : device(device), file(settings.file), kernels(settings.kernels) {
  if (settings.library == "none") {
    reason = "there is to be none";
    return;
  }
  library = CublasLt::open(settings.library, reason);
  if (library)
    readFile();
}

Products::~Products() {
  for (auto &[of, copy] : biases)
    device.api().free(copy);
  if (workspace)
    device.api().free(workspace);
}

//===----------------------------------------------------------------------===//
// The file: a line for each shape
//===----------------------------------------------------------------------===//

std::string Products::firstLine() const {
  return "vlmc-gpu-products 2 " + plainName(device.name()) + " " +
         std::to_string(device.driverVersion()) + " " +
         std::to_string(library->version()) + " " + kernels;
}

/// Lines that are not understood are left out: those shapes are measured.
void Products::readFile() {
  std::ifstream in(file);
  std::string line;
  if (!std::getline(in, line) || line != firstLine())
    return;
  while (choices.size() < kMostChoices && std::getline(in, line)) {
    std::istringstream words(line);
    ProductShape shape;
    Choice choice;
    words >> shape.rows >> shape.columns >> shape.depth >> shape.leftStride >>
        shape.dtype >> shape.resultDtype >> shape.activation >> shape.hasBias >>
        shape.hasResidual >> choice.isLibrary >> choice.ownMicroseconds >>
        choice.libraryMicroseconds >> std::hex;
    for (uint64_t &word : choice.algorithm)
      words >> word;
    std::string end;
    if (words >> end && end == "end")
      choices[shape] = std::move(choice);
  }
}

void Products::writeFile() const {
  if (file.empty())
    return;
  std::error_code error;
  fs::create_directories(fs::path(file).parent_path(), error);
  // Several models of a process write, too.
  std::ostringstream name;
  name << file << "." << getpid() << "." << static_cast<const void *>(this);
  std::string part = name.str();
  std::ofstream out(part);
  writeChoices(out);
  out.close();
  // Another process may have written meanwhile; what it found is lost, and
  // found again.
  if (out)
    fs::rename(part, file, error);
  if (!out || error)
    fs::remove(part, error);
}

void Products::writeChoices(std::ostream &out) const {
  out << firstLine() << "\n";
  for (const auto &[shape, choice] : choices) {
    out << std::dec << shape.rows << " " << shape.columns << " " << shape.depth
        << " " << shape.leftStride << " " << shape.dtype << " "
        << shape.resultDtype << " " << shape.activation << " " << shape.hasBias
        << " " << shape.hasResidual << " " << choice.isLibrary << " "
        << choice.ownMicroseconds << " " << choice.libraryMicroseconds
        << std::hex;
    for (uint64_t word : choice.algorithm)
      out << " " << word;
    out << " end\n";
  }
}

//===----------------------------------------------------------------------===//
// What a library needs
//===----------------------------------------------------------------------===//

static uint16_t roundToHalf(float x, uint32_t dtype) {
  uint16_t bits = 0;
  if (dtype == VLM_ABI_F16) {
    auto half = static_cast<_Float16>(x);
    std::memcpy(&bits, &half, sizeof bits);
    return bits;
  }
  uint32_t wide = 0;
  std::memcpy(&wide, &x, sizeof wide);
  return uint16_t((wide + 0x7fff + (wide >> 16 & 1)) >> 16);
}

static float widenHalf(uint16_t bits, uint32_t dtype) {
  if (dtype == VLM_ABI_F16) {
    _Float16 half = 0;
    std::memcpy(&half, &bits, sizeof half);
    return float(half);
  }
  uint32_t wide = uint32_t(bits) << 16;
  float x = 0;
  std::memcpy(&x, &wide, sizeof x);
  return x;
}

/// The library takes biases of the result's type.
bool Products::narrowBias(const ProductShape &shape, Pointer &bias,
                          Stream *stream, bool mayMake) {
  auto [it, isNew] = biases.try_emplace({bias, shape.resultDtype}, 0);
  if (isNew || !it->second) {
    std::vector<float> wide(size_t(shape.columns));
    std::vector<uint16_t> narrow;
    const auto &api = device.api();
    size_t bytes = wide.size() * sizeof(uint16_t);
    bool isMade = mayMake &&
                  api.downloadAsync(wide.data(), bias, wide.size() * 4,
                                    stream) == success &&
                  api.streamWait(stream) == success &&
                  api.allocate(&it->second, bytes) == success;
    if (!isMade) {
      biases.erase(it);
      return false;
    }
    for (float x : wide)
      narrow.push_back(roundToHalf(x, shape.resultDtype));
    // On the stream: nothing orders others' copies before what runs on it.
    if (api.uploadAsync(it->second, narrow.data(), bytes, stream) != success ||
        api.streamWait(stream) != success) {
      api.free(it->second);
      biases.erase(it);
      return false;
    }
  }
  bias = it->second;
  return true;
}

/// Sets what the library takes beside the matrices; false: there is no room.
bool Products::prepare(const ProductShape &shape, ProductPlaces &places,
                       Stream *stream, bool mayMake) {
  if (!workspace &&
      (!mayMake || device.api().allocate(&workspace, CublasLt::workspaceBytes)))
    return false;
  places.workspace = workspace;
  return !shape.hasBias || shape.resultDtype == VLM_ABI_F32 ||
         narrowBias(shape, places.bias, stream, mayMake);
}

//===----------------------------------------------------------------------===//
// Measuring
//===----------------------------------------------------------------------===//

/// The first rows of the result, when it is there.
vlm_status_t *Products::sample(const ProductShape &shape,
                               const ProductPlaces &places, Stream *stream,
                               std::vector<float> &out) const {
  auto count =
      size_t(std::min(shape.rows, kSampledRows)) * size_t(shape.columns);
  bool isWide = shape.resultDtype == VLM_ABI_F32;
  std::vector<uint16_t> narrow(isWide ? 0 : count);
  out.resize(count);
  void *to = isWide ? static_cast<void *>(out.data()) : narrow.data();
  const auto &api = device.api();
  if (vlm_status_t *status =
          device.check(api.downloadAsync(to, places.result,
                                         count * (isWide ? 4 : 2), stream),
                       "comparing products"))
    return status;
  if (vlm_status_t *status =
          device.check(api.streamWait(stream), "comparing products"))
    return status;
  for (size_t i = 0; i < narrow.size(); ++i)
    out[i] = widenHalf(narrow[i], shape.resultDtype);
  return nullptr;
}

static bool areNear(const ProductShape &shape, const std::vector<float> &x,
                    const std::vector<float> &y) {
  double squares = 0, worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    squares += double(x[i]) * x[i];
    double distance = std::fabs(double(x[i]) - y[i]);
    // Where the own result is not finite there is nothing to compare with; a
    // NaN of the library's is as far away as can be.
    if (std::isfinite(x[i]) && !(distance <= worst))
      worst = std::isnan(distance) ? INFINITY : distance;
    if (shape.resultDtype == VLM_ABI_F16 && std::fabs(x[i]) > kMostInHalf)
      return false;
  }
  double root = std::sqrt(squares / double(x.size()));
  double near = shape.resultDtype == VLM_ABI_BF16 ? kNearInBfloat : kNearInHalf;
  return std::isfinite(root) && worst <= near * root + 1e-6;
}

vlm_status_t *Products::time(Stream *stream, const Launch &launch,
                             double &microseconds) const {
  using Clock = std::chrono::steady_clock;
  auto once = [&](int64_t repeats, double &each) -> vlm_status_t * {
    Clock::time_point begin = Clock::now();
    for (int64_t i = 0; i < repeats; ++i)
      if (vlm_status_t *status = launch())
        return status;
    vlm_status_t *status = device.check(device.api().streamWait(stream),
                                        "taking the time of a product");
    std::chrono::duration<double, std::micro> taken = Clock::now() - begin;
    each = taken.count() / double(repeats);
    return status;
  };
  if (vlm_status_t *status = once(1, microseconds))
    return status;
  constexpr double wanted = 4000;
  auto repeats = std::clamp<int64_t>(int64_t(wanted / microseconds), 1, 20);
  return once(repeats, microseconds);
}

/// Compares and times both; the result is there when it is over, by one of
/// them.
vlm_status_t *Products::measure(const ProductShape &shape,
                                const ProductPlaces &places, Stream *stream,
                                const Launch &own, Choice &choice) {
  ++counts.measured;
  std::vector<float> ownResult, otherResult;
  if (vlm_status_t *status = own())
    return status;
  if (vlm_status_t *status = sample(shape, places, stream, ownResult))
    return status;
  bool isRefused = false;
  Launch other = [&]() -> vlm_status_t * {
    isRefused |= !library->run(*choice.plan, places, stream);
    return nullptr;
  };
  other();
  if (vlm_status_t *status = sample(shape, places, stream, otherResult))
    return status;
  if (!isRefused && areNear(shape, ownResult, otherResult)) {
    if (vlm_status_t *status = time(stream, own, choice.ownMicroseconds))
      return status;
    if (vlm_status_t *status = time(stream, other, choice.libraryMicroseconds))
      return status;
    choice.isLibrary = !isRefused && choice.libraryMicroseconds <
                                         kGain * choice.ownMicroseconds;
  }
  choice.algorithm = choice.plan->algorithm();
  return choice.isLibrary ? nullptr : own();
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

/// What is known of a shape; NULL: nothing. A choice of the file gets its plan.
Products::Choice *Products::find(const ProductShape &shape) {
  auto known = choices.find(shape);
  if (known == choices.end())
    return nullptr;
  Choice &choice = known->second;
  if (choice.isLibrary && !choice.plan)
    choice.plan = library->plan(shape, &choice.algorithm);
  choice.isLibrary &= choice.plan != nullptr;
  return &choice;
}

vlm_status_t *Products::run(const ProductShape &shape, ProductPlaces places,
                            Stream *stream, bool mayMeasure,
                            const Launch &own) {
  Choice *choice = library ? find(shape) : nullptr;
  // A residual that the result takes the place of can be added once only.
  bool isOnce = shape.hasResidual && places.residual == places.result;
  if (library && !choice && mayMeasure && !isOnce &&
      choices.size() < kMostChoices) {
    Choice found;
    found.plan = library->plan(shape);
    bool isKnown = !found.plan;
    if (found.plan && prepare(shape, places, stream, true)) {
      // What failed, or had no room, may go well at another time.
      if (vlm_status_t *status = measure(shape, places, stream, own, found))
        return status;
      isKnown = true;
    }
    bool isMade = isKnown && found.plan;
    if (isKnown) {
      choices[shape] = std::move(found);
      writeFile();
    }
    if (isMade)
      return nullptr;
  }
  if (choice && choice->isLibrary &&
      prepare(shape, places, stream, mayMeasure)) {
    if (library->run(*choice->plan, places, stream)) {
      ++counts.library;
      return nullptr;
    }
    choice->isLibrary = !mayMeasure;
  }
  ++counts.own;
  return own();
}

} // namespace vlmc::rt::cuda
